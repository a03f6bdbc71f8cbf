/**
 * Who has which allowed IP, as the control side remembers it: for each prefix its owner, for each owner its prefixes of
 * both families in the order in which it got them.
 *
 * The prefixes are flat entries (prefix_entries.ts) of four words, an IPv4 address in the first; what tells the family
 * is the prefix length, which is 129 greater for IPv4. A hash table with linear probing finds them; it is never more
 * than half full, and removing an entry moves later ones of its run into the gap. 28 bytes a prefix, and 8 to 16.
 */
import type { Prefix } from "../tunnel/ip.ts";
import { checkPeer, PrefixEntries } from "../tunnel/prefix_entries.ts";

const KEY_WORDS = 4;
/** Added to the length of an IPv4 prefix, so that it differs from any of IPv6. */
const IPV4_LENGTH = 129;
const INITIAL_PLACES = 32;
/** Words of a prefix in a copy: its key and length. */
const COPY_WORDS = KEY_WORDS + 1;
const NO_OWNER = -1;

export class PrefixTable {
  readonly #entries = new PrefixEntries(KEY_WORDS);
  /** Entry numbers by the hash of their prefix, 0 for none. */
  #places = new Uint32Array(INITIAL_PLACES);
  readonly #key = new Uint32Array(KEY_WORDS);

  get size(): number {
    return this.#entries.size;
  }

  /** Bytes of memory it holds, whether in use or not. */
  get bytes(): number {
    return this.#entries.bytes + this.#places.byteLength;
  }

  /** The owner of a prefix, -1 for none. @param address 4 or 16 bytes, host bits cleared */
  owner(address: Uint8Array, cidr: number): number {
    const entry = this.#places[this.#find(this.#load(address), cidrCode(address, cidr))];
    return entry === 0 ? NO_OWNER : this.#entries.peer(entry);
  }

  /** Gives a prefix to an owner, taking it from whoever had it. */
  give(address: Uint8Array, cidr: number, owner: number): void {
    checkPeer(owner);
    this.#give(this.#load(address), cidrCode(address, cidr), owner);
  }

  /** Takes a prefix from its owner; false if it has none. */
  remove(address: Uint8Array, cidr: number): boolean {
    const place = this.#find(this.#load(address), cidrCode(address, cidr));
    if (this.#places[place] === 0) return false;
    this.#remove(place);
    return true;
  }

  /** Whether the owner has any prefix. */
  has(owner: number): boolean {
    return this.#entries.first(owner) !== 0;
  }

  /** Takes all prefixes of an owner. */
  clear(owner: number): void {
    const entries = this.#entries;
    for (let entry = entries.first(owner); entry !== 0; entry = entries.first(owner)) {
      this.#key.set(entries.words.subarray(entries.keyAt(entry), entries.keyAt(entry) + KEY_WORDS));
      this.#remove(this.#find(this.#key, entries.cidr(entry)));
    }
  }

  /** The prefixes of an owner, in order. */
  *list(owner: number): Iterable<Prefix> {
    const entries = this.#entries;
    for (let entry = entries.first(owner); entry !== 0; entry = entries.next(entry)) {
      const code = entries.cidr(entry);
      const isIpv4 = code >= IPV4_LENGTH;
      const address = new Uint8Array(isIpv4 ? 4 : 16);
      const at = entries.keyAt(entry);
      for (let i = 0; i < address.length; i++) address[i] = entries.words[at + (i >> 2)] >>> (24 - 8 * (i & 3));
      yield { address, cidr: isIpv4 ? code - IPV4_LENGTH : code };
    }
  }

  /** The prefixes of an owner, for `restore`. */
  copy(owner: number): Uint32Array {
    const entries = this.#entries;
    let count = 0;
    for (let entry = entries.first(owner); entry !== 0; entry = entries.next(entry)) count++;
    const copy = new Uint32Array(count * COPY_WORDS);
    let at = 0;
    for (let entry = entries.first(owner); entry !== 0; entry = entries.next(entry), at += COPY_WORDS) {
      copy.set(entries.words.subarray(entries.keyAt(entry), entries.keyAt(entry) + KEY_WORDS), at);
      copy[at + KEY_WORDS] = entries.cidr(entry);
    }
    return copy;
  }

  /** Gives an owner what `copy` told, after what it has. */
  restore(owner: number, copy: Uint32Array): void {
    for (let at = 0; at < copy.length; at += COPY_WORDS) {
      this.#key.set(copy.subarray(at, at + KEY_WORDS));
      this.#give(this.#key, copy[at + KEY_WORDS], owner);
    }
  }

  #give(key: Uint32Array, code: number, owner: number): void {
    const entry = this.#places[this.#find(key, code)];
    if (entry !== 0) {
      if (this.#entries.peer(entry) !== owner) this.#entries.give(entry, owner);
      return;
    }
    if (2 * (this.#entries.size + 1) > this.#places.length) this.#grow();
    this.#places[this.#find(key, code)] = this.#entries.add(key, code, owner);
  }

  /** The place of a prefix, or the empty one where it would go. */
  #find(key: Uint32Array, code: number): number {
    const mask = this.#places.length - 1;
    for (let place = hash(key, 0, code) & mask;; place = (place + 1) & mask) {
      const entry = this.#places[place];
      if (entry === 0 || (this.#entries.cidr(entry) === code && this.#entries.hasKey(entry, key))) return place;
    }
  }

  #remove(gap: number): void {
    const places = this.#places;
    const mask = places.length - 1;
    this.#entries.remove(places[gap]);
    for (let place = (gap + 1) & mask; places[place] !== 0; place = (place + 1) & mask) {
      // An entry may not move in front of its home.
      if (((place - this.#home(places[place])) & mask) < ((place - gap) & mask)) continue;
      places[gap] = places[place];
      gap = place;
    }
    places[gap] = 0;
  }

  #grow(): void {
    const former = this.#places;
    this.#places = new Uint32Array(2 * former.length);
    const mask = this.#places.length - 1;
    for (const entry of former) {
      if (entry === 0) continue;
      let place = this.#home(entry) & mask;
      while (this.#places[place] !== 0) place = (place + 1) & mask;
      this.#places[place] = entry;
    }
  }

  /** Hash of an entry. */
  #home(entry: number): number {
    return hash(this.#entries.words, this.#entries.keyAt(entry), this.#entries.cidr(entry));
  }

  /** The address as a key, in the scratch array. */
  #load(address: Uint8Array): Uint32Array {
    const key = this.#key;
    for (let word = 0; word < KEY_WORDS; word++) {
      const at = 4 * word;
      key[word] = at >= address.length
        ? 0
        : (address[at] << 24) | (address[at + 1] << 16) | (address[at + 2] << 8) | address[at + 3];
    }
    return key;
  }
}

function cidrCode(address: Uint8Array, cidr: number): number {
  return address.length === 4 ? IPV4_LENGTH + cidr : cidr;
}

/** A number whose low bits depend on all bits of a prefix. The prefixes are the operator's own: it has no secret. */
function hash(words: Uint32Array, at: number, code: number): number {
  let value = code;
  for (let word = 0; word < KEY_WORDS; word++) {
    value = Math.imul(value ^ words[at + word], 0x9e3779b1);
    value ^= value >>> 15;
  }
  return value;
}
