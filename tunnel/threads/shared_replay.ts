/** Replay windows that several threads use: each is locked for the few nanoseconds of one look. */
import { ReplayWindows } from "../replay.ts";

const FREE = 0;
const TAKEN = 1;

export class SharedReplayWindows {
  readonly #windows: ReplayWindows;
  readonly #locks: Int32Array;

  /** @param locks a word for each slot */
  constructor(words: Uint32Array, locks: Int32Array) {
    this.#windows = new ReplayWindows(words);
    this.#locks = locks;
  }

  /** For a slot that no other thread can find. */
  reset(slot: number): void {
    this.#windows.reset(slot);
  }

  accept(slot: number, low: number, high: number): boolean {
    const locks = this.#locks;
    while (Atomics.compareExchange(locks, slot, FREE, TAKEN) !== FREE);
    const isNew = this.#windows.accept(slot, low, high);
    Atomics.store(locks, slot, FREE);
    return isNew;
  }
}
