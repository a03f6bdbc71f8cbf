/**
 * What a device is configured to be, as the control side remembers it: the truth for `get`, for `showconf` and for
 * choosing peer slots. Every change is noted, so that a request that cannot be applied leaves nothing behind.
 *
 * Counters, handshake times and endpoints are not here: they live in DeviceTables, where the data plane moves them.
 */
import { wipe } from "../crypto/bytes.ts";
import type { Prefix } from "../tunnel/ip.ts";
import { publicKeyOf, publicKeyText } from "../tunnel/public_key_text.ts";
import { PrefixTable } from "./prefix_table.ts";

/** Shared by all that have none. */
const NO_NAMES: readonly string[] = [];

/** A configured peer; its allowed IPs are the model's to tell. */
export class PeerModel {
  /** Index in DeviceTables. */
  readonly slot: number;
  /** The public key, as maps want it. */
  readonly name: string;
  /** Secret. */
  presharedKey: Uint8Array | null = null;
  /** Seconds, 0 = off. */
  keepalive = 0;
  /** Names and further addresses of its endpoint, as `host:port`, in order. */
  names: readonly string[] = NO_NAMES;

  constructor(slot: number, name: string) {
    this.slot = slot;
    this.name = name;
  }

  /** A copy of the public key. */
  get publicKey(): Uint8Array {
    return publicKeyOf(this.name);
  }
}

/** Reading access to the model. */
export interface ModelView {
  /** Secret. */
  readonly privateKey: Uint8Array | null;
  readonly publicKey: Uint8Array | null;
  readonly fwmark: number;
  /** Lines of the resolv.conf that names are looked up by; empty for the host's. */
  readonly dns: readonly string[];
  readonly peerCount: number;
  /** In configuration order. */
  peers(): Iterable<PeerModel>;
  findPeer(publicKey: Uint8Array): PeerModel | undefined;
  /** In the order in which the peer got them. */
  allowedIps(peer: PeerModel): Iterable<Prefix>;
}

/** What a peer was before it changed, its allowed IPs as PrefixTable copies them. */
interface PeerImage {
  readonly presharedKey: Uint8Array | null;
  readonly keepalive: number;
  readonly names: readonly string[];
  readonly allowedIps: Uint32Array;
}

/** How things were before the first change since the last commit. */
interface Before {
  privateKey: Uint8Array | null;
  publicKey: Uint8Array | null;
  fwmark: number;
  dns: readonly string[];
  /** Null while no peer was added or removed. */
  peers: Map<string, PeerModel> | null;
  slots: Uint32Array | null;
  readonly created: Set<PeerModel>;
  /** Whoever gains or loses an allowed IP is here or above. */
  readonly changed: Map<PeerModel, PeerImage>;
}

export class Model implements ModelView {
  #privateKey: Uint8Array | null = null;
  #publicKey: Uint8Array | null = null;
  #fwmark = 0;
  #dns: readonly string[] = NO_NAMES;
  #peers = new Map<string, PeerModel>();
  readonly #allowedIps = new PrefixTable();
  /** The peer of every slot in use. */
  readonly #bySlot: (PeerModel | null)[] = [];
  readonly #slots: SlotSet;
  #before: Before;
  /** The peer that was looked after last: most changes come in rows. */
  #lastKept: PeerModel | null = null;
  /** Key bytes that are in use in the changed model but not in the former one. */
  #adopted: Uint8Array[] = [];
  /** Key bytes of the former model that the changed one has no use for. */
  #abandoned: Uint8Array[] = [];

  /** @param capacity number of peer slots */
  constructor(capacity: number) {
    this.#slots = new SlotSet(capacity);
    this.#before = this.#image();
  }

  get privateKey(): Uint8Array | null {
    return this.#privateKey;
  }

  get publicKey(): Uint8Array | null {
    return this.#publicKey;
  }

  get fwmark(): number {
    return this.#fwmark;
  }

  get dns(): readonly string[] {
    return this.#dns;
  }

  get peerCount(): number {
    return this.#peers.size;
  }

  peers(): Iterable<PeerModel> {
    return this.#peers.values();
  }

  findPeer(publicKey: Uint8Array): PeerModel | undefined {
    return this.#peers.get(publicKeyText(publicKey));
  }

  allowedIps(peer: PeerModel): Iterable<Prefix> {
    return this.#allowedIps.list(peer.slot);
  }

  hasAllowedIps(peer: PeerModel): boolean {
    return this.#allowedIps.has(peer.slot);
  }

  /** Both or neither are null. The model owns the bytes of `privateKey` from now on. */
  setPrivateKey(privateKey: Uint8Array | null, publicKey: Uint8Array | null): void {
    this.#replaceSecret(this.#privateKey, privateKey);
    this.#privateKey = privateKey;
    this.#publicKey = publicKey;
  }

  setFwmark(mark: number): void {
    this.#fwmark = mark;
  }

  setDns(lines: readonly string[]): void {
    this.#dns = lines;
  }

  /** The new peer, at the lowest free slot, or null when every slot is taken. */
  addPeer(publicKey: Uint8Array): PeerModel | null {
    this.#keepPeers();
    const slot = this.#slots.take();
    if (slot === -1) return null;
    const peer = new PeerModel(slot, publicKeyText(publicKey));
    this.#peers.set(peer.name, peer);
    this.#bySlot[slot] = peer;
    // A peer that did not exist needs no image: rolling back forgets it.
    this.#lastKept = peer;
    this.#before.created.add(peer);
    return peer;
  }

