/**
 * Receiver indices: random 32-bit numbers that we hand out for handshakes and keypairs, and what each stands for.
 *
 * An open-addressing table with linear probing over one flat array, two words an entry: the index, and the value plus
 * one, so that zero is an empty place and untouched pages stay unmapped. It is never more than half full. The indices
 * are our own random numbers, so their low bits serve as the hash. Releasing moves later entries of a run back into
 * the gap: no tombstones, a lookup stays as short after years as on the first day.
 */

const WORDS = 2;
const VALUE = 1;
/** Draws before giving up; with honest random numbers even a second one is rare. */
const ALLOCATE_ATTEMPTS = 16;
export const DEFAULT_INDICES = 262_144;
const MAX_VALUE = 2 ** 32 - 2;

/** A table in shared memory, which other threads look into by an IndexReader. */
export interface SharedIndices {
  /** One word, odd while the table is being changed. */
  readonly version: Int32Array;
  /** `indexWords` of them, zeros at first. */
  readonly words: Uint32Array;
}

/** u32 words of a table for this many indices. */
export function indexWords(capacity: number): number {
  return WORDS * 2 ** Math.ceil(Math.log2(2 * capacity));
}

export class IndexTable {
  readonly #random: (out: Uint8Array) => void;
  readonly #capacity: number;
  readonly #mask: number;
  readonly #words: Uint32Array;
  readonly #version: Int32Array;
  readonly #draw: Uint8Array = new Uint8Array(4);
  readonly #drawn: Uint32Array = new Uint32Array(this.#draw.buffer);
  #size = 0;

  /**
   * @param random fills its argument with unpredictable bytes
   * @param capacity most indices at one time
   * @param shared where the table lies if other threads look into it
   */
  constructor(random: (out: Uint8Array) => void, capacity: number = DEFAULT_INDICES, shared?: SharedIndices) {
    if (!Number.isInteger(capacity) || capacity < 1 || capacity > 2 ** 28) {
      throw new RangeError("Capacity must be an integer from 1 to 2^28");
    }
    this.#random = random;
    this.#capacity = capacity;
    this.#words = shared?.words ?? new Uint32Array(indexWords(capacity));
    this.#version = shared?.version ?? new Int32Array(1);
    this.#mask = this.#words.length / WORDS - 1;
  }

  /** Indices in use. */
  get size(): number {
    return this.#size;
  }

  /**
   * Hands out a new random index that stands for `value`.
   *
   * @param value 0 … 2^32 − 2
   * @returns the index (u32), or -1 when the table is full or the random numbers repeat without end
   */
  allocate(value: number): number {
    checkValue(value);
    if (this.#size === this.#capacity) return -1;
    for (let attempt = 0; attempt < ALLOCATE_ATTEMPTS; attempt++) {
      this.#random(this.#draw);
      const index = this.#drawn[0];
      const at = this.#find(index);
      if (this.#words[at + VALUE] !== 0) continue;
      this.#turnVersion();
      this.#words[at] = index;
      this.#words[at + VALUE] = value + 1;
      this.#turnVersion();
      this.#size++;
      return index;
    }
    return -1;
  }

  /** What an index (u32, or i32, which needs no heap number in a call not inlined) stands for, or -1. */
  lookup(index: number): number {
    return this.#words[this.#find(index) + VALUE] - 1;
  }

  /**
   * Lets an index that is in use stand for another value.
   *
   * @throws RangeError if the index is not in use
   */
  set(index: number, value: number): void {
    checkValue(value);
    const at = this.#find(index);
    if (this.#words[at + VALUE] === 0) throw new RangeError("Index is not in use");
    this.#turnVersion();
    this.#words[at + VALUE] = value + 1;
    this.#turnVersion();
  }

  /** Takes an index back; false if it was not in use. */
  release(index: number): boolean {
    const at = this.#find(index);
    if (this.#words[at + VALUE] === 0) return false;
    this.#turnVersion();
    this.#closeGap(at / WORDS);
    this.#turnVersion();
    this.#size--;
    return true;
  }

  /** Before and after each change. */
  #turnVersion(): void {
    Atomics.add(this.#version, 0, 1);
  }

  /** Offset of the entry of `index`, or of the empty place where it would go. */
  #find(index: number): number {
    const words = this.#words;
    const mask = this.#mask;
    let place = index & mask;
    for (;;) {
      const at = place * WORDS;
      if (words[at + VALUE] === 0 || (words[at] ^ index) === 0) return at;
      place = (place + 1) & mask;
    }
  }

  /** Fills the gap with the next entry of the run that may stand there, then that entry's gap, and so on. */
  #closeGap(gap: number): void {
    const words = this.#words;
    const mask = this.#mask;
    let place = gap;
    for (;;) {
      place = (place + 1) & mask;
      const at = place * WORDS;
      if (words[at + VALUE] === 0) break;
      const home = words[at] & mask;
      // An entry may not move in front of its home: its distance from home must reach back to the gap.
      if (((place - home) & mask) < ((place - gap) & mask)) continue;
      words[gap * WORDS] = words[at];
      words[gap * WORDS + VALUE] = words[at + VALUE];
      gap = place;
    }
    words[gap * WORDS] = 0;
    words[gap * WORDS + VALUE] = 0;
  }
}

/** Looks into a table that another thread changes; a look during a change is taken again. */
export class IndexReader {
  readonly #words: Uint32Array;
  readonly #version: Int32Array;
  readonly #mask: number;

  constructor({ words, version }: SharedIndices) {
    this.#words = words;
    this.#version = version;
    this.#mask = words.length / WORDS - 1;
  }

  /** What an index (u32 or i32) stands for, or -1. */
  lookup(index: number): number {
    for (;;) {
      const version = Atomics.load(this.#version, 0);
      if ((version & 1) === 1) continue;
      const value = this.#find(index);
      if (Atomics.load(this.#version, 0) === version) return value;
    }
  }

  #find(index: number): number {
    const words = this.#words;
    for (let place = index & this.#mask;; place = (place + 1) & this.#mask) {
      const at = place * WORDS;
      const value = Atomics.load(words, at + VALUE);
      if (value === 0 || (Atomics.load(words, at) ^ index) === 0) return value - 1;
    }
  }
}

function checkValue(value: number): void {
  if (!Number.isInteger(value) || value < 0 || value > MAX_VALUE) {
    throw new RangeError("Value must be an integer from 0 to 2^32 - 2");
  }
}
