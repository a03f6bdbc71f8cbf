/**
 * Waiting on descriptors.
 *
 * struct pollfd: fd i32 | events i16 | revents i16.
 */
import { EINTR, SyscallError } from "./errno.ts";
import { errno, libc } from "./libc.ts";

export const POLLIN = 0x01;
export const POLLPRI = 0x02;
export const POLLOUT = 0x04;
/** The three below are reported whether asked for or not. */
export const POLLERR = 0x08;
export const POLLHUP = 0x10;
export const POLLNVAL = 0x20;

const POLLFD_EVENTS = 4;
const POLLFD_REVENTS = 6;
const POLLFD_BYTES = 8;
const LONGEST_TIMEOUT = 0x7fff_ffff;

/** A fixed number of slots, each holding one descriptor or none. */
export class PollSet {
  readonly #array: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #capacity: number;
  #count = 0;

  constructor(capacity = 16) {
    this.#capacity = capacity;
    this.#array = new Uint8Array(capacity * POLLFD_BYTES);
    this.#view = new DataView(this.#array.buffer);
  }

  /** Watches `fd` for `events`. @returns its slot, a removed one first */
  add(fd: number, events: number): number {
    let slot = 0;
    while (slot < this.#count && this.#view.getInt32(slot * POLLFD_BYTES, true) >= 0) slot++;
    if (slot === this.#capacity) throw new RangeError("Poll set is full");
    if (slot === this.#count) this.#count++;
    this.setDescriptor(slot, fd);
    this.setEvents(slot, events);
    return slot;
  }

  /**
   * Replaces the descriptor of a slot; a negative one is not watched and reports nothing. Of the descriptor that is there
   * already, what the last wait found stays.
   */
  setDescriptor(slot: number, fd: number): void {
    if (this.#view.getInt32(slot * POLLFD_BYTES, true) === fd) return;
    this.#view.setInt32(slot * POLLFD_BYTES, fd, true);
    this.#view.setInt16(slot * POLLFD_BYTES + POLLFD_REVENTS, 0, true);
  }

  setEvents(slot: number, events: number): void {
    this.#view.setInt16(slot * POLLFD_BYTES + POLLFD_EVENTS, events, true);
  }

  /** Frees the slot for a later `add`. */
  remove(slot: number): void {
    this.setDescriptor(slot, -1);
    this.setEvents(slot, 0);
  }

  /** What the last wait found: POLLIN, …; 0 for nothing. */
  revents(slot: number): number {
    return this.#view.getInt16(slot * POLLFD_BYTES + POLLFD_REVENTS, true);
  }

  /**
   * Blocks the thread until a descriptor is ready, a signal arrives or the time is over.
   *
   * @param timeout milliseconds, rounded up; ≤ 0 only looks, Infinity waits for ever
   * @returns how many slots have revents; 0 also after a signal
   */
  wait(timeout: number): number {
    const result = libc().poll(this.#array, this.#count, timeoutArgument(timeout));
    return result < 0 ? this.#failed() : result;
  }

  /**
   * The same on another thread, while this one goes on. Changes of the set during the wait count from the next one.
   * The event loop stays alive until the promise settles: keep an eventfd in the set to end the wait.
   */
  async waitAsync(timeout: number): Promise<number> {
    const result = await libc().pollAsync(this.#array, this.#count, timeoutArgument(timeout));
    // The other thread's errno is lost: look again here, where a lasting fault shows itself.
    return result < 0 ? this.wait(0) : result;
  }

  #failed(): number {
    const number = errno();
    if (number !== EINTR) throw new SyscallError("poll", number);
    // The kernel writes no revents then, and the old ones mean nothing.
    for (let slot = 0; slot < this.#count; slot++) {
      this.#view.setInt16(slot * POLLFD_BYTES + POLLFD_REVENTS, 0, true);
    }
    return 0;
  }
}

function timeoutArgument(timeout: number): number {
  if (timeout === Infinity) return -1;
  // Rounded up, for waking before a deadline would only mean waiting again.
  return timeout <= 0 ? 0 : Math.min(Math.ceil(timeout), LONGEST_TIMEOUT);
}
