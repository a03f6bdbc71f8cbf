/**
 * Messages of the DNS: a question for the addresses of a name, and what an answer says to it. Answers come from the
 * network: whatever is in them, reading ends, and says no more than whether there is an answer.
 *
 * ```
 * id u16 | flags u16 | questions u16 | answers u16 | authorities u16 | additionals u16, then the sections; big-endian
 * question: name | type u16 | class u16
 * record:   name | type u16 | class u16 | TTL u32 | length u16 | data
 * name:     (length u8 | bytes)… 0, or at its end a pointer 11oooooo oooooooo to where the rest of it stands
 * ```
 *
 * Spec: RFC 1035 §4.1, RFC 2181 §5.2 and §8 (TTLs), RFC 3596 (AAAA), RFC 6891 (EDNS).
 */

export const TYPE_A = 1;
export const TYPE_AAAA = 28;
const TYPE_CNAME = 5;
const TYPE_OPT = 41;
const CLASS_IN = 1;

const ID = 0;
const FLAGS = ID + 2;
const QUESTIONS = FLAGS + 2;
const ANSWERS = QUESTIONS + 2;
const ADDITIONALS = ANSWERS + 4;
const HEADER_BYTES = ADDITIONALS + 2;

const FLAG_RESPONSE = 0x8000;
const OPCODE = 0x7800;
const FLAG_TRUNCATED = 0x0200;
const FLAG_RECURSION_DESIRED = 0x0100;
const RCODE = 0x000f;
const RCODE_OK = 0;
const RCODE_NO_SUCH_NAME = 3;

/** What passes everywhere in one piece; answers that are longer are asked for over TCP. */
export const UDP_ANSWER_BYTES = 1232;

const MAX_LABEL = 63;
/** Of a name as it stands in a message, without its final zero. */
const MAX_NAME_BYTES = 254;
/** A name in an answer that has more pointers is not followed. */
const MAX_POINTERS = 16;
/** Records and aliases in one answer; the rest is left. */
const MAX_RECORDS = 256;
const MAX_ALIASES = 16;

/** What one answer says. */
export type DnsAnswer =
  /** Addresses of 4 or 16 bytes, in the server's order, good for `ttl` seconds. */
  | { readonly kind: "addresses"; readonly addresses: readonly Uint8Array[]; readonly ttl: number }
  /** The name stands for another, of which this answer says nothing. */
  | { readonly kind: "alias"; readonly name: string; readonly ttl: number }
  /** The name does not exist, or has no such addresses. */
  | { readonly kind: "none"; readonly exists: boolean }
  /** The answer was cut; ask over TCP. */
  | { readonly kind: "truncated" }
  /** The server cannot tell: SERVFAIL, REFUSED and the like. */
  | { readonly kind: "failed"; readonly code: number };

interface DnsRecord {
  readonly name: string;
  readonly type: number;
  readonly ttl: number;
  readonly dataAt: number;
  readonly dataLength: number;
}

/** Whether a name can be asked for: labels of 1 to 63 plain characters, 253 in all. */
export function isDnsName(name: string): boolean {
  const labels = name.split(".");
  return name.length < MAX_NAME_BYTES && labels.every((label) => /^[\x21-\x5b\x5d-\x7e]{1,63}$/.test(label));
}

/**
 * A question, by which a server is to look for itself.
 *
 * @param name of `isDnsName`, without a final dot
 * @param type TYPE_A or TYPE_AAAA
 */
export function encodeQuestion(id: number, name: string, type: number): Uint8Array<ArrayBuffer> {
  const labels = name.split(".");
  const nameBytes = name.length + 2;
  const bytes = new Uint8Array(HEADER_BYTES + nameBytes + 4 + 11);
  const view = new DataView(bytes.buffer);
  view.setUint16(ID, id);
  view.setUint16(FLAGS, FLAG_RECURSION_DESIRED);
  view.setUint16(QUESTIONS, 1);
  view.setUint16(ADDITIONALS, 1);
  let at = HEADER_BYTES;
  for (const label of labels) {
    bytes[at++] = label.length;
    for (let i = 0; i < label.length; i++) bytes[at++] = label.charCodeAt(i);
  }
  at++;
  view.setUint16(at, type);
  view.setUint16(at + 2, CLASS_IN);
  at += 4;
  // EDNS: the root's name, its type, and in the place of the class how long an answer may be.
  view.setUint16(at + 1, TYPE_OPT);
  view.setUint16(at + 3, UDP_ANSWER_BYTES);
  return bytes;
}

/**
 * What a message answers to a question.
 *
 * @param question of `encodeQuestion`
 * @returns null if it is no answer to this question, or malformed: then the real one may still come
 */
