/**
 * What probes carry: sixteen random bytes, in a question for names their digits.
 *
 * Spec: RFC 1035 §4.1, RFC 792, RFC 4443 §4.1.
 */
import { encodeHex } from "../crypto/encoding.ts";

const TOKEN_BYTES = 16;
const ECHO_REQUEST = 8;
const ECHO_REQUEST_V6 = 128;
const ECHO_BYTES = 8;
const QUERY_HEADER_BYTES = 12;
const RECURSION_DESIRED = 0x0100;
const TYPE_A = 1;
const CLASS_IN = 1;

/** A packet's contents, and the part of them that no other packet has. */
export interface Payload {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly token: Uint8Array;
}

export function plainPayload(): Payload {
  const token = randomBytes();
  return { bytes: token, token };
}

/** An echo request. The kernel knows the checksum of ICMPv6 and fills it in. */
export function echoPayload(family: 4 | 6): Payload {
  const token = randomBytes();
  const bytes = new Uint8Array(ECHO_BYTES + token.length);
  bytes[0] = family === 4 ? ECHO_REQUEST : ECHO_REQUEST_V6;
  bytes.set(token, ECHO_BYTES);
  if (family === 4) new DataView(bytes.buffer).setUint16(2, checksum(bytes));
  return { bytes, token };
}

/** A question for the address of a random name that does not exist. */
export function queryPayload(): Payload {
  const token = new TextEncoder().encode(encodeHex(randomBytes()));
  const labels = [token, new TextEncoder().encode("invalid")];
  const length = labels.reduce((sum, label) => sum + 1 + label.length, 1);
  const bytes = new Uint8Array(QUERY_HEADER_BYTES + length + 4);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, crypto.getRandomValues(new Uint16Array(1))[0]);
  view.setUint16(2, RECURSION_DESIRED);
  view.setUint16(4, 1);
  let at = QUERY_HEADER_BYTES;
  for (const label of labels) {
    bytes[at] = label.length;
    bytes.set(label, at + 1);
    at += 1 + label.length;
  }
  view.setUint16(at + 1, TYPE_A);
  view.setUint16(at + 3, CLASS_IN);
  return { bytes, token };
}

function randomBytes(): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(TOKEN_BYTES));
}

/** The Internet checksum of bytes whose own checksum field is zero. Spec: RFC 1071. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i] << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
