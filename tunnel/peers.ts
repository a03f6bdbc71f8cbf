/**
 * The peers' cold state: what handshakes need. Hot state lies in DeviceTables under the same slots.
 *
 * Flat arrays as there, and no object that lives: 10,000 peers as objects take three times the memory, and the garbage
 * collector, which copies what survives, answers them by a heap that stays larger for good. A `Peer` is made where one
 * is looked at and dies at once.
 */
import type { NoiseState } from "../crypto/noise.ts";
import type { CryptoSuite } from "../crypto/suite.ts";
import type { Candidates } from "./candidates.ts";
import { CookieGenerator, CookieMemory } from "./cookie.ts";
import { KEY_BYTES, TIMESTAMP_BYTES } from "./limits.ts";
import { PublicKeys } from "./public_keys.ts";

/** What we are: a static key pair. */
export interface Identity {
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

// What is known of DH(our static, theirs).
const NOT_COMPUTED = 0;
const COMPUTED = 1;
const LOW_ORDER = 2;

/** The arrays by slot; Peer gives their elements names. */
class PeerArrays {
  readonly suite: CryptoSuite;
  readonly publicKeys: PublicKeys;
  readonly presharedKeys: Uint8Array;
  readonly staticStatics: Uint8Array;
  readonly staticStaticStates: Uint8Array;
  readonly latestTimestamps: Uint8Array;
  readonly firstKeepaliveDue: Uint8Array;
  readonly handshakeIndices: Uint32Array;
  readonly lastInitiationReceived: Float64Array;
  readonly lastTimestampSent: Float64Array;
  readonly lastHandshakeSent: Float64Array;
  readonly cookies: CookieMemory;
  /** Few wait for a response at a time. */
  readonly handshakes: Map<number, NoiseState> = new Map();
  /** Few have names. */
  readonly candidates: Map<number, Candidates> = new Map();

  constructor(suite: CryptoSuite, capacity: number) {
    this.suite = suite;
    this.publicKeys = new PublicKeys(capacity);
    this.presharedKeys = new Uint8Array(KEY_BYTES * capacity);
    this.staticStatics = new Uint8Array(KEY_BYTES * capacity);
    this.staticStaticStates = new Uint8Array(capacity);
    this.latestTimestamps = new Uint8Array(TIMESTAMP_BYTES * capacity);
    this.firstKeepaliveDue = new Uint8Array(capacity);
    this.handshakeIndices = new Uint32Array(capacity);
    this.lastInitiationReceived = new Float64Array(capacity);
    this.lastTimestampSent = new Float64Array(capacity);
    this.lastHandshakeSent = new Float64Array(capacity);
    this.cookies = new CookieMemory(capacity);
  }
}

/** The peers of a device. */
export class Peers {
  readonly #arrays: PeerArrays;

  /** @param capacity number of slots */
  constructor(suite: CryptoSuite, capacity: number) {
    this.#arrays = new PeerArrays(suite, capacity);
  }

  get size(): number {
    return this.#arrays.publicKeys.size;
  }

  has(slot: number): boolean {
    return this.#arrays.publicKeys.has(slot);
  }

