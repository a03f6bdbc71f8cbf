/** Seeded random numbers: the whole of a simulation follows from one seed (xoshiro128**, seeded by splitmix32). */

export class Random {
  readonly #state = new Int32Array(4);

  constructor(seed: number) {
    let mixed = seed | 0;
    for (let i = 0; i < 4; i++) {
      mixed = (mixed + 0x9e3779b9) | 0;
      let z = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      this.#state[i] = z ^ (z >>> 15);
    }
    this.#state[3] |= 1;
  }

  /** An integer of 32 random bits, unsigned. */
  word(): number {
    const s = this.#state;
    const product = Math.imul(s[1], 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9);
    const shifted = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = (s[3] << 11) | (s[3] >>> 21);
    return result >>> 0;
  }

  /** A fraction in 0 … 1, 1 excluded. */
  fraction(): number {
    return this.word() / 2 ** 32;
  }

  /** An integer in 0 … n − 1. */
  below(n: number): number {
    return Math.floor(this.fraction() * n);
  }

  /** A number in low … high. */
  between(low: number, high: number): number {
    return low + this.fraction() * (high - low);
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** A waiting time of a Poisson process. */
  exponential(mean: number): number {
    return -Math.log(1 - this.fraction()) * mean;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)];
  }

  fill(out: Uint8Array): void {
    for (let i = 0; i < out.length; i++) out[i] = this.word() >>> 24;
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    this.fill(out);
    return out;
  }
}
