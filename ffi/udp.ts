/**
 * UDP sockets with what WireGuard wants of them: the local address of every datagram, no DF on what we send (as kernel
 * WireGuard), large buffers, a mark, and one port for both families.
 */
import { checked, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, SyscallError } from "./errno.ts";
import { close } from "./file.ts";
import { libc } from "./libc.ts";
import {
  AF_INET,
  AF_INET6,
  createSocket,
  setOption,
  SO_MARK,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_REUSEPORT,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOCK_DGRAM,
  SOCKADDR_FAMILY,
  SOCKADDR_IN6_BYTES,
  SOCKADDR_IN_BYTES,
  SOCKADDR_PORT,
  SOL_SOCKET,
  trySetOption,
} from "./socket.ts";

export const SOL_IP = 0;
export const SOL_IPV6 = 41;
export const SOL_UDP = 17;

/** Control message of level SOL_IP: ifindex i32, local address 4, destination of the header 4. */
export const IP_PKTINFO = 8;
/** Control message of level SOL_IPV6: address 16, ifindex u32. */
export const IPV6_PKTINFO = 50;
/** Control message and option of level SOL_UDP: size of the segments sent, u16. */
export const UDP_SEGMENT = 103;
/** Option, and control message of level SOL_UDP: size of the segments received, int. */
export const UDP_GRO = 104;

const IP_MTU_DISCOVER = 10;
const IPV6_MTU_DISCOVER = 23;
const IPV6_V6ONLY = 26;
const IPV6_RECVPKTINFO = 49;
const PMTUDISC_DONT = 0;

/** 7 MiB: a burst of 64 KiB batches outlasts a pause of the loop. */
const BUFFER_BYTES = 7 * 1024 * 1024;
/** A port that the system chose for IPv4 may be taken for IPv6. */
const PORT_TRIES = 100;

export interface UdpOptions {
  /** SO_MARK, 0 for none. */
  readonly mark?: number;
  /** Several sockets may share the port, and the kernel spreads flows over them. */
  readonly reusePort?: boolean;
}

/** The sockets of a device; a family that the host lacks is -1. */
export interface UdpPair {
  readonly fd4: number;
  readonly fd6: number;
  /** What both are bound to. */
  readonly port: number;
}

/**
 * A UDP socket bound to all addresses of one family: non-blocking, close-on-exec, IPv6 without mapped IPv4.
 *
 * @param port 0 chooses one
 * @throws {SyscallError} EADDRINUSE, EAFNOSUPPORT, EACCES, EPERM (mark)
 */
export function openUdp(family: 4 | 6, port: number, options: UdpOptions = {}): { fd: number; port: number } {
  const fd = createSocket(family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM);
  try {
    if (family === 4) {
      setOption("IP_PKTINFO", fd, SOL_IP, IP_PKTINFO, 1);
      setOption("IP_MTU_DISCOVER", fd, SOL_IP, IP_MTU_DISCOVER, PMTUDISC_DONT);
    } else {
      setOption("IPV6_V6ONLY", fd, SOL_IPV6, IPV6_V6ONLY, 1);
      setOption("IPV6_RECVPKTINFO", fd, SOL_IPV6, IPV6_RECVPKTINFO, 1);
      setOption("IPV6_MTU_DISCOVER", fd, SOL_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DONT);
    }
    if (options.reusePort) setOption("SO_REUSEPORT", fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (options.mark) setMark(fd, options.mark);
    enlargeBuffers(fd);
    bindAny(fd, family, port);
    return { fd, port: localPort(fd) };
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * One socket per family on the same port.
 *
 * @param port 0 chooses one that is free in both
 * @throws {SyscallError} as `openUdp`; a host without IPv6, or without IPv4, is no error
 */
export function openUdpPair(port: number, options: UdpOptions = {}): UdpPair {
  for (let attempt = 1;; attempt++) {
    const four = openIfSupported(4, port, options);
    try {
      const six = openIfSupported(6, four?.port ?? port, options);
      if (four === null && six === null) throw new SyscallError("socket", EAFNOSUPPORT);
      return { fd4: four?.fd ?? -1, fd6: six?.fd ?? -1, port: (four ?? six)!.port };
    } catch (error) {
      if (four !== null) close(four.fd);
      const taken = error instanceof SyscallError && error.errno === EADDRINUSE;
      if (!taken || port !== 0 || attempt === PORT_TRIES) throw error;
    }
  }
}

/** Lets further sockets of this user share the port of two that had it to themselves, by `reusePort`. */
export function shareUdpPair(pair: UdpPair): void {
  for (const fd of [pair.fd4, pair.fd6]) if (fd >= 0) setOption("SO_REUSEPORT", fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

/** Closes what `openUdpPair` opened. */
export function closeUdpPair(pair: UdpPair): void {
  if (pair.fd4 >= 0) close(pair.fd4);
  if (pair.fd6 >= 0) close(pair.fd6);
}

/** SO_MARK of what the socket sends; 0 for none. @throws {SyscallError} EPERM without CAP_NET_ADMIN */
export function setMark(fd: number, mark: number): void {
  setOption("SO_MARK", fd, SOL_SOCKET, SO_MARK, mark);
}

/** Lets the kernel join datagrams of a flow, said by a UDP_GRO control message. @returns whether it can (Linux 5.0) */
export function enableGro(fd: number): boolean {
  return trySetOption(fd, SOL_UDP, UDP_GRO, 1);
}

/** The port a socket of either family is bound to. */
export function localPort(fd: number): number {
  const address = new Uint8Array(SOCKADDR_IN6_BYTES);
  const length = new Uint32Array([address.length]);
  checked("getsockname", libc().getsockname(fd, address, length));
  return new DataView(address.buffer).getUint16(SOCKADDR_PORT);
}

function openIfSupported(family: 4 | 6, port: number, options: UdpOptions): { fd: number; port: number } | null {
  try {
    return openUdp(family, port, options);
  } catch (error) {
    // EADDRNOTAVAIL: the family exists but has been switched off, and not even "any address" is there.
    if (error instanceof SyscallError && (error.errno === EAFNOSUPPORT || error.errno === EADDRNOTAVAIL)) return null;
    throw error;
  }
}

function enlargeBuffers(fd: number): void {
  // The FORCE forms need CAP_NET_ADMIN; without it the kernel caps at net.core.[rw]mem_max, which still works.
  if (!trySetOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)) {
    setOption("SO_RCVBUF", fd, SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
  }
  if (!trySetOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES)) {
    setOption("SO_SNDBUF", fd, SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES);
  }
}

function bindAny(fd: number, family: 4 | 6, port: number): void {
  const address = new Uint8Array(family === 4 ? SOCKADDR_IN_BYTES : SOCKADDR_IN6_BYTES);
  const view = new DataView(address.buffer);
  view.setUint16(SOCKADDR_FAMILY, family === 4 ? AF_INET : AF_INET6, true);
  view.setUint16(SOCKADDR_PORT, port);
  checked(`bind port ${port}`, libc().bind(fd, address, address.length));
}
