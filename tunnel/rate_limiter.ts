/**
 * Handshake messages per source under load: a token bucket for each IPv4 address or IPv6 /64, 20 a second, 5 at once.
 *
 * A whole /64 is one source, for one attacker easily owns that much. Buckets stand in a list, the longest idle first,
 * so that collecting the idle ones never searches. When the table is full, unknown sources are refused.
 *
 * Spec: WireGuard paper §5.3 (denial of service mitigation).
 */
import { ENDPOINT_ADDRESS, ENDPOINT_FAMILY } from "./endpoint.ts";

/** Milliseconds of refill that one message costs: 20 a second. */
const MESSAGE_COST = 1000 / 20;
const BURST = 5;
const FULL = BURST * MESSAGE_COST;
/** A bucket untouched for longer is dropped; by then it has long been full. */
const IDLE_TIME = 1000;
/** Idle buckets dropped by one call at most, more than one call can add: the table shrinks, and no call is slow. */
const COLLECTED_PER_CALL = 4;
const DEFAULT_ENTRIES = 65_536;
/** Of the permutation that hides sources from the Map's hash. */
const ROUNDS = 4;

interface Bucket {
  readonly source: string;
  /** Milliseconds of refill in it. */
  tokens: number;
  touchedAt: number;
  /** The next longer idle bucket. */
  older: Bucket | null;
  newer: Bucket | null;
}

export class RateLimiter {
  readonly #maxEntries: number;
  readonly #buckets: Map<string, Bucket> = new Map();
  readonly #roundKeys: Uint32Array = new Uint32Array(ROUNDS);
  #oldest: Bucket | null = null;
  #newest: Bucket | null = null;

  /**
   * @param maxEntries most sources remembered at one time
   * @param random fills its argument with unpredictable bytes; without it a stranger who owns many networks can choose
   * those that share a place in the table, and so slow it down
   */
  constructor(maxEntries: number = DEFAULT_ENTRIES, random?: (out: Uint8Array) => void) {
    this.#maxEntries = maxEntries;
    if (random !== undefined) random(new Uint8Array(this.#roundKeys.buffer));
  }

  /** Sources remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  /**
   * Whether one more message of this source may be worked on now; if so, it is paid for.
   *
   * @param endpoint 48-byte endpoint record; its port does not matter
   * @param now milliseconds, never going back
   */
  allow(endpoint: Uint8Array, now: number): boolean {
    this.#collect(now, COLLECTED_PER_CALL);
    const source = this.#sourceOf(endpoint);
    const bucket = this.#buckets.get(source);
    if (bucket === undefined) return this.#add(source, now);
    bucket.tokens = Math.min(FULL, bucket.tokens + Math.max(0, now - bucket.touchedAt));
    bucket.touchedAt = now;
    this.#unlink(bucket);
    this.#append(bucket);
    if (bucket.tokens < MESSAGE_COST) return false;
    bucket.tokens -= MESSAGE_COST;
    return true;
  }

  /** Drops every idle bucket; optional, for when no more messages come. */
  collect(now: number): void {
    this.#collect(now, Infinity);
  }

  #add(source: string, now: number): boolean {
    if (this.#buckets.size >= this.#maxEntries) return false;
    const bucket: Bucket = { source, tokens: FULL - MESSAGE_COST, touchedAt: now, older: null, newer: null };
    this.#buckets.set(source, bucket);
    this.#append(bucket);
    return true;
  }

  #collect(now: number, limit: number): void {
    for (let count = 0; count < limit; count++) {
      const bucket = this.#oldest;
      if (bucket === null || now - bucket.touchedAt <= IDLE_TIME) return;
      this.#unlink(bucket);
      this.#buckets.delete(bucket.source);
    }
  }

  #append(bucket: Bucket): void {
    bucket.older = this.#newest;
    bucket.newer = null;
    if (this.#newest === null) this.#oldest = bucket;
    else this.#newest.newer = bucket;
    this.#newest = bucket;
  }

  #unlink(bucket: Bucket): void {
    if (bucket.older === null) this.#oldest = bucket.newer;
    else bucket.older.newer = bucket.newer;
    if (bucket.newer === null) this.#newest = bucket.older;
    else bucket.newer.older = bucket.older;
  }

  /**
   * The Map's key of a source: four characters for an IPv6 /64, five for an IPv4 address.
   *
   * The hash of a string is no secret where the engine starts from a snapshot, for its seed is then built in. So the
   * source goes through a keyed permutation (a Feistel network): different sources keep different keys, and nobody
   * outside can tell which keys will collide.
   */
  #sourceOf(endpoint: Uint8Array): string {
    const isIpv4 = endpoint[ENDPOINT_FAMILY] === 4;
    let left = readUint32(endpoint, ENDPOINT_ADDRESS);
    let right = isIpv4 ? 0 : readUint32(endpoint, ENDPOINT_ADDRESS + 4);
    for (let round = 0; round < ROUNDS; round++) {
      const mixed = left ^ mix(right ^ this.#roundKeys[round]);
      left = right;
      right = mixed;
    }
    const key = String.fromCharCode(left >>> 16, left & 0xffff, right >>> 16, right & 0xffff);
    return isIpv4 ? key + "4" : key;
  }
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}

/** Spreads each bit over all 32. */
function mix(word: number): number {
  word = Math.imul(word ^ (word >>> 16), 0x7feb352d);
  word = Math.imul(word ^ (word >>> 15), 0x846ca68b);
  return word ^ (word >>> 16);
}