export function readAnswer(message: Uint8Array, question: Uint8Array): DnsAnswer | null {
  if (message.length < HEADER_BYTES) return null;
  const view = viewOf(message);
  const asked = viewOf(question);
  const flags = view.getUint16(FLAGS);
  if (view.getUint16(ID) !== asked.getUint16(ID) || (flags & FLAG_RESPONSE) === 0 || (flags & OPCODE) !== 0) {
    return null;
  }
  const code = flags & RCODE;
  // A server that cannot read the question need not repeat it.
  if (view.getUint16(QUESTIONS) === 0 && code !== RCODE_OK && code !== RCODE_NO_SUCH_NAME) {
    return { kind: "failed", code };
  }
  if (view.getUint16(QUESTIONS) !== 1) return null;
  const name = readName(question, HEADER_BYTES)!;
  const type = asked.getUint16(name.end);
  const repeated = readName(message, HEADER_BYTES);
  if (repeated === null || repeated.end + 4 > message.length || repeated.text !== name.text) return null;
  if (view.getUint16(repeated.end) !== type || view.getUint16(repeated.end + 2) !== CLASS_IN) return null;
  if ((flags & FLAG_TRUNCATED) !== 0) return { kind: "truncated" };
  if (code !== RCODE_OK && code !== RCODE_NO_SUCH_NAME) return { kind: "failed", code };
  const records = readRecords(message, repeated.end + 4, view.getUint16(ANSWERS));
  return records === null ? null : follow(message, records, name.text, type, code === RCODE_OK);
}

/** From the name asked for over its aliases to addresses. */
function follow(
  message: Uint8Array,
  records: readonly DnsRecord[],
  asked: string,
  type: number,
  exists: boolean,
): DnsAnswer | null {
  const size = type === TYPE_A ? 4 : 16;
  let name = asked;
  let ttl = Infinity;
  for (let aliases = 0; aliases <= MAX_ALIASES; aliases++) {
    const own = records.filter((record) => record.name === name);
    const found = own.filter((record) => record.type === type && record.dataLength === size);
    if (found.length > 0) {
      const addresses = found.map(({ dataAt }) => message.slice(dataAt, dataAt + size));
      return { kind: "addresses", addresses, ttl: found.reduce((least, record) => Math.min(least, record.ttl), ttl) };
    }
    const alias = own.find((record) => record.type === TYPE_CNAME);
    if (alias === undefined) {
      // NXDOMAIN is said of the last alias.
      return name === asked || !exists ? { kind: "none", exists } : { kind: "alias", name, ttl };
    }
    const target = readName(message, alias.dataAt);
    if (target === null || target.end !== alias.dataAt + alias.dataLength) return null;
    ttl = Math.min(ttl, alias.ttl);
    name = target.text;
  }
  return null;
}

function readRecords(message: Uint8Array, from: number, count: number): DnsRecord[] | null {
  const view = viewOf(message);
  const records: DnsRecord[] = [];
  let at = from;
  for (let i = 0; i < Math.min(count, MAX_RECORDS); i++) {
    const name = readName(message, at);
    if (name === null || name.end + 10 > message.length) return null;
    const type = view.getUint16(name.end);
    const isInternet = view.getUint16(name.end + 2) === CLASS_IN;
    const ttl = view.getUint32(name.end + 4);
    const dataAt = name.end + 10;
    const dataLength = view.getUint16(name.end + 8);
    at = dataAt + dataLength;
    if (at > message.length) return null;
    // With the highest bit set it counts as zero.
    if (isInternet) records.push({ name: name.text, type, ttl: ttl > 0x7fffffff ? 0 : ttl, dataAt, dataLength });
  }
  return records;
}

/** The name at an offset in lower case, and the offset behind it; null if it is none. */
function readName(message: Uint8Array, from: number): { text: string; end: number } | null {
  const labels: string[] = [];
  let end = -1;
  let bytes = 0;
  let pointers = 0;
  for (let at = from; at < message.length;) {
    const length = message[at];
    if (length === 0) return { text: labels.join("."), end: end === -1 ? at + 1 : end };
    if (length >= 0xc0) {
      if (at + 2 > message.length || ++pointers > MAX_POINTERS) return null;
      if (end === -1) end = at + 2;
      const target = ((length & 0x3f) << 8) | message[at + 1];
      // Only backwards, as the standard has it: "a prior occurrence".
      if (target >= at) return null;
      at = target;
      continue;
    }
    bytes += length + 1;
    if (length > MAX_LABEL || at + 1 + length > message.length || bytes > MAX_NAME_BYTES) return null;
    labels.push(labelText(message, at + 1, length));
    at += 1 + length;
  }
  return null;
}

/** Bytes that would make two different names the same text are written as numbers. */
function labelText(message: Uint8Array, at: number, length: number): string {
  let text = "";
  for (let i = at; i < at + length; i++) {
    const byte = message[i];
    const isPlain = byte > 32 && byte < 127 && byte !== 46 && byte !== 92;
    text += isPlain ? String.fromCharCode(byte).toLowerCase() : `\\${`${byte}`.padStart(3, "0")}`;
  }
  return text;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
