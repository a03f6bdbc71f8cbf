/**
 * Addresses, prefixes and endpoints as text, both ways. Strict where other parsers differ: no leading zeros, no short
 * IPv4 forms, no host names. Output is what `inet_ntop` prints, so that it equals that of `wg` and `ip`.
 *
 * Spec: RFC 4291 §2.2 (text forms), RFC 5952 (canonical form), RFC 4007 §11 (zones).
 */
import {
  ENDPOINT_ADDRESS,
  ENDPOINT_BYTES,
  ENDPOINT_FAMILY,
  ENDPOINT_PORT,
  ENDPOINT_SCOPE,
  endpointRecord,
} from "./endpoint.ts";
import type { Prefix } from "./ip.ts";

/** The longest form: six groups and a dotted quad, all digits. */
const MAX_ADDRESS_TEXT = 45;
const GROUPS = 8;

/**
 * Reads an address: a dotted quad, or an IPv6 address without a zone.
 *
 * @returns 4 or 16 bytes (an IPv4-mapped address has 16), null if it is neither
 */
export function parseAddress(text: string): Uint8Array | null {
  if (text.length > MAX_ADDRESS_TEXT) return null;
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** Writes an address of 4 or 16 bytes. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return formatIpv4(bytes, 0);
  if (bytes.length !== 16) throw new RangeError("Address must have 4 or 16 bytes");
  const groups: number[] = [];
  for (let at = 0; at < 16; at += 2) groups.push((bytes[at] << 8) | bytes[at + 1]);
  const [start, length] = longestZeroRun(groups);
  if (start === 0 && (length === 6 || (length === 5 && groups[5] === 0xffff))) {
    return (length === 6 ? "::" : "::ffff:") + formatIpv4(bytes, 12);
  }
  const gap = length < 2 ? GROUPS : start;
  let text = "";
  for (let i = 0; i < GROUPS; i++) {
    if (i === gap) {
      text += "::";
      i += length - 1;
    } else {
      text += (i === 0 || text.endsWith("::") ? "" : ":") + groups[i].toString(16);
    }
  }
  return text;
}

function formatIpv4(bytes: Uint8Array, at: number): string {
  return `${bytes[at]}.${bytes[at + 1]}.${bytes[at + 2]}.${bytes[at + 3]}`;
}

/** Reads `address/length`; the length is mandatory, host bits stay as they are. Null if it is no prefix. */
export function parsePrefix(text: string): Prefix | null {
  const slash = text.indexOf("/");
  if (slash === -1) return null;
  const address = parseAddress(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (address === null || !/^(0|[1-9]\d{0,2})$/.test(length)) return null;
  const cidr = Number(length);
  return cidr <= 8 * address.length ? { address, cidr } : null;
}

/**
 * Reads an endpoint: `1.2.3.4:5`, `[2001:db8::1]:5` or, with a zone, `[fe80::1%3]:5`.
 *
 * @param zone turns the name of an interface into its index, null if there is none; without it only numbers are zones
 * @returns an endpoint record, an IPv4-mapped address turned into IPv4; null if it is no endpoint
 */
export function parseEndpoint(text: string, zone?: (name: string) => number | null): Uint8Array | null {
  const match = /^(?:\[([^\]%]+)(?:%([^\]]+))?\]|([\d.]+)):(\d{1,5})$/.exec(text);
  if (match === null) return null;
  const [, inBrackets, zoneText, bare, portText] = match;
  const address = parseAddress(inBrackets ?? bare);
  const port = Number(portText);
  if (address === null || port > 65_535) return null;
  if (inBrackets === undefined) return endpointRecord(address, port);
  if (address.length !== 16) return null;
  if (isIpv4Mapped(address)) return zoneText === undefined ? endpointRecord(address.subarray(12), port) : null;
  const scope = zoneText === undefined ? 0 : parseZone(zoneText, zone);
  return scope === null ? null : endpointRecord(address, port, scope);
}

