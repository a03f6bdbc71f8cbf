/**
 * Lists of many small items as bytes. A request for 10,000 peers has 120,000 lines: as objects they would leave a heap
 * that stays tens of megabytes larger for good. Items are made anew each time the list is read, and die young.
 *
 * An item that was read shares its bytes with the list: erasing a key there erases it here.
 */

/** No item is longer: a host name has at most 253 bytes. */
const MAX_ITEM_BYTES = 320;
const FIRST_PIECE_BYTES = 512;
/** About 1,500 allowed IPs: what the data plane is given at a time, a millisecond's work. */
const PIECE_BYTES = 32 * 1024;

/** How items of one kind are written and read; what is read must equal what was written. */
export interface Codec<T> {
  /** Puts at most MAX_ITEM_BYTES. */
  write(item: T, to: Cursor): void;
  read(from: Cursor): T;
}

/** A place in bytes. Numbers are little-endian. */
export class Cursor {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.at = at;
  }

  putU8(value: number): void {
    this.#bytes[this.at++] = value;
  }

  putU32(value: number): void {
    for (let shift = 0; shift < 32; shift += 8) this.#bytes[this.at++] = value >>> shift;
  }

  put(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  u8(): number {
    return this.#bytes[this.at++];
  }

  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 32; shift += 8) value |= this.#bytes[this.at++] << shift;
    return value >>> 0;
  }

  /** Fills `out` with the next bytes. */
  copy(out: Uint8Array): void {
    for (let i = 0; i < out.length; i++) out[i] = this.#bytes[this.at++];
  }

  /** The next `length` bytes, not a copy. */
  take(length: number): Uint8Array {
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }
}

/** Items that lie in one piece. */
export class Packed<T> implements Iterable<T> {
  readonly bytes: Uint8Array;
  readonly #codec: Codec<T>;

  constructor(codec: Codec<T>, bytes: Uint8Array) {
    this.#codec = codec;
    this.bytes = bytes;
  }

  *[Symbol.iterator](): Iterator<T> {
    const from = new Cursor(this.bytes);
    while (from.at < this.bytes.length) yield this.#codec.read(from);
  }
}

export class PackedList<T> implements Iterable<T> {
  readonly #codec: Codec<T>;
  #pieces: Uint8Array<ArrayBuffer>[] = [];
  /** Bytes in use of the last piece; the others are cut to theirs. */
  #used = 0;
  #length = 0;

  constructor(codec: Codec<T>) {
    this.#codec = codec;
  }

  get length(): number {
    return this.#length;
  }

  /** Bytes of memory it holds, whether in use or not. */
  get bytes(): number {
    return this.#pieces.reduce((sum, { buffer }) => sum + buffer.byteLength, 0);
  }

  /** Keeps a copy. */
  push(item: T): void {
    const to = new Cursor(this.#room(), this.#used);
    this.#codec.write(item, to);
    this.#used = to.at;
    this.#length++;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const piece of this.pieces()) yield* piece;
  }

  /** All items in order, some at a time. */
  *pieces(): Iterable<Packed<T>> {
    for (const [i, piece] of this.#pieces.entries()) {
      const isLast = i === this.#pieces.length - 1;
      yield new Packed(this.#codec, isLast ? piece.subarray(0, this.#used) : piece);
    }
  }

  /** Erases all items and gives their memory back at once, whatever else still refers to it. */
  clear(): void {
    for (const piece of this.#pieces) {
      piece.fill(0);
      piece.buffer.transfer(0);
    }
    this.#pieces = [];
    this.#used = 0;
    this.#length = 0;
  }

  /** The last piece, or a new one if the longest item might not fit. */
  #room(): Uint8Array {
    const last = this.#pieces.at(-1);
    if (last !== undefined && this.#used + MAX_ITEM_BYTES <= last.length) return last;
    if (last !== undefined) this.#pieces[this.#pieces.length - 1] = last.subarray(0, this.#used);
    const piece = new Uint8Array(Math.min(PIECE_BYTES, FIRST_PIECE_BYTES * 2 ** this.#pieces.length));
    this.#pieces.push(piece);
    this.#used = 0;
    return piece;
  }
}
