/** How often, and after which pauses, something that broke down is started again. */

/** Restarts within PERIOD; one more, and it is not worth trying. */
export const MAX_RESTARTS = 5;
/** Milliseconds. */
export const PERIOD = 60_000;
/** Before the second restart within the period; doubled for each further one. */
const FIRST_PAUSE = 250;

export class RestartLimit {
  /** When there were restarts, the oldest first. */
  #restarts: number[] = [];

  /**
   * Counts a restart.
   *
   * @param now milliseconds of a clock that only goes forward
   * @returns milliseconds to wait before it, or null if there were too many
   */
  next(now: number): number | null {
    this.#restarts = this.#restarts.filter((at) => now - at < PERIOD);
    const count = this.#restarts.length;
    if (count >= MAX_RESTARTS) return null;
    this.#restarts.push(now);
    return count === 0 ? 0 : FIRST_PAUSE * 2 ** (count - 1);
  }
}
