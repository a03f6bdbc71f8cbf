/** One host name: what addresses it had when it was last asked for, and when to ask again. */
import { formatAddress } from "../tunnel/address_text.ts";

/** Milliseconds between two look-ups while a peer is silent, and while all is well. */
const SILENT_INTERVAL = 5_000;
const LEAST_INTERVAL = 30_000;
const GREATEST_INTERVAL = 3_600_000;
/** After failures one after the other the pause doubles, up to this; and is a quarter longer or shorter by chance. */
const GREATEST_PAUSE = 60_000;
const JITTER = 0.25;

/** Addresses of 4 or 16 bytes, good for `ttl` seconds; or in words why there are none. */
export type LookupResult =
  | { readonly addresses: readonly Uint8Array[]; readonly ttl: number }
  | { readonly failure: string };

export class WatchedHost {
  readonly name: string;
  /** The last known ones: they stay when a look-up fails. */
  addresses: readonly Uint8Array[] = [];
  readonly #random: () => number;
  #isLooking = false;
  #failures = 0;
  /** When to ask next if a peer is silent, and if none is. */
  #nextIfSilent = -Infinity;
  #next = -Infinity;

  /** @param random 0 … 1 */
  constructor(name: string, random: () => number) {
    this.name = name;
    this.#random = random;
  }

  isDue(isSilent: boolean, now: number): boolean {
    return !this.#isLooking && now >= (isSilent ? this.#nextIfSilent : this.#next);
  }

  asked(now: number): void {
    this.#isLooking = true;
    this.#nextIfSilent = now + SILENT_INTERVAL;
  }

  answered(
    result: LookupResult,
    now: number,
    log: { info(message: string): void; debug(message: string): void },
  ): void {
    this.#isLooking = false;
    if ("failure" in result) return this.#failed(result.failure, now, log);
    if (this.#failures > 0) log.info(`${this.name} can be looked up again`);
    this.#failures = 0;
    this.addresses = result.addresses;
    this.#next = now + Math.min(GREATEST_INTERVAL, Math.max(LEAST_INTERVAL, 1000 * result.ttl));
    log.debug(`${this.name} is at ${result.addresses.map(formatAddress).join(", ")} for ${result.ttl} s`);
  }

  /** What failed may be tried again at once. */
  hurry(): void {
    if (this.#failures > 0) this.#next = -Infinity;
    this.#nextIfSilent = -Infinity;
  }

  #failed(reason: string, now: number, log: { info(message: string): void; debug(message: string): void }): void {
    const text = `cannot look up ${this.name}: ${reason}`;
    if (this.#failures === 0) log.info(`${text}; its last known addresses stay`);
    else log.debug(text);
    const pause = Math.min(GREATEST_PAUSE, SILENT_INTERVAL * 2 ** Math.min(this.#failures, 10));
    this.#failures++;
    const jittered = pause * (1 - JITTER + 2 * JITTER * this.#random());
    this.#nextIfSilent = now + jittered;
    this.#next = now + Math.max(LEAST_INTERVAL, jittered);
  }
}
