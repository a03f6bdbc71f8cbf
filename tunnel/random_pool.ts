/** Random fractions for jitter, drawn from the injected source a block at a time: timers ask for one per packet. */

const WORDS = 64;

export class RandomPool {
  readonly #random: (out: Uint8Array) => void;
  readonly #bytes = new Uint8Array(4 * WORDS);
  readonly #words = new Uint32Array(this.#bytes.buffer);
  #left = 0;

  constructor(random: (out: Uint8Array) => void) {
    this.#random = random;
  }

  /** At least 0, less than 1. */
  fraction(): number {
    if (this.#left === 0) {
      this.#random(this.#bytes);
      this.#left = WORDS;
    }
    return this.#words[--this.#left] / 2 ** 32;
  }
}
