/**
 * Netlink messages: building them, and walking what comes back.
 *
 * ```
 * length u32 | type u16 | flags u16 | sequence u32 | port u32 | fixed part | attributes
 * attribute: length u16 (header and payload) | type u16 | payload | padding to 4
 * ```
 *
 * Integers are in host order, little-endian here. Spec: RFC 3549 §2.3, Linux Documentation/userspace-api/netlink.
 */

export const NLMSG_LENGTH = 0;
export const NLMSG_TYPE = NLMSG_LENGTH + 4;
export const NLMSG_FLAGS = NLMSG_TYPE + 2;
export const NLMSG_SEQUENCE = NLMSG_FLAGS + 2;
export const NLMSG_PORT = NLMSG_SEQUENCE + 4;
export const NLMSG_BYTES = NLMSG_PORT + 4; // 16

// Flags of every message.
export const NLM_F_REQUEST = 0x01;
export const NLM_F_MULTI = 0x02;
export const NLM_F_ACK = 0x04;
/** What was listed changed meanwhile. */
export const NLM_F_DUMP_INTR = 0x10;
// Of a get.
export const NLM_F_DUMP = 0x300;
// Of a new.
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;

// Types common to all families.
export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;

const ATTRIBUTE_HEADER = 4;
const NESTED = 0x8000;
/** The upper two bits of an attribute's type are flags. */
const TYPE_MASK = 0x3fff;

/** A message under construction: the fixed part first, then attributes. */
export class NetlinkMessage {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = NLMSG_BYTES;
  readonly #open: number[] = [];

  /** @param flags NLM_F_… beyond NLM_F_REQUEST */
  constructor(type: number, flags = 0) {
    this.#view.setUint16(NLMSG_TYPE, type, true);
    this.#view.setUint16(NLMSG_FLAGS, NLM_F_REQUEST | flags, true);
  }

  /** Appends to the fixed part. */
  u8(value: number): this {
    const at = this.#take(1);
    this.#view.setUint8(at, value);
    return this;
  }

  u16(value: number): this {
    const at = this.#take(2);
    this.#view.setUint16(at, value, true);
    return this;
  }

  u32(value: number): this {
    const at = this.#take(4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  /** Appends an attribute with a binary payload. */
  attribute(type: number, payload: Uint8Array): this {
    const at = this.#header(type, payload.length);
    this.#bytes.set(payload, at);
    return this;
  }

  attributeU8(type: number, value: number): this {
    const at = this.#header(type, 1);
    this.#view.setUint8(at, value);
    return this;
  }

  attributeU16(type: number, value: number): this {
    const at = this.#header(type, 2);
    this.#view.setUint16(at, value, true);
    return this;
  }

  attributeU32(type: number, value: number): this {
    const at = this.#header(type, 4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  /** Appends text with a terminating NUL. */
  attributeText(type: number, text: string): this {
    return this.attribute(type, new TextEncoder().encode(`${text}\0`));
  }

  /** Opens an attribute whose payload is the attributes that follow, up to `end`. */
  begin(type: number): this {
    this.#align();
    this.#open.push(this.#length);
    const at = this.#take(ATTRIBUTE_HEADER);
    this.#view.setUint16(at + 2, type | NESTED, true);
    return this;
  }

  end(): this {
    const at = this.#open.pop();
    if (at === undefined) throw new RangeError("No nested attribute is open");
    this.#view.setUint16(at, this.#length - at, true);
    return this;
  }

  /** The finished message, its sequence number and port still 0. */
  finish(): Uint8Array<ArrayBuffer> {
    if (this.#open.length > 0) throw new RangeError("A nested attribute is still open");
    this.#view.setUint32(NLMSG_LENGTH, this.#length, true);
    return this.#bytes.slice(0, this.#length);
  }

  #header(type: number, payloadLength: number): number {
    this.#align();
    const length = ATTRIBUTE_HEADER + payloadLength;
    if (length > 0xffff) throw new RangeError("Netlink attribute is too long");
    const at = this.#take(length);
    this.#view.setUint16(at, length, true);
    this.#view.setUint16(at + 2, type, true);
    return at + ATTRIBUTE_HEADER;
  }

  #align(): void {
    this.#take(-this.#length & 3);
  }

  /** Makes room at the end. @returns where it begins */
  #take(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(2 * Math.max(this.#length, this.#bytes.length));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

/** A message received. */
export interface ReceivedMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** Everything after the header; a view, valid as long as what it was split from. */
  readonly body: Uint8Array;
}

/**
 * The messages of one datagram.
 *
 * @throws {RangeError} if a length is impossible: the kernel does not write such, so it would be our fault
 */
export function splitMessages(bytes: Uint8Array): ReceivedMessage[] {
  const view = viewOf(bytes);
  const messages: ReceivedMessage[] = [];
  for (let at = 0; at + NLMSG_BYTES <= bytes.length;) {
    const length = view.getUint32(at + NLMSG_LENGTH, true);
    if (length < NLMSG_BYTES || at + length > bytes.length) throw new RangeError("Netlink message is cut short");
    messages.push({
      type: view.getUint16(at + NLMSG_TYPE, true),
      flags: view.getUint16(at + NLMSG_FLAGS, true),
      sequence: view.getUint32(at + NLMSG_SEQUENCE, true),
      body: bytes.subarray(at + NLMSG_BYTES, at + length),
    });
    at += (length + 3) & ~3;
  }
  return messages;
}

/** One attribute; `payload` is a view. */
export interface Attribute {
  readonly type: number;
  readonly payload: Uint8Array;
}

/**
 * The attributes in `bytes` from `offset` on, in order; also those inside a nested attribute's payload.
 *
 * @throws {RangeError} as `splitMessages`
 */
export function listAttributes(bytes: Uint8Array, offset = 0): Attribute[] {
  const view = viewOf(bytes);
  const attributes: Attribute[] = [];
  for (let at = offset; at + ATTRIBUTE_HEADER <= bytes.length;) {
    const length = view.getUint16(at, true);
    if (length < ATTRIBUTE_HEADER || at + length > bytes.length) throw new RangeError("Netlink attribute is cut short");
    const type = view.getUint16(at + 2, true) & TYPE_MASK;
    attributes.push({ type, payload: bytes.subarray(at + ATTRIBUTE_HEADER, at + length) });
    at += (length + 3) & ~3;
  }
  return attributes;
}

/** The same by type; of repeated ones the last. */
export function mapAttributes(bytes: Uint8Array, offset = 0): Map<number, Uint8Array> {
  const map = new Map<number, Uint8Array>();
  for (const { type, payload } of listAttributes(bytes, offset)) map.set(type, payload);
  return map;
}

/** A u8 payload. */
export function readU8(payload: Uint8Array | undefined, otherwise: number): number {
  return payload === undefined || payload.length < 1 ? otherwise : payload[0];
}

/** A u32 payload. */
export function readU32(payload: Uint8Array | undefined, otherwise: number): number {
  return payload === undefined || payload.length < 4 ? otherwise : viewOf(payload).getUint32(0, true);
}

/** A text payload, up to its NUL. */
export function readText(payload: Uint8Array | undefined): string {
  if (payload === undefined) return "";
  const end = payload.indexOf(0);
  return new TextDecoder().decode(end < 0 ? payload : payload.subarray(0, end));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
