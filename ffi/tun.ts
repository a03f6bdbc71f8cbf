/**
 * TUN devices: inner packets without a link layer, one packet per read or write.
 *
 * struct ifreq (40 bytes): name[16] | flags u16 | …. Spec: Linux Documentation/networking/tuntap.rst, linux/if_tun.h.
 */
import { checked, SyscallError } from "./errno.ts";
import { close, ioctl, O_NONBLOCK, O_RDWR, open, setCloseOnExec, setNonBlocking } from "./file.ts";
import { libc } from "./libc.ts";

export const IFF_TUN = 0x0001;
export const IFF_TAP = 0x0002;
export const IFF_MULTI_QUEUE = 0x0100;
/** No 4-byte protocol header before the packet. */
export const IFF_NO_PI = 0x1000;
/** A 10-byte virtio_net header before the packet. */
export const IFF_VNET_HDR = 0x4000;
/** The device must not exist yet. */
const IFF_TUN_EXCL = 0x8000;

/** Bits for `setTunOffload`: what a packet read may still lack. */
export const TUN_F_CSUM = 0x01;
export const TUN_F_TSO4 = 0x02;
export const TUN_F_TSO6 = 0x04;
export const TUN_F_TSO_ECN = 0x08;
/** USO4 without USO6 is EINVAL, and kernels before 6.2 know neither. */
export const TUN_F_USO4 = 0x20;
export const TUN_F_USO6 = 0x40;

const TUNSETIFF = 0x400454ca;
const TUNGETIFF = 0x800454d2;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
const TUNGETDEVNETNS = 0x54e3;

const IFREQ_FLAGS = 16;
const IFREQ_BYTES = 40;
const VNET_HEADER_BYTES = 10;
/** 15 bytes and a NUL. */
const NAME_BYTES = 16;

export interface TunOptions {
  /** Packets carry a virtio_net header. */
  readonly vnetHdr?: boolean;
  /** More than one descriptor may be open on the device. */
  readonly multiQueue?: boolean;
  /** Only a new device will do: EBUSY if there is one of that name. */
  readonly exclusive?: boolean;
}

/**
 * Creates a TUN device, or attaches to a persistent one nobody uses, or another descriptor to one of several queues.
 * Non-blocking, close-on-exec.
 *
 * @param name at most 15 bytes; `%d` in it is replaced by a number, an empty one becomes `tun%d`
 * @throws {SyscallError} ENOENT or ENODEV (no TUN driver), EPERM, EBUSY (in use), EINVAL (bad name, or another kind of
 * interface has it)
 */
export function openTun(name: string, options: TunOptions = {}): { fd: number; name: string } {
  const request = interfaceRequest(name);
  const flags = IFF_TUN | IFF_NO_PI | (options.vnetHdr ? IFF_VNET_HDR : 0) |
    (options.multiQueue ? IFF_MULTI_QUEUE : 0) | (options.exclusive ? IFF_TUN_EXCL : 0);
  new DataView(request.buffer).setUint16(IFREQ_FLAGS, flags, true);
  const fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  try {
    ioctl(`TUNSETIFF ${name}`, fd, TUNSETIFF, request);
  } catch (error) {
    close(fd);
    throw error;
  }
  return { fd, name: requestName(request) };
}

/**
 * Takes over a descriptor that another process opened: makes it non-blocking and close-on-exec, and vnet headers, where
 * there are any, as long as `openTun` makes them.
 *
 * @returns the device's name and IFF_… flags
 * @throws {SyscallError} if it is not an attached TUN or TAP descriptor
 */
export function adoptTun(fd: number): { name: string; flags: number } {
  const request = new Uint8Array(IFREQ_BYTES);
  ioctl("TUNGETIFF", fd, TUNGETIFF, request);
  const flags = new DataView(request.buffer).getUint16(IFREQ_FLAGS, true);
  setNonBlocking(fd);
  setCloseOnExec(fd);
  if ((flags & IFF_VNET_HDR) !== 0) {
    ioctl("TUNSETVNETHDRSZ", fd, TUNSETVNETHDRSZ, Uint8Array.of(VNET_HEADER_BYTES, 0, 0, 0));
  }
  return { name: requestName(request), flags };
}

/** The present name of the device, also after it was renamed or moved to another namespace. */
export function tunName(fd: number): string {
  const request = new Uint8Array(IFREQ_BYTES);
  ioctl("TUNGETIFF", fd, TUNGETIFF, request);
  return requestName(request);
}

/**
 * A new descriptor of the network namespace that the device is in now; the caller closes it.
 *
 * @throws {SyscallError} EPERM without CAP_NET_ADMIN there, EINVAL before Linux 5.9
 */
export function tunNetworkNamespace(fd: number): number {
  const namespace = checked("ioctl TUNGETDEVNETNS", libc().ioctlValue(fd, BigInt(TUNGETDEVNETNS), 0n));
  setCloseOnExec(namespace);
  return namespace;
}

/** Says what packets read may still lack (TUN_F_…). @returns whether the kernel can do that */
export function setTunOffload(fd: number, features: number): boolean {
  return libc().ioctlValue(fd, BigInt(TUNSETOFFLOAD), BigInt(features)) === 0;
}

function interfaceRequest(name: string): Uint8Array<ArrayBuffer> {
  const request = new Uint8Array(IFREQ_BYTES);
  const bytes = new TextEncoder().encode(name);
  if (bytes.length >= NAME_BYTES || bytes.includes(0)) throw new SyscallError(`TUNSETIFF ${name}`, 22);
  request.set(bytes);
  return request;
}

function requestName(request: Uint8Array): string {
  return new TextDecoder().decode(request.subarray(0, request.indexOf(0)));
}
