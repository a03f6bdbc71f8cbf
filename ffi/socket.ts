/** What all kinds of sockets share: creating, options, and the structures of the message calls. */
import { checked, SyscallError } from "./errno.ts";
import { errno, libc } from "./libc.ts";

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0x800;
export const SOCK_CLOEXEC = 0x80000;

export const MSG_PEEK = 0x02;
/** Of recv: the result is the message's real length. In flags of a message received: it was cut. */
export const MSG_TRUNC = 0x20;
/** In flags of a message received: its control messages were cut. */
export const MSG_CTRUNC = 0x08;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;

export const SOL_SOCKET = 1;
export const SO_TYPE = 3;
export const SO_ERROR = 4;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_REUSEPORT = 15;
export const SO_ACCEPTCONN = 30;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_MARK = 36;
export const SO_PROTOCOL = 38;
export const SO_DOMAIN = 39;

// ── Structures, the same on x86-64 and arm64; all little-endian ──────────────

/** struct iovec. */
export const IOVEC_BASE = 0; // pointer
export const IOVEC_LENGTH = 8; // u64
export const IOVEC_BYTES = 16;

/** struct msghdr. */
export const MSGHDR_NAME = 0; // pointer
export const MSGHDR_NAME_LENGTH = 8; // u32, then 4 of padding
export const MSGHDR_IOV = 16; // pointer
export const MSGHDR_IOV_COUNT = 24; // u64
export const MSGHDR_CONTROL = 32; // pointer
export const MSGHDR_CONTROL_LENGTH = 40; // u64
export const MSGHDR_FLAGS = 48; // i32, then 4 of padding
export const MSGHDR_BYTES = 56;

/** struct mmsghdr: a msghdr and the length that the call reports. */
export const MMSGHDR_LENGTH = MSGHDR_BYTES; // u32, then 4 of padding
export const MMSGHDR_BYTES = 64;

/** struct cmsghdr; the next one begins at the length rounded up to CMSG_ALIGN. */
export const CMSG_LENGTH = 0; // u64, of header and data
export const CMSG_LEVEL = 8; // i32
export const CMSG_TYPE = 12; // i32
export const CMSG_DATA = 16;
export const CMSG_ALIGN = 8;

/** struct sockaddr_in. */
export const SOCKADDR_FAMILY = 0; // u16
export const SOCKADDR_PORT = 2; // u16, big-endian
export const SOCKADDR_IN_ADDRESS = 4; // 4 bytes, then 8 of padding
export const SOCKADDR_IN_BYTES = 16;

/** struct sockaddr_in6; family and port as above. */
export const SOCKADDR_IN6_FLOW = 4; // u32
export const SOCKADDR_IN6_ADDRESS = 8; // 16 bytes
export const SOCKADDR_IN6_SCOPE = 24; // u32
export const SOCKADDR_IN6_BYTES = 28;

// ── Calls ────────────────────────────────────────────────────────────────────

/** A new socket, non-blocking and close-on-exec. */
export function createSocket(family: number, type: number, protocol = 0): number {
  return checked("socket", libc().socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
}

/** Sets an integer option. @param name for the error */
export function setOption(name: string, fd: number, level: number, option: number, value: number): void {
  checked(`setsockopt ${name}`, libc().setsockopt(fd, level, option, optionValue(value), 4));
}

/** Sets an integer option if the kernel lets us. @returns whether it did */
export function trySetOption(fd: number, level: number, option: number, value: number): boolean {
  return libc().setsockopt(fd, level, option, optionValue(value), 4) === 0;
}

/** Reads an integer option. @param name for the error */
export function getOption(name: string, fd: number, level: number, option: number): number {
  const value = new Int32Array(1);
  const length = new Uint32Array([4]);
  if (libc().getsockopt(fd, level, option, value, length) < 0) throw new SyscallError(`getsockopt ${name}`, errno());
  return value[0];
}

function optionValue(value: number): Int32Array<ArrayBuffer> {
  // Unsigned values (marks) keep their bits.
  return Int32Array.of(value | 0);
}

/**
 * Connects a socket to an address: a stream goes on connecting, a datagram socket has a peer at once.
 *
 * @param address 4 or 16 bytes, of the socket's family
 * @param scope of a link-local IPv6 address, else 0
 * @returns 0 or errno, EINPROGRESS for a stream
 */
export function connectSocket(fd: number, address: Uint8Array, port: number, scope = 0): number {
  const name = socketAddress(address, port, scope);
  return libc().connect(fd, name, name.length) < 0 ? errno() : 0;
}

/** An address as the socket calls take it. @param scope of a link-local IPv6 address, else 0 */
export function socketAddress(address: Uint8Array, port: number, scope: number): Uint8Array<ArrayBuffer> {
  const isIpv4 = address.length === 4;
  const name = new Uint8Array(isIpv4 ? SOCKADDR_IN_BYTES : SOCKADDR_IN6_BYTES);
  const view = new DataView(name.buffer);
  view.setUint16(SOCKADDR_FAMILY, isIpv4 ? AF_INET : AF_INET6, true);
  view.setUint16(SOCKADDR_PORT, port);
  name.set(address, isIpv4 ? SOCKADDR_IN_ADDRESS : SOCKADDR_IN6_ADDRESS);
  if (!isIpv4) view.setUint32(SOCKADDR_IN6_SCOPE, scope, true);
  return name;
}

/** Sends on a connected socket without waiting. @returns bytes sent, or a negative errno */
export function sendBytes(fd: number, bytes: Uint8Array<ArrayBuffer>): number {
  const sent = libc().send(fd, bytes, bytes.length, MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent < 0 ? -errno() : sent;
}

/** Receives from a connected socket without waiting. @returns bytes received, 0 at a stream's end, or a negative errno */
export function receiveBytes(fd: number, into: Uint8Array<ArrayBuffer>): number {
  const received = libc().recv(fd, into, into.length, MSG_DONTWAIT);
  return received < 0 ? -errno() : received;
}
