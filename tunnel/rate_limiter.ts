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
  /** By source as a short string, whose hash the engine seeds: nobody can choose sources that collide. */
  readonly #buckets: Map<string, Bucket> = new Map();
  #oldest: Bucket | null = null;
  #newest: Bucket | null = null;

  /** @param maxEntries most sources remembered at one time */
  constructor(maxEntries: number = DEFAULT_ENTRIES) {
    this.#maxEntries = maxEntries;
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
    const source = sourceOf(endpoint);
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
}

/** Two characters for an IPv4 address, four for an IPv6 /64. */
function sourceOf(endpoint: Uint8Array): string {
  const at = ENDPOINT_ADDRESS;
  const first = String.fromCharCode(
    (endpoint[at] << 8) | endpoint[at + 1],
    (endpoint[at + 2] << 8) | endpoint[at + 3],
  );
  if (endpoint[ENDPOINT_FAMILY] === 4) return first;
  return first + String.fromCharCode(
    (endpoint[at + 4] << 8) | endpoint[at + 5],
    (endpoint[at + 6] << 8) | endpoint[at + 7],
  );
}
