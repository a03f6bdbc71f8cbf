/**
 * Endpoint records (tunnel/endpoint.ts) to and from what the kernel's message calls want: socket addresses, and control
 * messages with our own address. Everything works at byte offsets of long-lived views and allocates nothing.
 */
import {
  AF_INET,
  AF_INET6,
  CMSG_ALIGN,
  CMSG_DATA,
  CMSG_LENGTH,
  CMSG_LEVEL,
  CMSG_TYPE,
  SOCKADDR_FAMILY,
  SOCKADDR_IN6_ADDRESS,
  SOCKADDR_IN6_BYTES,
  SOCKADDR_IN6_FLOW,
  SOCKADDR_IN6_SCOPE,
  SOCKADDR_IN_ADDRESS,
  SOCKADDR_IN_BYTES,
  SOCKADDR_PORT,
} from "../ffi/socket.ts";
import { IP_PKTINFO, IPV6_PKTINFO, SOL_IP, SOL_IPV6, SOL_UDP, UDP_GRO, UDP_SEGMENT } from "../ffi/udp.ts";
import {
  ENDPOINT_ADDRESS,
  ENDPOINT_FAMILY,
  ENDPOINT_PORT,
  ENDPOINT_SCOPE,
  ENDPOINT_SOURCE,
  ENDPOINT_SOURCE_IFINDEX,
} from "../tunnel/endpoint.ts";

/** Room for the address of either family, rounded up to a multiple of 8. */
export const SOCKADDR_ROOM = 32;
/** Most that `writeSource` writes: an IPv6 source. */
export const SOURCE_CONTROL_ROOM = 40;
/** What `writeSegmentSize` writes. */
export const SEGMENT_SPACE = 24;
/** Room for all control messages a datagram can bring: packet info of IPv6 (40) and a segment size (24). */
export const RECEIVE_CONTROL_ROOM = 64;

/** in_pktinfo: ifindex i32, our address 4, destination in the header 4. */
const PKTINFO4_IFINDEX = CMSG_DATA;
const PKTINFO4_LOCAL = PKTINFO4_IFINDEX + 4;
const PKTINFO4_HEADER = PKTINFO4_LOCAL + 4;
const PKTINFO4_LENGTH = PKTINFO4_HEADER + 4; // 28
const PKTINFO4_SPACE = 32;

/** in6_pktinfo: address 16, ifindex u32. */
const PKTINFO6_ADDRESS = CMSG_DATA;
const PKTINFO6_IFINDEX = PKTINFO6_ADDRESS + 16;
const PKTINFO6_LENGTH = PKTINFO6_IFINDEX + 4; // 36
const PKTINFO6_SPACE = 40;

const GRO_LENGTH = CMSG_DATA + 4; // 20
const SEGMENT_LENGTH = CMSG_DATA + 2; // 18

/** `::ffff:0:0/96` as little-endian words: 0, 0, then this. */
const MAPPED_WORD = 0xffff_0000;

/**
 * Writes the destination of a record as sockaddr_in or sockaddr_in6.
 *
 * @param at offset in `view` of SOCKADDR_ROOM bytes
 * @param recordAt offset in `records` of the 48-byte record
 * @returns the address's length, 0 if the record is empty
 */
export function writeSockaddr(view: DataView, at: number, records: DataView, recordAt: number): number {
  const family = records.getUint16(recordAt + ENDPOINT_FAMILY, true);
  if (family === 0) return 0;
  const isIpv4 = family === 4;
  view.setUint16(at + SOCKADDR_FAMILY, isIpv4 ? AF_INET : AF_INET6, true);
  view.setUint16(at + SOCKADDR_PORT, records.getUint16(recordAt + ENDPOINT_PORT, true));
  if (isIpv4) {
    copyWord(view, at + SOCKADDR_IN_ADDRESS, records, recordAt + ENDPOINT_ADDRESS);
    view.setUint32(at + SOCKADDR_IN_ADDRESS + 4, 0);
    view.setUint32(at + SOCKADDR_IN_ADDRESS + 8, 0);
    return SOCKADDR_IN_BYTES;
  }
  view.setUint32(at + SOCKADDR_IN6_FLOW, 0);
  copyAddress6(view, at + SOCKADDR_IN6_ADDRESS, records, recordAt + ENDPOINT_ADDRESS);
  view.setUint32(at + SOCKADDR_IN6_SCOPE, records.getUint32(recordAt + ENDPOINT_SCOPE, true), true);
  return SOCKADDR_IN6_BYTES;
}

