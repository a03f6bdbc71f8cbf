/**
 * Longest-prefix match for addresses of one family: a path-compressed binary trie over a flat array of nodes.
 *
 * ```
 * node  bit | child 0 | child 1 | entry
 * ```
 *
 * All entries below a node agree in their first `bit` bits, and bit number `bit` chooses the child. Only entries carry
 * a key: a node that merely branches is passed blindly, and a wrong turn there shows at the next entry, which then
 * does not match. A node that is no entry has two children, so n entries need fewer than 2n nodes of 16 bytes: with
 * the entries themselves at most 48 bytes per IPv4 and 60 bytes per IPv6 prefix.
 *
 * Node 0 does not exist; its first child is the root.
 */
import { moveInto } from "./growth.ts";
import { ENTRY_TAIL_WORDS, OWNER_SHIFT, PrefixEntries } from "./prefix_entries.ts";

const NODE_WORDS = 4;
const BIT = 0;
const CHILD = 1;
const ENTRY = 3;
/** A link is the offset of a child pointer in the node array; this one leads to the root. */
const ROOT_LINK = CHILD;
const NO_LINK = 0;

const INITIAL_NODES = 16;
const KEY4_STRIDE = 1 + ENTRY_TAIL_WORDS;
const KEY6_STRIDE = 4 + ENTRY_TAIL_WORDS;

export class PrefixTrie {
  readonly entries: PrefixEntries;
  #nodes = new Int32Array(INITIAL_NODES * NODE_WORDS);
  #used = 1;
  #free = 0;
  #count = 0;

  /** @param keyWords 1 for IPv4, 4 for IPv6; keys are big-endian words with host bits cleared */
  constructor(keyWords: number) {
    this.entries = new PrefixEntries(keyWords);
  }

  /** Nodes in use: fewer than twice the entries. */
  get nodes(): number {
    return this.#count;
  }

  /** Bytes of its arrays, used or not. */
  get bytes(): number {
    return this.#nodes.byteLength + this.entries.bytes;
  }

  /** Owner of the longest prefix of an IPv4 address (u32 or i32), or -1. Only for tries of one-word keys. */
  lookup4(address: number): number {
    const nodes = this.#nodes;
    const entries = this.entries.words;
    let owner = -1;
    for (let node = nodes[ROOT_LINK]; node !== 0;) {
      const at = node * NODE_WORDS;
      const bit = nodes[at + BIT];
      const entry = nodes[at + ENTRY];
      if (entry !== 0) {
        const key = entry * KEY4_STRIDE;
        if (bit !== 0 && (entries[key] ^ address) >>> (32 - bit) !== 0) break;
        owner = entries[key + 1] >>> OWNER_SHIFT;
      }
      // There is no bit 32, but a node of that length has no children: either link ends the search.
      node = nodes[at + CHILD + ((address >>> (31 - bit)) & 1)];
    }
    return owner;
  }

  /** Owner of the longest prefix of the IPv6 address at `offset`, or -1. Only for tries of four-word keys. */
  lookup6(view: DataView, offset: number): number {
    const nodes = this.#nodes;
    const entries = this.entries.words;
    let owner = -1;
    for (let node = nodes[ROOT_LINK]; node !== 0;) {
      const at = node * NODE_WORDS;
      const bit = nodes[at + BIT];
      const entry = nodes[at + ENTRY];
      if (entry !== 0) {
        const key = entry * KEY6_STRIDE;
        if (!startsWith(view, offset, entries, key, bit)) break;
        owner = entries[key + 4] >>> OWNER_SHIFT;
        if (bit === 128) break;
      }
      node = nodes[at + CHILD + ((view.getUint8(offset + (bit >>> 3)) >>> (7 - (bit & 7))) & 1)];
    }
    return owner;
  }

  /** Gives a prefix to a peer, taking it from whoever had it. */
  insert(key: Uint32Array, cidr: number, peer: number): void {
    const common = this.#commonBits(key, cidr);
    let link = ROOT_LINK;
    let node = this.#nodes[link];
    while (node !== 0 && this.#bit(node) <= common && this.#bit(node) < cidr) {
      link = this.#childLink(node, key, 0);
      node = this.#nodes[link];
    }
    // Only a node that agrees in all bits and has no more of them stands for this very prefix.
    if (node === 0 || common < cidr || this.#bit(node) !== cidr) {
      this.#insertAbove(link, key, common, cidr, peer);
      return;
    }
    const entry = this.#entry(node);
    if (entry === 0) this.#nodes[node * NODE_WORDS + ENTRY] = this.entries.add(key, cidr, peer);
    else if (this.entries.peer(entry) !== peer) this.entries.give(entry, peer);
  }

