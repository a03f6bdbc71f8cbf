/**
 * Send counters: which number the next packet under a keypair gets. A number used twice under one key would give both
 * packets away, so nobody takes one in any other way.
 *
 * Spec: WireGuard paper §5.4.6.
 */
import { REJECT_AFTER_MESSAGES_SENT, REKEY_AFTER_MESSAGES } from "./limits.ts";
import type { DeviceTables } from "./tables.ts";

export interface SendCounters {
  /** Begins at 0 for a keypair that nobody sends under yet. */
  reset(keypair: number): void;

  /** Whether the key may send no more. */
  isExhausted(keypair: number): boolean;

  /** Whether the key has sent so much that another should take its place. */
  isWorn(keypair: number): boolean;

  /** The next counter of a keypair that is not exhausted: below 2^53, never one that was handed out before. */
  take(keypair: number): number;
}

/** Counters of a device whose packets all pass through one thread. */
export class OwnSendCounters implements SendCounters {
  readonly #counters: Float64Array;

  constructor(tables: DeviceTables) {
    this.#counters = tables.sendCounter;
  }

  reset(keypair: number): void {
    this.#counters[keypair] = 0;
  }

  isExhausted(keypair: number): boolean {
    return this.#counters[keypair] >= REJECT_AFTER_MESSAGES_SENT;
  }

  isWorn(keypair: number): boolean {
    return this.#counters[keypair] > REKEY_AFTER_MESSAGES;
  }

  take(keypair: number): number {
    return this.#counters[keypair]++;
  }
}
