/**
 * The UAPI's lines as bytes: taking `key=value` lines out of a stream, reading values, writing lines.
 *
 * Keys of WireGuard pass through here, so nothing secret ever becomes a string (strings cannot be erased): hex is
 * decoded from bytes into bytes, and buffers are zeroed once they were used.
 *
 * Spec: https://www.wireguard.com/xplatform/#configuration-protocol
 */
import { wipe } from "../crypto/bytes.ts";
import { formatAddress } from "../tunnel/address_text.ts";
import { KEY_BYTES } from "../tunnel/limits.ts";

/** Longest line without its newline. The longest sensible one, an endpoint with a zone, has less than 100 bytes. */
export const MAX_LINE_BYTES = 4096;

/** The longest prefix: an IPv6 address of six groups and a dotted quad, and its length. */
const MAX_PREFIX_TEXT = 45 + 4;

const NEWLINE = 10;
const ZERO = 48;

/** Receives one line, `bytes[start … end)`, without the newline; false stops the feeding after this line. */
export type LineTaker = (bytes: Uint8Array, start: number, end: number) => boolean;

/** Cuts a stream into lines, holding at most one incomplete line. */
export class LineBuffer {
  readonly #pending: Uint8Array = new Uint8Array(MAX_LINE_BYTES + 1);
  #length = 0;

  /**
   * Hands the complete lines of `bytes[from … to)` to `take` and keeps the rest. Of a line longer than
   * MAX_LINE_BYTES only MAX_LINE_BYTES + 1 bytes are handed over, by which it is known.
   *
   * @returns the offset after the last line taken; `to` unless `take` stopped
   */
  feed(bytes: Uint8Array, from: number, to: number, take: LineTaker): number {
    while (from < to) {
      const newline = bytes.indexOf(NEWLINE, from);
      if (newline === -1 || newline >= to) {
        this.#keep(bytes, from, to);
        return to;
      }
      if (!this.#line(bytes, from, newline, take)) return newline + 1;
      from = newline + 1;
    }
    return from;
  }

  /** Erases the incomplete line. */
  wipe(): void {
    wipe(this.#pending);
    this.#length = 0;
  }

  #line(bytes: Uint8Array, start: number, end: number, take: LineTaker): boolean {
    if (this.#length === 0) return take(bytes, start, Math.min(end, start + MAX_LINE_BYTES + 1));
    this.#keep(bytes, start, end);
    const more = take(this.#pending, 0, this.#length);
    this.#pending.fill(0, 0, this.#length);
    this.#length = 0;
    return more;
  }

  #keep(bytes: Uint8Array, start: number, end: number): void {
    const room = Math.min(end - start, this.#pending.length - this.#length);
    for (let i = 0; i < room; i++) this.#pending[this.#length + i] = bytes[start + i];
    this.#length += room;
  }
}

/** The bytes as text, one character a byte: for keys and public values only. */
export function readText(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]);
  return text;
}

/** True if the bytes are exactly this ASCII text. */
export function isText(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** A decimal number of digits only, at most `max` (below 2^53); -1 if it is not one. */
export function readNumber(bytes: Uint8Array, start: number, end: number, max: number): number {
  if (start === end) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = bytes[i] - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
    if (value > max) return -1;
  }
  return value;
}

/**
 * A 32-byte key of exactly 64 hex digits of either case, or null. Takes the same time for every key.
 */
export function readKey(bytes: Uint8Array, start: number, end: number): Uint8Array | null {
  if (end - start !== 2 * KEY_BYTES) return null;
  const key = new Uint8Array(KEY_BYTES);
  let wrong = 0;
  for (let i = 0; i < KEY_BYTES; i++) {
    const high = nibble(bytes[start + 2 * i]);
    const low = nibble(bytes[start + 2 * i + 1]);
    wrong |= high | low;
    key[i] = (high << 4) | low;
  }
  if (wrong >= 0) return key;
  wipe(key);
  return null;
}

/** Lines under construction in one growing buffer; outgrown buffers are erased. */
export class LineWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(capacity = 1024) {
    this.#bytes = new Uint8Array(capacity);
  }

  /** `key=text`; ASCII only. */
  text(key: string, text: string): void {
    this.#room(key.length + text.length + 2);
    this.#ascii(key);
    this.#bytes[this.#length++] = 61;
    this.#ascii(text);
    this.#bytes[this.#length++] = NEWLINE;
  }

  number(key: string, value: number): void {
    this.text(key, String(value));
  }

  /** `key=address/cidr`, an address of 4 or 16 bytes. IPv4 without a string on the way: there may be 100,000 of them. */
  prefix(key: string, address: Uint8Array, cidr: number): void {
    this.#room(key.length + MAX_PREFIX_TEXT + 2);
    this.#ascii(key);
    this.#bytes[this.#length++] = 61;
    if (address.length !== 4) this.#ascii(formatAddress(address));
    else {
      for (let i = 0; i < 4; i++) {
        if (i > 0) this.#bytes[this.#length++] = 46;
        this.#decimal(address[i]);
      }
    }
    this.#bytes[this.#length++] = 47;
    this.#decimal(cidr);
    this.#bytes[this.#length++] = NEWLINE;
  }

  /** `key=` and lowercase hex; the time taken does not depend on the bytes. */
  hex(key: string, bytes: Uint8Array): void {
    this.#room(key.length + 2 * bytes.length + 2);
    this.#ascii(key);
    this.#bytes[this.#length++] = 61;
    for (const byte of bytes) {
      this.#bytes[this.#length++] = hexDigit(byte >> 4);
      this.#bytes[this.#length++] = hexDigit(byte & 15);
    }
    this.#bytes[this.#length++] = NEWLINE;
  }

  /** The empty line that ends a request or reply. */
  end(): void {
    this.#room(1);
    this.#bytes[this.#length++] = NEWLINE;
  }

  /** What was written, not a copy: wiping it erases it. The writer must not be used afterwards. */
  take(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** A number below 1000. */
  #decimal(value: number): void {
    if (value >= 100) this.#bytes[this.#length++] = ZERO + Math.floor(value / 100);
    if (value >= 10) this.#bytes[this.#length++] = ZERO + Math.floor(value / 10) % 10;
    this.#bytes[this.#length++] = ZERO + value % 10;
  }

  #ascii(text: string): void {
    for (let i = 0; i < text.length; i++) this.#bytes[this.#length++] = text.charCodeAt(i);
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const old = this.#bytes;
    this.#bytes = new Uint8Array(Math.max(2 * old.length, this.#length + bytes));
    this.#bytes.set(old);
    wipe(old);
  }
}

/** 0 … 15, or negative for anything but a hex digit; without branch or table. */
function nibble(character: number): number {
  const digit = character - 48;
  const letter = (character | 32) - 97;
  const notDigit = (digit | (9 - digit)) >> 31;
  const notLetter = (letter | (5 - letter)) >> 31;
  return (digit & ~notDigit) | ((letter + 10) & ~notLetter) | (notDigit & notLetter);
}

function hexDigit(value: number): number {
  return value + 48 + (((9 - value) >> 31) & 39);
}
