/**
 * The index of a network interface by its name, as `if_nametoindex` gives it. `wg` writes the zone of a link-local
 * endpoint by name.
 *
 * struct ifreq: name 16 | index i32 | … 40 in all.
 */
import { ENODEV, SyscallError } from "../ffi/errno.ts";
import { close, ioctl } from "../ffi/file.ts";
import { AF_INET, createSocket, SOCK_DGRAM } from "../ffi/socket.ts";

const SIOCGIFINDEX = 0x8933;
const IFREQ_NAME_BYTES = 16;
const IFREQ_INDEX = IFREQ_NAME_BYTES;
const IFREQ_BYTES = 40;

/** Null if there is no such interface in this network namespace. */
export function interfaceIndex(name: string): number | null {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length === 0 || bytes.length >= IFREQ_NAME_BYTES || bytes.includes(0)) return null;
  const request = new Uint8Array(IFREQ_BYTES);
  request.set(bytes);
  const fd = createSocket(AF_INET, SOCK_DGRAM);
  try {
    ioctl("SIOCGIFINDEX", fd, SIOCGIFINDEX, request);
  } catch (error) {
    if (error instanceof SyscallError && error.errno === ENODEV) return null;
    throw error;
  } finally {
    close(fd);
  }
  return new DataView(request.buffer).getInt32(IFREQ_INDEX, true);
}
