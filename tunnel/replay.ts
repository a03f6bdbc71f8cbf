/**
 * Replay windows: which counters of a key have been received, one window per keypair slot, side by side in one array.
 *
 * ```
 * greatest low u32 | greatest high u32 | 256 × u32 ring of 8192 bits
 * ```
 *
 * Bit `counter mod 8192` of the ring tells whether a counter has been seen. Moving ahead clears whole words, so the
 * window is smaller than the ring. An all-zero window is a fresh one.
 *
 * Spec: WireGuard paper §5.4.6, RFC 6479.
 */
import { REPLAY_WINDOW } from "./limits.ts";

const GREATEST_LOW = 0;
const GREATEST_HIGH = GREATEST_LOW + 1;
const RING = GREATEST_HIGH + 1;
const RING_WORDS = 256;
const RING_MASK = RING_WORDS - 1;

/** u32 words of one window. */
export const REPLAY_WORDS = RING + RING_WORDS;

/** Low word of the first refused counter, 2^64 − 2^13 − 1; its high word is all ones. */
const LIMIT_LOW = 2 ** 32 - 2 ** 13 - 1;
const LIMIT_HIGH = 2 ** 32 - 1;

export class ReplayWindows {
  readonly #words: Uint32Array;

  /** @param words REPLAY_WORDS for each slot; may be shared memory, but a window has one owner */
  constructor(words: Uint32Array) {
    this.#words = words;
  }

  /** Forgets every counter of a slot. */
  reset(slot: number): void {
    const at = slot * REPLAY_WORDS;
    this.#words.fill(0, at, at + REPLAY_WORDS);
  }

  /**
   * Accepts a counter once. To be called only after the packet's tag has been verified: a forged counter would
   * otherwise move the window.
   *
   * @param low low 32 bits of the counter (u32, or i32, which needs no heap number in a call not inlined)
   * @param high high 32 bits, likewise
   * @returns false if the counter was seen before, lies behind the window, or is at the limit of messages
   */
  accept(slot: number, low: number, high: number): boolean {
    const counterLow = low >>> 0;
    const counterHigh = high >>> 0;
    if (counterHigh === LIMIT_HIGH && counterLow >= LIMIT_LOW) return false;
    const words = this.#words;
    const at = slot * REPLAY_WORDS;
    const ring = at + RING;
    const greatestLow = words[at + GREATEST_LOW];
    // Exact below 2^53, and beyond it rounding changes neither the sign nor whether it fits the window.
    const ahead = (counterHigh - words[at + GREATEST_HIGH]) * 2 ** 32 + (counterLow - greatestLow);
    if (ahead > 0) {
      const lastBit = (greatestLow & 31) + ahead;
      if (lastBit >= 32) this.#clear(ring, greatestLow >>> 5, lastBit);
      words[at + GREATEST_LOW] = counterLow;
      words[at + GREATEST_HIGH] = counterHigh;
    } else if (ahead < -REPLAY_WINDOW) {
      return false;
    }
    const word = ring + ((low >>> 5) & RING_MASK);
    const bit = 1 << (low & 31);
    const seen = words[word];
    words[word] = seen | bit;
    return (seen & bit) === 0;
  }

  /**
   * Clears the words behind the one of the old greatest counter, up to and with the one of the new.
   *
   * @param first word of the old
   * @param lastBit bit of the new, counted from the first bit of that word
   */
  #clear(ring: number, first: number, lastBit: number): void {
    const words = this.#words;
    if (lastBit >= RING_WORDS * 32) {
      words.fill(0, ring, ring + RING_WORDS);
      return;
    }
    for (let step = lastBit >>> 5; step > 0; step--) words[ring + ((first + step) & RING_MASK)] = 0;
  }
}