/**
 * Fills a record with the sender of a datagram and an empty source; an IPv4-mapped address becomes IPv4.
 *
 * @param at offset in `view` of the address the kernel wrote
 * @returns false, and an empty record, if the address is of neither family
 */
export function readSockaddr(view: DataView, at: number, records: DataView, recordAt: number): boolean {
  clearSource(records, recordAt);
  const family = view.getUint16(at + SOCKADDR_FAMILY, true);
  if (family !== AF_INET && family !== AF_INET6) {
    records.setUint16(recordAt + ENDPOINT_FAMILY, 0, true);
    return false;
  }
  const address = recordAt + ENDPOINT_ADDRESS;
  const isIpv4 = family === AF_INET || isMapped(view, at + SOCKADDR_IN6_ADDRESS);
  records.setUint16(recordAt + ENDPOINT_FAMILY, isIpv4 ? 4 : 6, true);
  records.setUint16(recordAt + ENDPOINT_PORT, view.getUint16(at + SOCKADDR_PORT), true);
  if (isIpv4) {
    records.setUint32(recordAt + ENDPOINT_SCOPE, 0);
    copyWord(records, address, view, at + (family === AF_INET ? SOCKADDR_IN_ADDRESS : SOCKADDR_IN6_ADDRESS + 12));
    clearWords(records, address + 4, 3);
  } else {
    records.setUint32(recordAt + ENDPOINT_SCOPE, view.getUint32(at + SOCKADDR_IN6_SCOPE, true), true);
    copyAddress6(records, address, view, at + SOCKADDR_IN6_ADDRESS);
  }
  return true;
}

/**
 * Reads the control messages of a received datagram: the address of ours that it was sent to goes into the record's
 * source fields, which `readSockaddr` has emptied before.
 *
 * @param at offset in `view` of the first control message, `length` bytes in all as the kernel reported
 * @returns the size of the segments that the kernel joined (UDP_GRO), 0 for a single datagram
 */
export function readControl(
  view: DataView,
  at: number,
  length: number,
  records: DataView,
  recordAt: number,
): number {
  const end = at + length;
  let segment = 0;
  while (at + CMSG_DATA <= end) {
    const size = view.getUint32(at + CMSG_LENGTH, true);
    if (size < CMSG_DATA || at + size > end) break;
    const level = view.getInt32(at + CMSG_LEVEL, true);
    const type = view.getInt32(at + CMSG_TYPE, true);
    if (level === SOL_UDP && type === UDP_GRO && size >= GRO_LENGTH) {
      segment = view.getUint32(at + CMSG_DATA, true);
    } else if (level === SOL_IP && type === IP_PKTINFO && size >= PKTINFO4_LENGTH) {
      readSource4(view, at, records, recordAt);
    } else if (level === SOL_IPV6 && type === IPV6_PKTINFO && size >= PKTINFO6_LENGTH) {
      readSource6(view, at, records, recordAt);
    }
    at += (size + CMSG_ALIGN - 1) & -CMSG_ALIGN;
  }
  return segment;
}

/**
 * Writes a control message that makes the kernel send from the record's source address.
 *
 * @param at offset in `view` of SOURCE_CONTROL_ROOM bytes
 * @param pin also force the interface of the source. Without it routing chooses the way out, as in kernel WireGuard; a
 * link-local source is pinned in any case, for it means nothing without its interface.
 * @returns the length of the control buffer, 0 if the kernel shall choose the source
 */
