/**
 * The name of a network interface by its index, as `if_indextoname` gives it: `wg` shows the zone of an endpoint by name.
 *
 * struct ifreq: name 16 | index i32 | … 40 in all.
 */
import { ENODEV, SyscallError } from "../ffi/errno.ts";
import { close, ioctl } from "../ffi/file.ts";
import { readText } from "../ffi/netlink_message.ts";
import { AF_INET, createSocket, SOCK_DGRAM } from "../ffi/socket.ts";

const SIOCGIFNAME = 0x8910;
const IFREQ_NAME_BYTES = 16;
const IFREQ_BYTES = 40;

/** Null if there is no such interface in this network namespace. */
export function interfaceName(index: number): string | null {
  const request = new Uint8Array(IFREQ_BYTES);
  new DataView(request.buffer).setUint32(IFREQ_NAME_BYTES, index, true);
  const fd = createSocket(AF_INET, SOCK_DGRAM);
  try {
    ioctl("SIOCGIFNAME", fd, SIOCGIFNAME, request);
  } catch (error) {
    if (error instanceof SyscallError && error.errno === ENODEV) return null;
    throw error;
  } finally {
    close(fd);
  }
  return readText(request.subarray(0, IFREQ_NAME_BYTES));
}
