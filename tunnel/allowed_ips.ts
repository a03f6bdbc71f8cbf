/**
 * Allowed IPs: which peer an inner address belongs to, by the longest prefix that contains it.
 *
 * A prefix has one owner; giving it to a second peer takes it from the first. The families are apart: an IPv4-mapped
 * IPv6 address is an IPv6 address here. Look-ups take time by the bits of an address, not by the number of prefixes,
 * and allocate nothing.
 *
 * Spec: WireGuard paper §2 (cryptokey routing).
 */
import { IPV4, IPV4_DESTINATION, IPV4_SOURCE, IPV6, IPV6_DESTINATION, IPV6_SOURCE, type Prefix } from "./ip.ts";
import { checkPeer } from "./prefix_entries.ts";
import { PrefixTrie } from "./prefix_trie.ts";

export class AllowedIps {
  readonly #trie4 = new PrefixTrie(1);
  readonly #trie6 = new PrefixTrie(4);
  readonly #key4 = new Uint32Array(1);
  readonly #key6 = new Uint32Array(4);

  /** Prefixes of all peers and both families. */
  get size(): number {
    return this.#trie4.entries.size + this.#trie6.entries.size;
  }

  /** Trie nodes in use, for leak tests: fewer than twice `size`. */
  get nodes(): number {
    return this.#trie4.nodes + this.#trie6.nodes;
  }

  /** Bytes of memory it holds, whether in use or not. */
  get bytes(): number {
    return this.#trie4.bytes + this.#trie6.bytes;
  }

  /**
   * Gives a prefix to a peer, taking it from whoever had it.
   *
   * @param address 4 or 16 bytes; host bits are ignored
   * @param cidr prefix length in bits
   * @param peer slot, 0 … 2^24 − 1
   */
  insert(address: Uint8Array, cidr: number, peer: number): void {
    checkPeer(peer);
    const key = this.#key(address, cidr);
    this.#trie(key).insert(key, cidr, peer);
  }

  /** Takes exactly this prefix from this peer; false, and no change, if it was not the peer's. */
  remove(address: Uint8Array, cidr: number, peer: number): boolean {
    const key = this.#key(address, cidr);
    return this.#trie(key).remove(key, cidr, peer);
  }

  /** Takes all prefixes of a peer; the time depends on how many it has, not on how many there are. */
  removePeer(peer: number): void {
    removePeer(this.#trie4, this.#key4, peer);
    removePeer(this.#trie6, this.#key6, peer);
  }

  /**
   * The peer that an IPv4 address belongs to, or -1.
   *
   * @param address the four bytes as a big-endian number; read as i32 it needs no heap number in a call not inlined
   */
  lookup4(address: number): number {
    return this.#trie4.lookup4(address);
  }

  /** The peer that the IPv6 address at `offset` belongs to, or -1. */
  lookup6(view: DataView, offset: number): number {
    return this.#trie6.lookup6(view, offset);
  }

  /** The peer that the source of the packet at `packet` belongs to; -1 for none, or if it is no IP packet. */
  lookupSource(view: DataView, packet: number): number {
    const version = view.getUint8(packet) >>> 4;
    if (version === IPV4) return this.#trie4.lookup4(view.getInt32(packet + IPV4_SOURCE));
    return version === IPV6 ? this.#trie6.lookup6(view, packet + IPV6_SOURCE) : -1;
  }

  /** The peer that the destination of the packet at `packet` belongs to; -1 for none, or if it is no IP packet. */
  lookupDestination(view: DataView, packet: number): number {
    const version = view.getUint8(packet) >>> 4;
    if (version === IPV4) return this.#trie4.lookup4(view.getInt32(packet + IPV4_DESTINATION));
    return version === IPV6 ? this.#trie6.lookup6(view, packet + IPV6_DESTINATION) : -1;
  }

  /** The prefixes of a peer with host bits cleared: IPv4, then IPv6, each in the order in which the peer got them. */
  entries(peer: number): Prefix[] {
    return [...listPeer(this.#trie4, 1, peer), ...listPeer(this.#trie6, 4, peer)];
  }

  #trie(key: Uint32Array): PrefixTrie {
    return key.length === 1 ? this.#trie4 : this.#trie6;
  }

  /** The address as words with its host bits cleared, in the scratch key of its family. */
  #key(address: Uint8Array, cidr: number): Uint32Array {
    if (address.length !== 4 && address.length !== 16) throw new RangeError("Address must have 4 or 16 bytes");
    if (!Number.isInteger(cidr) || cidr < 0 || cidr > 8 * address.length) {
      throw new RangeError(`Prefix length must be an integer from 0 to ${8 * address.length}`);
    }
    const key = address.length === 4 ? this.#key4 : this.#key6;
    for (let word = 0; word < key.length; word++) {
      const at = 4 * word;
      const value = (address[at] << 24) | (address[at + 1] << 16) | (address[at + 2] << 8) | address[at + 3];
      key[word] = value & networkMask(cidr - 32 * word);
    }
    return key;
  }
}

/** A word whose first `bits` bits are ones, all or none of them if `bits` lies outside it. */
function networkMask(bits: number): number {
  if (bits <= 0) return 0;
  return bits >= 32 ? -1 : -1 << (32 - bits);
}

function removePeer(trie: PrefixTrie, key: Uint32Array, peer: number): void {
  const entries = trie.entries;
  for (let entry = entries.first(peer); entry !== 0; entry = entries.first(peer)) {
    const at = entries.keyAt(entry);
    for (let word = 0; word < key.length; word++) key[word] = entries.words[at + word];
    trie.remove(key, entries.cidr(entry), peer);
  }
}

function listPeer(trie: PrefixTrie, keyWords: number, peer: number): Prefix[] {
  const prefixes: Prefix[] = [];
  const entries = trie.entries;
  for (let entry = entries.first(peer); entry !== 0; entry = entries.next(entry)) {
    const address = new Uint8Array(4 * keyWords);
    const view = new DataView(address.buffer);
    for (let word = 0; word < keyWords; word++) view.setUint32(4 * word, entries.words[entries.keyAt(entry) + word]);
    prefixes.push({ address, cidr: entries.cidr(entry) });
  }
  return prefixes;
}
