/**
 * Values of WireGuard's keys as text, with exactly `wg`'s rules and words. Every function throws a ValueError for what
 * `wg` refuses; keys are never repeated in it.
 *
 * Spec: wg(8).
 */
import { decodeKeyBase64 } from "../crypto/encoding.ts";
import { parseAddress } from "../tunnel/address_text.ts";
import { ValueError } from "./config_error.ts";

/** The UDP port of a service such as `domain`, null if there is none. */
export type ServicePort = (name: string) => number | null;

/** A host that may be a name, and a port. */
export interface EndpointText {
  /** Without brackets; an IPv6 address may have a zone. */
  readonly host: string;
  readonly port: number;
}

/** One entry of a list of allowed IPs. */
export interface AllowedIpText {
  /** 4 or 16 bytes, host bits as written. */
  readonly address: Uint8Array;
  readonly cidr: number;
  /** `-` stood before it. */
  readonly remove: boolean;
}

export interface AllowedIpsText {
  readonly entries: readonly AllowedIpText[];
  /** The list takes the place of the former one: no `+` or `-` stood in it. */
  readonly replace: boolean;
}

const GREATEST_MARK = 0xffffffff;
const GREATEST_PORT = 0xffff;
const GREATEST_KEEPALIVE = 0xffff;

/** A key of 32 bytes: 44 characters of canonical base64. */
export function parseKeyText(text: string): Uint8Array {
  const key = decodeKeyBase64(text);
  if (key === null) throw new ValueError("Key is not the correct length or format");
  return key;
}

/** A UDP port by number or by service name; 0 lets the system choose. */
export function parsePort(text: string, servicePort: ServicePort = noService): number {
  if (text === "") throw new ValueError("Unable to parse empty port");
  return portOf(text, text, servicePort);
}

/** `off`, decimal, or hexadecimal behind a lower-case `0x`; 0 is off. */
export function parseFwmark(text: string): number {
  if (text.toLowerCase() === "off") return 0;
  const mark = /^\d+$|^0x[\da-fA-F]+$/.test(text) ? Number(text) : NaN;
  if (mark <= GREATEST_MARK) return mark;
  throw new ValueError(`Fwmark is neither 0/off nor 0-0xffffffff: \`${text}'`);
}

/** `off` or seconds; 0 is off. */
export function parseKeepalive(text: string): number {
  if (text.toLowerCase() === "off") return 0;
  const seconds = /^\d+$/.test(text) ? Number(text) : NaN;
  if (seconds <= GREATEST_KEEPALIVE) return seconds;
  throw new ValueError(`Persistent keepalive interval is neither 0/off nor 1-65535: \`${text}'`);
}

/** `[host]:port`, or `host:port` cut at the last colon. The host is not looked up. */
export function parseEndpointText(text: string, servicePort: ServicePort = noService): EndpointText {
  if (text === "") throw new ValueError("Unable to parse empty endpoint");
  const isBracketed = text.startsWith("[");
  const split = isBracketed ? text.indexOf("]") : text.lastIndexOf(":");
  if (isBracketed && split === -1) throw new ValueError(`Unable to find matching brace of endpoint: \`${text}'`);
  const port = isBracketed ? /^\]:(.+)$/s.exec(text.slice(split))?.[1] : text.slice(split + 1);
  if (split === -1 || port === undefined || port === "") {
    throw new ValueError(`Unable to find port of endpoint: \`${text}'`);
  }
  const host = text.slice(isBracketed ? 1 : 0, split);
  if (host === "") throw new ValueError(`Name or service not known: \`${text}'`);
  return { host, port: portOf(port, text, servicePort) };
}

/**
 * A comma-separated list without white space; empty empties the list. A missing mask stands for the whole address. `+`
 * adds to what is there, `-` takes away.
 */
export function parseAllowedIps(text: string): AllowedIpsText {
  if (text === "") return { entries: [], replace: true };
  const items = text.split(",");
  return { entries: items.map(parseAllowedIp), replace: !items.some((item) => /^[+-]/.test(item)) };
}

/** An address with or without a mask; without one, the whole address. @param what the prefix is, for the error */
export function parsePrefixText(text: string, what = "AllowedIP"): { address: Uint8Array; cidr: number } {
  const [addressText, ...masks] = text.split("/");
  const address = parseAddress(addressText);
  if (address === null) throw new ValueError(`Unable to parse IP address: \`${addressText}'`);
  if (masks.length === 0) return { address, cidr: 8 * address.length };
  const mask = masks.join("/");
  const cidr = /^\d+$/.test(mask) ? Number(mask) : NaN;
  if (cidr <= 8 * address.length) return { address, cidr };
  throw new ValueError(`${what} is not in the correct format: \`${text}'`);
}

/** Whether bits behind the prefix are set. */
export function hasHostBits(address: Uint8Array, cidr: number): boolean {
  return address.some((byte, i) => (byte & (0xff >> Math.min(8, Math.max(0, cidr - 8 * i)))) !== 0);
}

/** A copy with the bits behind the prefix cleared. */
export function maskAddress(address: Uint8Array, cidr: number): Uint8Array {
  return address.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, cidr - 8 * i))));
}

function parseAllowedIp(item: string): AllowedIpText {
  const isChange = /^[+-]/.test(item);
  return { ...parsePrefixText(isChange ? item.slice(1) : item), remove: item.startsWith("-") };
}

/** @param shown what the error repeats */
function portOf(text: string, shown: string, servicePort: ServicePort): number {
  const port = /^[ \t]*\+?\d+$/.test(text) ? Number(text) : servicePort(text);
  if (port !== null && port <= GREATEST_PORT) return port;
  throw new ValueError(`Servname not supported for ai_socktype: \`${shown}'`);
}

function noService(): null {
  return null;
}
