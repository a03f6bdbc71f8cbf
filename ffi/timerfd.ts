/** Timers that fire after a suspend too: a poll timeout stands still while the machine sleeps, these do not. */
import { CLOCK_BOOTTIME } from "./clock.ts";
import { checked, EAGAIN, SyscallError } from "./errno.ts";
import { O_CLOEXEC, O_NONBLOCK } from "./file.ts";
import { errno, libc } from "./libc.ts";

const TFD_TIMER_ABSTIME = 1;

/** struct itimerspec: interval (seconds i64, nanoseconds i64), then value likewise. */
const itimerspec = new Uint32Array(8);
const VALUE_SECONDS = 4;
const VALUE_NANOSECONDS = 6;

const expirations = new BigUint64Array(1);

/** Non-blocking, close-on-exec, not armed. Readable once expired. */
export function createBootTimer(): number {
  return checked("timerfd_create", libc().timerfd_create(CLOCK_BOOTTIME, O_CLOEXEC | O_NONBLOCK));
}

/**
 * Sets when the timer expires, replacing what was set before.
 *
 * @param at milliseconds of `bootMilliseconds()`; one in the past expires at once, Infinity disarms
 */
export function armBootTimer(fd: number, at: number): void {
  // All zeros would disarm, so the earliest time is one nanosecond.
  const seconds = at === Infinity || at <= 0 ? 0 : Math.floor(at / 1000);
  const nanoseconds = at === Infinity ? 0 : at <= 0 ? 1 : Math.max(1, Math.floor((at - seconds * 1000) * 1e6));
  itimerspec[VALUE_SECONDS] = seconds;
  itimerspec[VALUE_SECONDS + 1] = seconds / 0x1_0000_0000;
  itimerspec[VALUE_NANOSECONDS] = nanoseconds;
  checked("timerfd_settime", libc().timerfd_settime(fd, TFD_TIMER_ABSTIME, itimerspec, null));
}

/** Takes the expiry. @returns whether there was one */
export function drainBootTimer(fd: number): boolean {
  if (libc().read(fd, expirations, 8) === 8) return true;
  if (errno() !== EAGAIN) throw new SyscallError("read timerfd", errno());
  return false;
}