/** Writes the endpoint record at `offset`, its zone as a number; an empty string if there is no endpoint. */
export function formatEndpoint(bytes: Uint8Array, offset: number): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, ENDPOINT_BYTES);
  const family = view.getUint16(ENDPOINT_FAMILY, true);
  if (family === 0) return "";
  const at = offset + ENDPOINT_ADDRESS;
  const port = view.getUint16(ENDPOINT_PORT, true);
  if (family === 4) return `${formatAddress(bytes.subarray(at, at + 4))}:${port}`;
  const scope = view.getUint32(ENDPOINT_SCOPE, true);
  const zone = scope === 0 ? "" : `%${scope}`;
  return `[${formatAddress(bytes.subarray(at, at + 16))}${zone}]:${port}`;
}

/** A host by name or address, and a port. */
export interface HostPort {
  /** Without brackets; an IPv6 address may have a zone. */
  readonly host: string;
  readonly port: number;
}

/** The longest host name of the DNS, as text. RFC 1035 §3.1 */
const MAX_HOST_TEXT = 253;

/** Reads `host:port` or `[IPv6 address]:port`, in ASCII; null if it is neither. The host is not looked up. */
export function parseHostPort(text: string): HostPort | null {
  const match = /^(?:\[([\da-fA-F:.]+(?:%[\w.-]+)?)\]|([\w.-]+)):(\d{1,5})$/.exec(text);
  if (match === null) return null;
  const [, inBrackets, bare, portText] = match;
  const host = inBrackets ?? bare;
  const port = Number(portText);
  return port <= 65_535 && host.length <= MAX_HOST_TEXT ? { host, port } : null;
}

function parseIpv4(text: string): Uint8Array | null {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return null;
  const address = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const digits = match[i + 1];
    const value = Number(digits);
    if (value > 255 || (digits.length > 1 && digits.startsWith("0"))) return null;
    address[i] = value;
  }
  return address;
}

function parseIpv6(text: string): Uint8Array | null {
  const plain = text.includes(".") ? withoutDottedQuad(text) : text;
  if (plain === null) return null;
  const halves = plain.split("::");
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0]);
  const tail = halves.length === 2 ? parseGroups(halves[1]) : [];
  if (head === null || tail === null) return null;
  const given = head.length + tail.length;
  // "::" stands for one group or more.
  if (halves.length === 2 ? given >= GROUPS : given !== GROUPS) return null;
  const address = new Uint8Array(16);
  const view = new DataView(address.buffer);
  head.forEach((group, i) => view.setUint16(2 * i, group));
  tail.forEach((group, i) => view.setUint16(2 * (GROUPS - tail.length + i), group));
  return address;
}

/** The address with its trailing dotted quad written as two groups. */
function withoutDottedQuad(text: string): string | null {
  const at = text.lastIndexOf(":") + 1;
  const quad = parseIpv4(text.slice(at));
  if (quad === null) return null;
  const [a, b, c, d] = quad;
  return `${text.slice(0, at)}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
}

/** Groups between colons; an empty text has none. */
function parseGroups(text: string): number[] | null {
  if (text === "") return [];
  const groups = text.split(":");
  return groups.every((group) => /^[\da-fA-F]{1,4}$/.test(group)) ? groups.map((group) => parseInt(group, 16)) : null;
}

function parseZone(text: string, zone?: (name: string) => number | null): number | null {
  if (!/^\d+$/.test(text)) return zone === undefined ? null : zone(text);
  const scope = Number(text);
  return scope < 2 ** 32 ? scope : null;
}

function isIpv4Mapped(address: Uint8Array): boolean {
  for (let i = 0; i < 10; i++) {
    if (address[i] !== 0) return false;
  }
  return address[10] === 0xff && address[11] === 0xff;
}

/** Start and length of the longest run of zero groups, the first of equals. */
function longestZeroRun(groups: number[]): [start: number, length: number] {
  let bestStart = 0;
  let bestLength = 0;
  let start = 0;
  for (let i = 0; i < groups.length; i++) {
    if (groups[i] !== 0) start = i + 1;
    else if (i + 1 - start > bestLength) [bestStart, bestLength] = [start, i + 1 - start];
  }
  return [bestStart, bestLength];
}
