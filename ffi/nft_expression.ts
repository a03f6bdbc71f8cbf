/**
 * The expressions that nftables rules are made of. A rule's expressions run from left to right on one register; the
 * first comparison that fails ends the rule. What `nft` would print for each stands above it.
 *
 * Spec: linux/netfilter/nf_tables.h.
 */
import type { NetlinkMessage } from "./netlink_message.ts";

/** Writes an expression into an open list element. @returns the message */
export type Expression = (message: NetlinkMessage) => NetlinkMessage;

const EXPRESSION_NAME = 1;
const EXPRESSION_DATA = 2;
const DATA_VALUE = 1;
const DATA_VERDICT = 2;
const VERDICT_CODE = 1;

const REGISTER_VERDICT = 0;
/** Sixteen bytes, which is the longest that is compared here. */
const REGISTER = 1;

// Keys of meta.
const META_MARK = 3;
const META_IIFNAME = 6;
const META_OIFNAME = 7;
const META_NFPROTO = 15;
const META_L4PROTO = 16;

const CT_MARK = 3;

const BASE_NETWORK = 1;
const BASE_TRANSPORT = 2;

const COMPARE_EQUAL = 0;
const COMPARE_DIFFERENT = 1;

const FIB_SOURCE = 1;
const FIB_ADDRESS_TYPE = 3;
const ADDRESS_TYPE_LOCAL = 2;

const NF_DROP = 0;
const NF_ACCEPT = 1;

const PROTOCOL_UDP = 17;
const PROTOCOL_ICMPV6 = 58;
const NFPROTO_IPV4 = 2;
const NFPROTO_IPV6 = 10;
const IPV4_DESTINATION = 16;
const IPV6_DESTINATION = 24;
const INTERFACE_NAME_BYTES = 16;

/** `iifname != "NAME"` */
export function notFrom(interfaceName: string): Expression[] {
  return [loadMeta(META_IIFNAME), compare(COMPARE_DIFFERENT, interfaceNameKey(interfaceName))];
}

/** `oifname "NAME"` */
export function to(interfaceName: string): Expression[] {
  return [loadMeta(META_OIFNAME), compare(COMPARE_EQUAL, interfaceNameKey(interfaceName))];
}

/** `oifname @SET` */
export function toAnyOf(set: string): Expression[] {
  return [loadMeta(META_OIFNAME), lookUp(set)];
}

/** `iifname @SET` */
export function fromAnyOf(set: string): Expression[] {
  return [loadMeta(META_IIFNAME), lookUp(set)];
}

/** `meta mark @SET` */
export function markedAnyOf(set: string): Expression[] {
  return [loadMeta(META_MARK), lookUp(set)];
}

/** `meta mark MARK` */
export function marked(mark: number): Expression[] {
  return [loadMeta(META_MARK), compare(COMPARE_EQUAL, markKey(mark))];
}

/** `ip daddr ADDRESS` or `ip6 daddr ADDRESS`, in a table of that family. @param address 4 or 16 bytes */
export function destined(address: Uint8Array): Expression[] {
  const at = address.length === 4 ? IPV4_DESTINATION : IPV6_DESTINATION;
  return [loadPayload(BASE_NETWORK, at, address.length), compare(COMPARE_EQUAL, address)];
}

/** `fib saddr type != local` */
export function notFromThisHost(): Expression[] {
  const fib = expression("fib", (message) =>
    message
      .attribute(1, u32(REGISTER)).attribute(2, u32(FIB_ADDRESS_TYPE)).attribute(3, u32(FIB_SOURCE)));
  return [fib, compare(COMPARE_DIFFERENT, markKey(ADDRESS_TYPE_LOCAL))];
}

/** `meta l4proto udp` */
export function isUdp(): Expression[] {
  return [loadMeta(META_L4PROTO), compare(COMPARE_EQUAL, Uint8Array.of(PROTOCOL_UDP))];
}

