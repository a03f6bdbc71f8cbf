/**
 * Messages from one thread to another in shared memory: one writes, one reads, nobody waits.
 *
 * ```
 * written u32 | 60 | read u32 | 60 | records: words u32 | kind | a | b | c | length u32 | record 48 or 0 | bytes | …
 * ```
 *
 * A record is a whole number of words and never goes round the end; how many are skipped there stands in the first of
 * them, negative.
 */

const WRITTEN = 0;
const READ = 16;
const RECORDS = 32;
/** Words; a power of two, so that positions may wrap. */
const CAPACITY = 65_536;
const MASK = CAPACITY - 1;

export const RING_BYTES: number = 4 * (RECORDS + CAPACITY);

const WORDS = 0;
const KIND = 1;
const A = 2;
const B = 3;
const C = 4;
const LENGTH = 5;
const HEADER = 6;

export class MessageRing {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  // The message of the last `next`.
  kind = 0;
  a = 0;
  b = 0;
  c = 0;
  length = 0;
  /** Where its bytes lie in `bytes`. */
  offset = 0;
  /** Words of the message of the last `next`, 0 once its place is free. */
  #taken = 0;

  /** @param at offset of RING_BYTES, a multiple of 64 */
  constructor(buffer: SharedArrayBuffer, at: number) {
    this.#words = new Int32Array(buffer, at, RING_BYTES / 4);
    this.#bytes = new Uint8Array(buffer, at, RING_BYTES);
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return Atomics.load(this.#words, WRITTEN) === Atomics.load(this.#words, READ);
  }

  /** Where the writer is now: `next` can stop there. */
  get end(): number {
    return Atomics.load(this.#words, WRITTEN);
  }

  /**
   * Writes one message.
   *
   * @param record stands before the bytes; may be empty
   * @returns false if there is no room for it
   */
  write(
    kind: number,
    a: number,
    b: number,
    c: number,
    record: Uint8Array = NOTHING,
    bytes: Uint8Array = NOTHING,
    offset = 0,
    length = 0,
  ): boolean {
    const words = this.#words;
    const payload = record.length + length;
    const needed = HEADER + Math.ceil(payload / 4);
    const at = this.#makeRoom(needed);
    if (at < 0) return false;
    words[at + WORDS] = needed;
    words[at + KIND] = kind;
    words[at + A] = a;
    words[at + B] = b;
    words[at + C] = c;
    words[at + LENGTH] = payload;
    const to = 4 * (at + HEADER);
    this.#bytes.set(record, to);
    if (length > 0) this.#bytes.set(bytes.subarray(offset, offset + length), to + record.length);
    Atomics.add(words, WRITTEN, needed);
    return true;
  }

  /**
   * Takes the next message, up to the position `end`; its place is free for the writer at the following call.
   *
   * @returns false when there is none
   */
  next(end: number): boolean {
    const words = this.#words;
    for (;;) {
      this.#release();
      const read = words[READ];
      if (read === end) return false;
      const at = RECORDS + (read & MASK);
      this.#taken = Math.abs(words[at + WORDS]);
      if (words[at + WORDS] < 0) continue;
      this.kind = words[at + KIND];
      this.a = words[at + A];
      this.b = words[at + B];
      this.c = words[at + C];
      this.length = words[at + LENGTH];
      this.offset = 4 * (at + HEADER);
      return true;
    }
  }

  #release(): void {
    if (this.#taken === 0) return;
    Atomics.add(this.#words, READ, this.#taken);
    this.#taken = 0;
  }

  /** @returns the word where a record of `needed` words may stand, or -1 */
  #makeRoom(needed: number): number {
    const words = this.#words;
    const written = words[WRITTEN];
    const free = CAPACITY - ((written - Atomics.load(words, READ)) >>> 0);
    const place = written & MASK;
    const untilEnd = CAPACITY - place;
    if (needed <= untilEnd) return needed <= free ? RECORDS + place : -1;
    if (untilEnd + needed > free) return -1;
    words[RECORDS + place + WORDS] = -untilEnd;
    Atomics.add(words, WRITTEN, untilEnd);
    return RECORDS;
  }
}

const NOTHING = new Uint8Array(0);
