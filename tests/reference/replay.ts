/** The replay window as its rule reads: every accepted counter in a set. Slow and obvious; the twin of tunnel/replay.ts. */

const WINDOW = 8128n;
/** 2^64 − 2^13 − 1 and what lies above are refused. */
const LIMIT = 2n ** 64n - 2n ** 13n - 1n;

export class ReferenceReplay {
  #greatest = 0n;
  readonly #seen: Set<bigint> = new Set();

  accept(counter: bigint): boolean {
    if (counter >= LIMIT) return false;
    if (this.#greatest - counter > WINDOW) return false;
    if (this.#seen.has(counter)) return false;
    this.#seen.add(counter);
    if (counter > this.#greatest) this.#greatest = counter;
    return true;
  }
}
