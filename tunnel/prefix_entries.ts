/**
 * The prefixes of one address family as flat entries, and for each peer the list of its own.
 *
 * ```
 * entry  key (1 or 4 words) | owner | next | previous
 * ```
 *
 * The owner word is peer · 256 + prefix length. Entry 0 does not exist. A peer's list has the order in which it was
 * given its prefixes; `previous` of the first entry is the last one.
 */
import { moveInto } from "./growth.ts";

const OWNER = 0;
const NEXT = 1;
const PREVIOUS = 2;
/** Words of an entry behind its key. */
export const ENTRY_TAIL_WORDS = 3;
export const OWNER_SHIFT = 8;
const CIDR_MASK = 2 ** OWNER_SHIFT - 1;
/** Largest peer slot plus one: what is left of the owner word. */
const MAX_PEERS = 2 ** (32 - OWNER_SHIFT);

const INITIAL_ENTRIES = 16;

export class PrefixEntries {
  /** The entries, for hot look-ups; replaced when it grows. */
  words: Uint32Array<ArrayBuffer>;
  readonly #keyWords: number;
  readonly #stride: number;
  /** First entry of each peer. */
  #heads = new Int32Array(INITIAL_ENTRIES);
  #used = 1;
  #free = 0;
  #size = 0;

  constructor(keyWords: number) {
    this.#keyWords = keyWords;
    this.#stride = keyWords + ENTRY_TAIL_WORDS;
    this.words = new Uint32Array(INITIAL_ENTRIES * this.#stride);
  }

  get size(): number {
    return this.#size;
  }

  /** Bytes of its arrays, used or not. */
  get bytes(): number {
    return this.words.byteLength + this.#heads.byteLength;
  }

  /** Offset of the entry's key in `words`. */
  keyAt(entry: number): number {
    return entry * this.#stride;
  }

  cidr(entry: number): number {
    return this.#tail(entry, OWNER) & CIDR_MASK;
  }

  peer(entry: number): number {
    return this.#tail(entry, OWNER) >>> OWNER_SHIFT;
  }

  /** First entry of a peer, 0 for none. */
  first(peer: number): number {
    return peer < this.#heads.length ? this.#heads[peer] : 0;
  }

  /** The peer's entry after this one, 0 for none. */
  next(entry: number): number {
    return this.#tail(entry, NEXT);
  }

  hasKey(entry: number, key: Uint32Array): boolean {
    const at = entry * this.#stride;
    for (let word = 0; word < this.#keyWords; word++) {
      if (this.words[at + word] !== key[word]) return false;
    }
    return true;
  }

  /** A new entry at the end of the peer's list. */
  add(key: Uint32Array, cidr: number, peer: number): number {
    let entry = this.#free;
    if (entry !== 0) this.#free = this.#tail(entry, NEXT);
    else entry = this.#used++;
    const { length } = this.words;
    if (entry * this.#stride === length) this.words = moveInto(new Uint32Array(2 * length), this.words);
    this.words.set(key, entry * this.#stride);
    this.#append(entry, cidr, peer);
    this.#size++;
    return entry;
  }

  /** Moves an entry to the end of another peer's list. */
  give(entry: number, peer: number): void {
    const cidr = this.cidr(entry);
    this.#unlink(entry);
    this.#append(entry, cidr, peer);
  }

  remove(entry: number): void {
    this.#unlink(entry);
    this.#setTail(entry, NEXT, this.#free);
    this.#free = entry;
    this.#size--;
  }

  #append(entry: number, cidr: number, peer: number): void {
    if (peer >= this.#heads.length) {
      this.#heads = moveInto(new Int32Array(Math.max(peer + 1, 2 * this.#heads.length)), this.#heads);
    }
    this.#setTail(entry, OWNER, peer * 2 ** OWNER_SHIFT + cidr);
    this.#setTail(entry, NEXT, 0);
    const head = this.#heads[peer];
    if (head === 0) {
      this.#heads[peer] = entry;
      this.#setTail(entry, PREVIOUS, entry);
      return;
    }
    const last = this.#tail(head, PREVIOUS);
    this.#setTail(last, NEXT, entry);
    this.#setTail(entry, PREVIOUS, last);
    this.#setTail(head, PREVIOUS, entry);
  }

  #unlink(entry: number): void {
    const peer = this.peer(entry);
    const next = this.#tail(entry, NEXT);
    const previous = this.#tail(entry, PREVIOUS);
    if (this.#heads[peer] === entry) this.#heads[peer] = next;
    else this.#setTail(previous, NEXT, next);
    // Behind the last entry comes the head, which knows the last.
    const after = next === 0 ? this.#heads[peer] : next;
    if (after !== 0) this.#setTail(after, PREVIOUS, previous);
  }

  #tail(entry: number, field: number): number {
    return this.words[entry * this.#stride + this.#keyWords + field];
  }

  #setTail(entry: number, field: number, value: number): void {
    this.words[entry * this.#stride + this.#keyWords + field] = value;
  }
}

/** @throws RangeError if `peer` is no peer slot */
export function checkPeer(peer: number): void {
  if (!Number.isInteger(peer) || peer < 0 || peer >= MAX_PEERS) {
    throw new RangeError("Peer must be an integer from 0 to 2^24 - 1");
  }
}
