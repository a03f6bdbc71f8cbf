/** The two clocks, read without allocation. */
import { libc } from "./libc.ts";

/** Monotonic, and goes on while the machine is suspended. */
export const CLOCK_BOOTTIME = 7;
export const CLOCK_REALTIME = 0;

/** struct timespec: seconds i64, nanoseconds i64. */
const timespec = new Uint32Array(4);

/** Milliseconds since boot, suspended time included, with fractions. */
export function bootMilliseconds(): number {
  return milliseconds(CLOCK_BOOTTIME);
}

/** Unix milliseconds, with fractions. */
export function wallMilliseconds(): number {
  return milliseconds(CLOCK_REALTIME);
}

function milliseconds(clock: number): number {
  // Cannot fail: both clocks exist on every Linux that Deno runs on, and the buffer is ours.
  libc().clock_gettime(clock, timespec);
  return (timespec[0] + timespec[1] * 0x1_0000_0000) * 1000 + timespec[2] / 1e6;
}