/** `meta nfproto ipv4 udp sport SOURCE udp dport DESTINATION`, or ipv6 */
export function udpPorts(family: 4 | 6, source: number, destination: number): Expression[] {
  const ports = Uint8Array.of(source >> 8, source & 0xff, destination >> 8, destination & 0xff);
  return [
    ...isFamily(family),
    ...isUdp(),
    loadPayload(BASE_TRANSPORT, 0, 4),
    compare(COMPARE_EQUAL, ports),
  ];
}

/** `icmpv6 type TYPE` */
export function icmpv6Type(type: number): Expression[] {
  return [
    ...isFamily(6),
    loadMeta(META_L4PROTO),
    compare(COMPARE_EQUAL, Uint8Array.of(PROTOCOL_ICMPV6)),
    loadPayload(BASE_TRANSPORT, 0, 1),
    compare(COMPARE_EQUAL, Uint8Array.of(type)),
  ];
}

/** `ct mark set meta mark` */
export function saveMark(): Expression[] {
  const set = expression("ct", (message) => message.attribute(2, u32(CT_MARK)).attribute(4, u32(REGISTER)));
  return [loadMeta(META_MARK), set];
}

/** `meta mark set ct mark` */
export function restoreMark(): Expression[] {
  const load = expression("ct", (message) => message.attribute(1, u32(REGISTER)).attribute(2, u32(CT_MARK)));
  const set = expression("meta", (message) => message.attribute(2, u32(META_MARK)).attribute(3, u32(REGISTER)));
  return [load, set];
}

/** `counter` */
export function count(): Expression[] {
  const zero = new Uint8Array(8);
  return [expression("counter", (message) => message.attribute(1, zero).attribute(2, zero))];
}

/** `drop` */
export function drop(): Expression[] {
  return [verdict(NF_DROP)];
}

/** `accept` */
export function accept(): Expression[] {
  return [verdict(NF_ACCEPT)];
}

/** A mark as rules and sets compare it: host order. */
export function markKey(mark: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, mark >>> 0, true);
  return bytes;
}

/** An interface's name as rules and sets compare it: zeros up to 16 bytes. */
export function interfaceNameKey(name: string): Uint8Array {
  const bytes = new Uint8Array(INTERFACE_NAME_BYTES);
  const text = new TextEncoder().encode(name);
  if (text.length >= bytes.length) throw new RangeError("Interface name is too long");
  bytes.set(text);
  return bytes;
}

function isFamily(family: 4 | 6): Expression[] {
  const protocol = Uint8Array.of(family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6);
  return [loadMeta(META_NFPROTO), compare(COMPARE_EQUAL, protocol)];
}

function loadMeta(key: number): Expression {
  return expression("meta", (message) => message.attribute(1, u32(REGISTER)).attribute(2, u32(key)));
}

function loadPayload(base: number, offset: number, length: number): Expression {
  return expression("payload", (message) =>
    message
      .attribute(1, u32(REGISTER)).attribute(2, u32(base)).attribute(3, u32(offset)).attribute(4, u32(length)));
}

function compare(how: number, value: Uint8Array): Expression {
  return expression("cmp", (message) =>
    message
      .attribute(1, u32(REGISTER)).attribute(2, u32(how)).begin(3).attribute(DATA_VALUE, value).end());
}

function lookUp(set: string): Expression {
  return expression("lookup", (message) => message.attributeText(1, set).attribute(2, u32(REGISTER)));
}

function verdict(code: number): Expression {
  return expression("immediate", (message) =>
    message
      .attribute(1, u32(REGISTER_VERDICT))
      .begin(2).begin(DATA_VERDICT).attribute(VERDICT_CODE, u32(code)).end().end());
}

function expression(name: string, data: (message: NetlinkMessage) => NetlinkMessage): Expression {
  return (message) => data(message.attributeText(EXPRESSION_NAME, name).begin(EXPRESSION_DATA)).end();
}

/** Big-endian, as nfnetlink wants every integer. */
function u32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}