  /** @throws RangeError if there is no peer in the slot */
  at(slot: number): Peer {
    if (!this.has(slot)) throw new RangeError(`No peer in slot ${slot}`);
    return new Peer(slot, this.#arrays);
  }

  /** @param publicKey 32 bytes */
  find(publicKey: Uint8Array): Peer | null {
    const slot = this.#arrays.publicKeys.find(publicKey);
    return slot < 0 ? null : new Peer(slot, this.#arrays);
  }

  /** In the order of their slots. */
  *[Symbol.iterator](): Iterator<Peer> {
    for (const slot of this.#arrays.publicKeys.slots()) yield new Peer(slot, this.#arrays);
  }

  /** A peer that nothing is known of, in a free slot. */
  add(slot: number, publicKey: Uint8Array): void {
    const arrays = this.#arrays;
    arrays.publicKeys.add(slot, publicKey);
    arrays.latestTimestamps.fill(0, slot * TIMESTAMP_BYTES, (slot + 1) * TIMESTAMP_BYTES);
    arrays.firstKeepaliveDue[slot] = 0;
    arrays.lastInitiationReceived[slot] = -Infinity;
    arrays.lastTimestampSent[slot] = -Infinity;
    arrays.lastHandshakeSent[slot] = -Infinity;
  }

  /** Erases every secret of the peer; the slot is free then. */
  remove(slot: number): void {
    const peer = this.at(slot);
    peer.wipe();
    peer.candidates = null;
    this.#arrays.publicKeys.remove(slot);
  }
}

/** One peer, for as long as a function looks at it. */
export class Peer {
  readonly slot: number;
  readonly #arrays: PeerArrays;

  constructor(slot: number, arrays: PeerArrays) {
    this.slot = slot;
    this.#arrays = arrays;
  }

  /** Not to be written, nor kept; neither are the other arrays. */
  get publicKey(): Uint8Array {
    return this.#arrays.publicKeys.at(this.slot);
  }

  /** Secret; zeros stand for none. */
  get presharedKey(): Uint8Array {
    return element(this.#arrays.presharedKeys, this.slot, KEY_BYTES);
  }

  /** Keeps a copy. @param key 32 secret bytes, null for none */
  setPresharedKey(key: Uint8Array | null): void {
    if (key === null) this.presharedKey.fill(0);
    else this.presharedKey.set(key);
  }

  /** Persistent keepalive was switched on: the first one is due at the end of the block that brings the endpoint. */
  get firstKeepaliveDue(): boolean {
    return this.#arrays.firstKeepaliveDue[this.slot] === 1;
  }

  set firstKeepaliveDue(isDue: boolean) {
    this.#arrays.firstKeepaliveDue[this.slot] = isDue ? 1 : 0;
  }

  /** Where else it may be; null for a peer without names. */
  get candidates(): Candidates | null {
    return this.#arrays.candidates.get(this.slot) ?? null;
  }

  set candidates(candidates: Candidates | null) {
    if (candidates === null) this.#arrays.candidates.delete(this.slot);
    else this.#arrays.candidates.set(this.slot, candidates);
  }

  /** Our initiation that waits for a response. */
  get handshake(): NoiseState | null {
    return this.#arrays.handshakes.get(this.slot) ?? null;
  }

  /** The index it was sent under. */
  get handshakeIndex(): number {
    return this.#arrays.handshakeIndices[this.slot];
  }

  /** An initiation was sent under `index`; there is none yet. */
  setHandshake(noise: NoiseState, index: number): void {
    this.#arrays.handshakes.set(this.slot, noise);
    this.#arrays.handshakeIndices[this.slot] = index;
  }

  /** Timestamp of the newest initiation accepted from the peer: greatest wins, older ones are replays. To be written. */
  get latestTimestamp(): Uint8Array {
    return element(this.#arrays.latestTimestamps, this.slot, TIMESTAMP_BYTES);
  }

  get lastInitiationReceived(): number {
    return this.#arrays.lastInitiationReceived[this.slot];
  }

  set lastInitiationReceived(now: number) {
    this.#arrays.lastInitiationReceived[this.slot] = now;
  }

  /** Unix milliseconds in our newest initiation. */
  get lastTimestampSent(): number {
    return this.#arrays.lastTimestampSent[this.slot];
  }

  set lastTimestampSent(unixMilliseconds: number) {
    this.#arrays.lastTimestampSent[this.slot] = unixMilliseconds;
  }

  /** When we last sent an initiation or a response. */
  get lastHandshakeSent(): number {
    return this.#arrays.lastHandshakeSent[this.slot];
  }

  set lastHandshakeSent(now: number) {
    this.#arrays.lastHandshakeSent[this.slot] = now;
  }

  get cookies(): CookieGenerator {
    const { suite, cookies } = this.#arrays;
    return new CookieGenerator(suite, this.publicKey, cookies, this.slot);
  }

  /** DH of both static keys, computed at the first handshake and kept; null for a low-order public key. */
  staticStatic(identity: Identity): Uint8Array | null {
    const { suite, staticStatics, staticStaticStates } = this.#arrays;
    const kept = element(staticStatics, this.slot, KEY_BYTES);
    if (staticStaticStates[this.slot] === NOT_COMPUTED) {
      const secret = suite.sharedSecret(identity.privateKey, this.publicKey);
      staticStaticStates[this.slot] = secret === null ? LOW_ORDER : COMPUTED;
      if (secret !== null) kept.set(secret);
      secret?.fill(0);
    }
    return staticStaticStates[this.slot] === COMPUTED ? kept : null;
  }

  /** Our static key has changed: what was derived from the old one goes. */
  forgetIdentity(): void {
    element(this.#arrays.staticStatics, this.slot, KEY_BYTES).fill(0);
    this.#arrays.staticStaticStates[this.slot] = NOT_COMPUTED;
  }

  /** Erases the ephemeral state of an unanswered initiation. The caller releases its index. */
  wipeHandshake(): void {
    this.handshake?.wipe();
    this.#arrays.handshakes.delete(this.slot);
    this.candidates?.forgetInitiation();
  }

  /** Erases every secret. */
  wipe(): void {
    this.wipeHandshake();
    this.forgetIdentity();
    this.setPresharedKey(null);
    this.cookies.wipe();
  }
}

/** The bytes of a slot. */
function element(array: Uint8Array, slot: number, bytes: number): Uint8Array {
  return array.subarray(slot * bytes, (slot + 1) * bytes);
}
