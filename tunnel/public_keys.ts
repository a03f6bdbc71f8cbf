/**
 * Which slot belongs to which public key: the keys by slot, and an open-addressing table of slots with linear probing,
 * never more than half full. Removing an entry moves later ones of its run into the gap.
 */
import { KEY_BYTES } from "./limits.ts";

const NONE = -1;

export class PublicKeys {
  readonly #keys: Uint8Array;
  readonly #words: Int32Array;
  readonly #isUsed: Uint8Array;
  /** Slot plus one by the hash of its key, 0 for none. */
  readonly #places: Int32Array;
  readonly #mask: number;
  readonly #wanted: Uint8Array = new Uint8Array(KEY_BYTES);
  readonly #wantedWords: Int32Array = new Int32Array(this.#wanted.buffer);
  /** Slots from here on were never in use. */
  #end = 0;
  #size = 0;

  /** @param capacity number of slots */
  constructor(capacity: number) {
    this.#keys = new Uint8Array(KEY_BYTES * capacity);
    this.#words = new Int32Array(this.#keys.buffer);
    this.#isUsed = new Uint8Array(capacity);
    this.#places = new Int32Array(2 ** Math.ceil(Math.log2(2 * capacity)));
    this.#mask = this.#places.length - 1;
  }

  get size(): number {
    return this.#size;
  }

  has(slot: number): boolean {
    return this.#isUsed[slot] === 1;
  }

  /** The key of a slot as a view. */
  at(slot: number): Uint8Array {
    return this.#keys.subarray(slot * KEY_BYTES, (slot + 1) * KEY_BYTES);
  }

  /** The slot of a key, -1 for none. @param key 32 bytes */
  find(key: Uint8Array): number {
    this.#wanted.set(key);
    for (let place = hash(this.#wantedWords, 0) & this.#mask;; place = (place + 1) & this.#mask) {
      const slot = this.#places[place] - 1;
      if (slot === NONE || this.#isWanted(slot)) return slot;
    }
  }

  /** Slots in use, in order. */
  *slots(): Iterable<number> {
    for (let slot = 0; slot < this.#end; slot++) if (this.has(slot)) yield slot;
  }

  /** Gives a free slot to a key that has none. @throws RangeError if it is not free */
  add(slot: number, key: Uint8Array): void {
    if (this.#isUsed[slot] !== 0) throw new RangeError(`Slot ${slot} is not free`);
    this.at(slot).set(key);
    this.#isUsed[slot] = 1;
    let place = this.#home(slot);
    while (this.#places[place] !== 0) place = (place + 1) & this.#mask;
    this.#places[place] = slot + 1;
    this.#end = Math.max(this.#end, slot + 1);
    this.#size++;
  }

  /** Frees a slot in use. */
  remove(slot: number): void {
    let place = this.#home(slot);
    while (this.#places[place] !== slot + 1) place = (place + 1) & this.#mask;
    this.#closeGap(place);
    this.#isUsed[slot] = 0;
    this.#size--;
  }

  #closeGap(gap: number): void {
    const places = this.#places;
    const mask = this.#mask;
    for (let place = (gap + 1) & mask; places[place] !== 0; place = (place + 1) & mask) {
      // An entry may not move in front of its home.
      if (((place - this.#home(places[place] - 1)) & mask) < ((place - gap) & mask)) continue;
      places[gap] = places[place];
      gap = place;
    }
    places[gap] = 0;
  }

  #isWanted(slot: number): boolean {
    const at = slot * (KEY_BYTES / 4);
    for (let word = 0; word < KEY_BYTES / 4; word++) {
      if (this.#words[at + word] !== this.#wantedWords[word]) return false;
    }
    return true;
  }

  #home(slot: number): number {
    return hash(this.#words, slot * (KEY_BYTES / 4)) & this.#mask;
  }
}

/** A number whose low bits depend on all bits of a key. The operator chose whose keys these are: it has no secret. */
function hash(words: Int32Array, at: number): number {
  let value = 0;
  for (let word = 0; word < KEY_BYTES / 4; word++) {
    value = Math.imul(value ^ words[at + word], 0x9e3779b1);
    value ^= value >>> 15;
  }
  return value;
}
