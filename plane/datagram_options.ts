/**
 * What `Deno.listenDatagram` has no words for, set on its descriptor through FFI. Deno does not tell the descriptor: it
 * is the UDP socket of this process that is bound to the port on all addresses, and there can be only one such.
 */
import { EBADF, SyscallError } from "../ffi/errno.ts";
import { libc } from "../ffi/libc.ts";
import {
  AF_INET,
  AF_INET6,
  getOption,
  SO_TYPE,
  SOCK_DGRAM,
  SOCKADDR_FAMILY,
  SOCKADDR_IN6_ADDRESS,
  SOCKADDR_IN6_BYTES,
  SOCKADDR_IN_ADDRESS,
  SOCKADDR_PORT,
  SOL_SOCKET,
  trySetOption,
} from "../ffi/socket.ts";
import { setMark, SOL_IP, SOL_IPV6 } from "../ffi/udp.ts";

const IP_MTU_DISCOVER = 10;
const IPV6_MTU_DISCOVER = 23;
const PMTUDISC_DONT = 0;

/** Descriptors are given out lowest first, so the search ends early; this bounds it when there is nothing to find. */
const MAX_DESCRIPTOR = 65_536;

/**
 * The descriptor of the socket that this process has bound to `port` on all addresses.
 *
 * @throws {SyscallError} EBADF if there is none
 */
export function findUdpDescriptor(port: number): number {
  for (let fd = 0; fd < MAX_DESCRIPTOR; fd++) {
    if (isUdpSocketOn(fd, port)) return fd;
  }
  throw new SyscallError(`find the socket of port ${port}`, EBADF);
}

/**
 * Routers may fragment what the socket of a port sends, as what kernel WireGuard sends.
 *
 * @returns whether that could be set: not without FFI, and then large packets need a smaller MTU on some paths
 */
export function clearDontFragment(port: number): boolean {
  let fd: number;
  try {
    fd = findUdpDescriptor(port);
  } catch (error) {
    if (error instanceof SyscallError || error instanceof Deno.errors.NotCapable) return false;
    throw error;
  }
  const four = trySetOption(fd, SOL_IP, IP_MTU_DISCOVER, PMTUDISC_DONT);
  const six = trySetOption(fd, SOL_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DONT);
  return four || six;
}

/** @throws {SyscallError} EBADF, EPERM */
export function markPort(port: number, mark: number): void {
  setMark(findUdpDescriptor(port), mark);
}

/** Whether a descriptor, open or not, is a UDP socket bound to the port on all addresses. */
export function isUdpSocketOn(fd: number, port: number): boolean {
  return isBoundTo(fd, port) && getOption("SO_TYPE", fd, SOL_SOCKET, SO_TYPE) === SOCK_DGRAM;
}

function isBoundTo(fd: number, port: number): boolean {
  name.fill(0);
  nameLength[0] = name.length;
  if (libc().getsockname(fd, name, nameLength) < 0) return false;
  const family = nameView.getUint16(SOCKADDR_FAMILY, true);
  if (family !== AF_INET && family !== AF_INET6) return false;
  if (nameView.getUint16(SOCKADDR_PORT) !== port) return false;
  const [start, length] = family === AF_INET ? [SOCKADDR_IN_ADDRESS, 4] : [SOCKADDR_IN6_ADDRESS, 16];
  return name.subarray(start, start + length).every((byte) => byte === 0);
}

const name = new Uint8Array(SOCKADDR_IN6_BYTES);
const nameView = new DataView(name.buffer);
const nameLength = new Uint32Array(1);