export function writeSource(view: DataView, at: number, records: DataView, recordAt: number, pin: boolean): number {
  const family = records.getUint16(recordAt + ENDPOINT_FAMILY, true);
  const source = recordAt + ENDPOINT_SOURCE;
  if (isClear(records, source, family === 4 ? 1 : 4)) return 0;
  const ifindex = records.getUint32(recordAt + ENDPOINT_SOURCE_IFINDEX, true);
  if (family === 4) {
    writeHeader(view, at, PKTINFO4_LENGTH, SOL_IP, IP_PKTINFO);
    view.setUint32(at + PKTINFO4_IFINDEX, pin ? ifindex : 0, true);
    copyWord(view, at + PKTINFO4_LOCAL, records, source);
    view.setUint32(at + PKTINFO4_HEADER, 0);
    view.setUint32(at + PKTINFO4_LENGTH, 0);
    return PKTINFO4_SPACE;
  }
  if (family === 6) {
    writeHeader(view, at, PKTINFO6_LENGTH, SOL_IPV6, IPV6_PKTINFO);
    copyAddress6(view, at + PKTINFO6_ADDRESS, records, source);
    view.setUint32(at + PKTINFO6_IFINDEX, pin || isLinkLocal(records, source) ? ifindex : 0, true);
    view.setUint32(at + PKTINFO6_LENGTH, 0);
    return PKTINFO6_SPACE;
  }
  return 0;
}

/**
 * Writes a control message that makes the kernel cut what is sent into datagrams of `size` bytes (UDP_SEGMENT).
 *
 * @param at offset in `view` of SEGMENT_SPACE bytes, behind other control messages or at the start
 * @returns what it adds to the length of the control buffer
 */
export function writeSegmentSize(view: DataView, at: number, size: number): number {
  writeHeader(view, at, SEGMENT_LENGTH, SOL_UDP, UDP_SEGMENT);
  view.setUint32(at + CMSG_DATA, 0);
  view.setUint32(at + CMSG_DATA + 4, 0);
  view.setUint16(at + CMSG_DATA, size, true);
  return SEGMENT_SPACE;
}

/** Empties the source of a record: the kernel will choose. */
export function clearSource(records: DataView, recordAt: number): void {
  records.setUint32(recordAt + ENDPOINT_SOURCE_IFINDEX, 0);
  clearWords(records, recordAt + ENDPOINT_SOURCE, 5);
}

function readSource4(view: DataView, at: number, records: DataView, recordAt: number): void {
  records.setUint32(recordAt + ENDPOINT_SOURCE_IFINDEX, view.getUint32(at + PKTINFO4_IFINDEX, true), true);
  // The local address and not the header's: they differ for a broadcast, which nothing can be sent from.
  copyWord(records, recordAt + ENDPOINT_SOURCE, view, at + PKTINFO4_LOCAL);
}

function readSource6(view: DataView, at: number, records: DataView, recordAt: number): void {
  const address = at + PKTINFO6_ADDRESS;
  // A multicast group, which nothing can be sent from either.
  if (view.getUint8(address) === 0xff) return;
  records.setUint32(recordAt + ENDPOINT_SOURCE_IFINDEX, view.getUint32(at + PKTINFO6_IFINDEX, true), true);
  if (isMapped(view, address)) copyWord(records, recordAt + ENDPOINT_SOURCE, view, address + 12);
  else copyAddress6(records, recordAt + ENDPOINT_SOURCE, view, address);
}

function writeHeader(view: DataView, at: number, length: number, level: number, type: number): void {
  view.setUint32(at + CMSG_LENGTH, length, true);
  view.setUint32(at + CMSG_LENGTH + 4, 0, true);
  view.setInt32(at + CMSG_LEVEL, level, true);
  view.setInt32(at + CMSG_TYPE, type, true);
}

function isMapped(view: DataView, at: number): boolean {
  return view.getUint32(at + 8, true) === MAPPED_WORD && isClear(view, at, 2);
}

/** fe80::/10. */
function isLinkLocal(view: DataView, at: number): boolean {
  return (view.getUint16(at) & 0xffc0) === 0xfe80;
}

function isClear(view: DataView, at: number, words: number): boolean {
  for (let i = 0; i < words; i++) {
    if (view.getUint32(at + 4 * i) !== 0) return false;
  }
  return true;
}

function clearWords(view: DataView, at: number, words: number): void {
  for (let i = 0; i < words; i++) view.setUint32(at + 4 * i, 0);
}

function copyWord(to: DataView, toAt: number, from: DataView, fromAt: number): void {
  to.setUint32(toAt, from.getUint32(fromAt));
}

function copyAddress6(to: DataView, toAt: number, from: DataView, fromAt: number): void {
  for (let i = 0; i < 16; i += 4) to.setUint32(toAt + i, from.getUint32(fromAt + i));
}