  /** Takes exactly this prefix from this peer; false, and no change, if it was not the peer's. */
  remove(key: Uint32Array, cidr: number, peer: number): boolean {
    const nodes = this.#nodes;
    let parentLink = NO_LINK;
    let link = ROOT_LINK;
    let node = nodes[link];
    while (node !== 0 && this.#bit(node) < cidr) {
      parentLink = link;
      link = this.#childLink(node, key, 0);
      node = nodes[link];
    }
    const entry = node === 0 ? 0 : this.#entry(node);
    if (entry === 0 || this.#bit(node) !== cidr) return false;
    if (this.entries.peer(entry) !== peer || !this.entries.hasKey(entry, key)) return false;
    this.entries.remove(entry);
    nodes[node * NODE_WORDS + ENTRY] = 0;
    this.#collapse(link);
    // A node without children leaves nothing in its place, and its parent may now branch no longer.
    if (nodes[link] === 0 && parentLink !== NO_LINK) this.#collapse(parentLink);
    return true;
  }

  /** How many of the key's first `cidr` bits the nearest entry has too, within that entry's own length. */
  #commonBits(key: Uint32Array, cidr: number): number {
    let node = this.#nodes[ROOT_LINK];
    if (node === 0) return 0;
    while (this.#bit(node) < cidr) {
      const child = this.#nodes[this.#childLink(node, key, 0)];
      if (child === 0) break;
      node = child;
    }
    // Any entry here will do: where the key leads, all agree with it as far as the best of all entries does.
    const entry = this.#someEntry(node);
    const limit = Math.min(cidr, this.entries.cidr(entry));
    const at = this.entries.keyAt(entry);
    for (let word = 0; 32 * word < limit; word++) {
      const same = Math.clz32(this.entries.words[at + word] ^ key[word]);
      if (same < 32) return Math.min(limit, 32 * word + same);
    }
    return limit;
  }

  /** Puts a new entry where `link` leads; what hangs there agrees with it in `common` bits and goes below. */
  #insertAbove(link: number, key: Uint32Array, common: number, cidr: number, peer: number): void {
    const below = this.#nodes[link];
    const added = this.#newNode(cidr);
    this.#nodes[added * NODE_WORDS + ENTRY] = this.entries.add(key, cidr, peer);
    if (below === 0) {
      this.#nodes[link] = added;
    } else if (common === cidr) {
      this.#hang(added, below);
      this.#nodes[link] = added;
    } else {
      const branch = this.#newNode(common);
      this.#hang(branch, added);
      this.#hang(branch, below);
      this.#nodes[link] = branch;
    }
  }

  /** Hangs `below` under `node`, on the side where its keys belong. */
  #hang(node: number, below: number): void {
    const at = this.entries.keyAt(this.#someEntry(below));
    this.#nodes[this.#childLink(node, this.entries.words, at)] = below;
  }

  /** Takes out the node where `link` leads if it is neither an entry nor a branch. */
  #collapse(link: number): void {
    const nodes = this.#nodes;
    const at = nodes[link] * NODE_WORDS;
    const left = nodes[at + CHILD];
    const right = nodes[at + CHILD + 1];
    if (nodes[at + ENTRY] !== 0 || (left !== 0 && right !== 0)) return;
    nodes[at + CHILD] = this.#free;
    this.#free = nodes[link];
    this.#count--;
    nodes[link] = left === 0 ? right : left;
  }

  #newNode(bit: number): number {
    let node = this.#free;
    if (node !== 0) this.#free = this.#nodes[node * NODE_WORDS + CHILD];
    else node = this.#used++;
    const at = node * NODE_WORDS;
    if (at === this.#nodes.length) this.#nodes = moveInto(new Int32Array(2 * at), this.#nodes);
    this.#nodes.fill(0, at, at + NODE_WORDS);
    this.#nodes[at + BIT] = bit;
    this.#count++;
    return node;
  }

  #bit(node: number): number {
    return this.#nodes[node * NODE_WORDS + BIT];
  }

  #entry(node: number): number {
    return this.#nodes[node * NODE_WORDS + ENTRY];
  }

  /** The entry of the node or of one below it; a node that is no entry has two children. */
  #someEntry(node: number): number {
    let at = node * NODE_WORDS;
    while (this.#nodes[at + ENTRY] === 0) at = this.#nodes[at + CHILD] * NODE_WORDS;
    return this.#nodes[at + ENTRY];
  }

  /** The link that a key at `at` in `words` follows from a node shorter than the key. */
  #childLink(node: number, words: Uint32Array, at: number): number {
    const bit = this.#bit(node);
    return node * NODE_WORDS + CHILD + ((words[at + (bit >>> 5)] >>> (31 - (bit & 31))) & 1);
  }
}

/** Whether the IPv6 address at `offset` agrees with the key at `at` in its first `bits` bits. */
function startsWith(view: DataView, offset: number, words: Uint32Array, at: number, bits: number): boolean {
  let left = bits;
  for (; left >= 32; left -= 32, offset += 4, at++) {
    if (view.getUint32(offset) !== words[at]) return false;
  }
  return left === 0 || (view.getUint32(offset) ^ words[at]) >>> (32 - left) === 0;
}
