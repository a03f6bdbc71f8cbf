/**
 * Telling the packets of a leak test from all others that leave the host: by random bytes that they carry, and those of
 * TCP, whose first packet carries nothing, by their port.
 *
 * Where the next hop's link address is not known yet, the kernel asks for it and holds the packet back. That question
 * is as good as the packet: it comes behind all filters.
 *
 * Spec: RFC 791, RFC 8200 §3, RFC 9293 §3.1, RFC 826, RFC 4861 §4.3.
 */
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, type TappedPacket } from "../ffi/packet_tap.ts";
import { PROBE_HOPS, type ProbeKind } from "../ffi/probe_socket.ts";

const IPV4_HOPS = 8;
const IPV4_PROTOCOL = 9;
const IPV4_BYTES = 20;
const IPV6_PROTOCOL = 6;
const IPV6_HOPS = 7;
const IPV6_BYTES = 40;
const PROTOCOL_TCP = 6;
const PROTOCOL_ICMPV6 = 58;

const TCP_FLAGS = 13;
const TCP_BYTES = 20;
const SYN = 0x02;
const ACK = 0x10;

const ARP_LINK_BYTES = 4;
const ARP_OPERATION = 6;
const ARP_REQUEST = 1;
const ARP_BYTES = 8;
const SOLICITATION = 135;
const SOLICITATION_TARGET = 8;

/** What a probe is known by. */
export interface ProbeMark {
  readonly kind: ProbeKind;
  /** Bytes that occur in the packet; for TCP not looked at. */
  readonly token: Uint8Array;
  /** Source port, for TCP. */
  readonly port: number;
}

/** Whether a packet is the probe known by `mark`. */
export function isProbe({ protocol, bytes }: TappedPacket, mark: ProbeMark): boolean {
  if (protocol !== ETHERTYPE_IPV4 && protocol !== ETHERTYPE_IPV6) return false;
  return mark.kind === "tcp" ? isSynFrom(bytes, protocol === ETHERTYPE_IPV4, mark.port) : contains(bytes, mark.token);
}

/** The address, of 4 or 16 bytes, whose link address a packet asks for; null if it asks for none. */
export function askedNeighbour({ protocol, bytes }: TappedPacket): Uint8Array | null {
  if (protocol === ETHERTYPE_ARP) return askedByArp(bytes);
  if (protocol !== ETHERTYPE_IPV6 || bytes.length < IPV6_BYTES + SOLICITATION_TARGET + 16) return null;
  if (bytes[IPV6_PROTOCOL] !== PROTOCOL_ICMPV6 || bytes[IPV6_BYTES] !== SOLICITATION) return null;
  return bytes.subarray(IPV6_BYTES + SOLICITATION_TARGET, IPV6_BYTES + SOLICITATION_TARGET + 16);
}

function isSynFrom(bytes: Uint8Array, isIpv4: boolean, port: number): boolean {
  if (bytes.length < (isIpv4 ? IPV4_BYTES : IPV6_BYTES) + TCP_BYTES) return false;
  if (bytes[isIpv4 ? IPV4_PROTOCOL : IPV6_PROTOCOL] !== PROTOCOL_TCP) return false;
  if (bytes[isIpv4 ? IPV4_HOPS : IPV6_HOPS] !== PROBE_HOPS) return false;
  const at = isIpv4 ? 4 * (bytes[0] & 0x0f) : IPV6_BYTES;
  return (bytes[at + TCP_FLAGS] & (SYN | ACK)) === SYN && ((bytes[at] << 8) | bytes[at + 1]) === port;
}

function askedByArp(bytes: Uint8Array): Uint8Array | null {
  const target = ARP_BYTES + 2 * bytes[ARP_LINK_BYTES] + 4;
  if (bytes.length < target + 4 || ((bytes[ARP_OPERATION] << 8) | bytes[ARP_OPERATION + 1]) !== ARP_REQUEST) {
    return null;
  }
  return bytes.subarray(target, target + 4);
}

function contains(bytes: Uint8Array, token: Uint8Array): boolean {
  for (let at = 0; at + token.length <= bytes.length; at++) {
    let i = 0;
    while (i < token.length && bytes[at + i] === token[i]) i++;
    if (i === token.length) return true;
  }
  return false;
}