  removePeer(peer: PeerModel): void {
    this.#keepPeers();
    this.clearAllowedIps(peer);
    this.setPresharedKey(peer, null);
    this.#peers.delete(peer.name);
    this.#bySlot[peer.slot] = null;
    this.#slots.release(peer.slot);
  }

  /** The model owns the bytes of `key` from now on. */
  setPresharedKey(peer: PeerModel, key: Uint8Array | null): void {
    this.#keepPeer(peer);
    this.#replaceSecret(peer.presharedKey, key);
    peer.presharedKey = key;
  }

  setKeepalive(peer: PeerModel, seconds: number): void {
    this.#keepPeer(peer);
    peer.keepalive = seconds;
  }

  setNames(peer: PeerModel, names: readonly string[]): void {
    this.#keepPeer(peer);
    peer.names = names.length === 0 ? NO_NAMES : names;
  }

  /**
   * Gives the prefix to the peer, taking it from whoever has it.
   *
   * @param address 4 or 16 bytes, host bits cleared
   * @returns false if the peer has it already
   */
  addAllowedIp(peer: PeerModel, address: Uint8Array, cidr: number): boolean {
    const owner = this.#allowedIps.owner(address, cidr);
    if (owner === peer.slot) return false;
    if (owner !== -1) this.#keepPeer(this.#bySlot[owner]!);
    this.#keepPeer(peer);
    this.#allowedIps.give(address, cidr, peer.slot);
    return true;
  }

  /** False if the prefix is not this peer's. */
  removeAllowedIp(peer: PeerModel, address: Uint8Array, cidr: number): boolean {
    if (this.#allowedIps.owner(address, cidr) !== peer.slot) return false;
    this.#keepPeer(peer);
    return this.#allowedIps.remove(address, cidr);
  }

  clearAllowedIps(peer: PeerModel): void {
    if (!this.hasAllowedIps(peer)) return;
    this.#keepPeer(peer);
    this.#allowedIps.clear(peer.slot);
  }

  /** The changes since the last commit hold. Erases the keys they replaced. */
  commit(): void {
    for (const key of this.#abandoned) wipe(key);
    this.#forget();
  }

  /** The model is again as at the last commit. Erases the keys that came since. */
  rollback(): void {
    const before = this.#before;
    for (const key of this.#adopted) wipe(key);
    this.#privateKey = before.privateKey;
    this.#publicKey = before.publicKey;
    this.#fwmark = before.fwmark;
    this.#dns = before.dns;
    if (before.peers !== null) this.#peers = before.peers;
    if (before.slots !== null) this.#slots.restore(before.slots);
    // All that was taken from anybody must be free before it is given back.
    for (const peer of [...before.created, ...before.changed.keys()]) this.#allowedIps.clear(peer.slot);
    for (const [peer, { presharedKey, keepalive, names, allowedIps }] of before.changed) {
      peer.presharedKey = presharedKey;
      peer.keepalive = keepalive;
      peer.names = names;
      this.#bySlot[peer.slot] = peer;
      this.#allowedIps.restore(peer.slot, allowedIps);
    }
    this.#forget();
  }

  #forget(): void {
    this.#adopted = [];
    this.#abandoned = [];
    this.#lastKept = null;
    this.#before = this.#image();
  }

  #image(): Before {
    const { privateKey, publicKey, fwmark, dns } = this;
    return {
      privateKey,
      publicKey,
      fwmark,
      dns,
      peers: null,
      slots: null,
      created: new Set(),
      changed: new Map(),
    };
  }

  #keepPeers(): void {
    if (this.#before.peers !== null) return;
    this.#before.peers = new Map(this.#peers);
    this.#before.slots = this.#slots.copy();
  }

  #keepPeer(peer: PeerModel): void {
    if (peer === this.#lastKept) return;
    this.#lastKept = peer;
    if (this.#before.changed.has(peer) || this.#before.created.has(peer)) return;
    const { slot, presharedKey, keepalive, names } = peer;
    this.#before.changed.set(peer, { presharedKey, keepalive, names, allowedIps: this.#allowedIps.copy(slot) });
  }

  #replaceSecret(former: Uint8Array | null, next: Uint8Array | null): void {
    if (former !== null) this.#abandoned.push(former);
    if (next !== null) this.#adopted.push(next);
  }
}

/** Slot numbers in use, one bit each; the lowest free one is taken first. */
class SlotSet {
  readonly #capacity: number;
  #words: Uint32Array;
  /** No word below has a free bit. */
  #firstOpen = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#words = new Uint32Array(Math.ceil(capacity / 32));
  }

  take(): number {
    while (this.#firstOpen < this.#words.length && this.#words[this.#firstOpen] === 0xffffffff) this.#firstOpen++;
    if (this.#firstOpen === this.#words.length) return -1;
    const free = ~this.#words[this.#firstOpen];
    const bit = 31 - Math.clz32(free & -free);
    const slot = 32 * this.#firstOpen + bit;
    if (slot >= this.#capacity) return -1;
    this.#words[this.#firstOpen] |= 1 << bit;
    return slot;
  }

  release(slot: number): void {
    this.#words[slot >>> 5] &= ~(1 << (slot & 31));
    this.#firstOpen = Math.min(this.#firstOpen, slot >>> 5);
  }

  copy(): Uint32Array {
    return this.#words.slice();
  }

  restore(words: Uint32Array): void {
    this.#words = words;
    this.#firstOpen = 0;
  }
}
