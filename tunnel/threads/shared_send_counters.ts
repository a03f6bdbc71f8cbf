/**
 * Send counters that several threads take from. Each is one 32-bit word, so that a single atomic addition hands it out:
 * no two threads can get the same number. A key then sends 2^31 packets at most before another takes its place and
 * 2^32 − 2^13 ever; at ten million packets a second, more than it lives.
 */
import { REJECT_AFTER_SHARED_MESSAGES, REKEY_AFTER_SHARED_MESSAGES } from "../limits.ts";
import type { SendCounters } from "../send_counters.ts";
import type { DeviceTables } from "../tables.ts";

/** The low word of a keypair's 64 bits. */
const STRIDE = 2;

export class SharedSendCounters implements SendCounters {
  readonly #words: Uint32Array;

  constructor({ sendCounter }: DeviceTables) {
    this.#words = new Uint32Array(sendCounter.buffer, sendCounter.byteOffset, STRIDE * sendCounter.length);
  }

  reset(keypair: number): void {
    Atomics.store(this.#words, keypair * STRIDE, 0);
  }

  /** Every thread may pass this check once more than the limit allows: 2^13 are kept back for that. */
  isExhausted(keypair: number): boolean {
    return Atomics.load(this.#words, keypair * STRIDE) >= REJECT_AFTER_SHARED_MESSAGES;
  }

  isWorn(keypair: number): boolean {
    return Atomics.load(this.#words, keypair * STRIDE) > REKEY_AFTER_SHARED_MESSAGES;
  }

  take(keypair: number): number {
    return Atomics.add(this.#words, keypair * STRIDE, 1);
  }
}
