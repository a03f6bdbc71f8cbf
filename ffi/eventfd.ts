/** An event to wake a thread that waits in poll: any thread may signal it by its number. */
import { checked, EAGAIN, SyscallError } from "./errno.ts";
import { O_CLOEXEC, O_NONBLOCK } from "./file.ts";
import { errno, libc } from "./libc.ts";

const one = new BigUint64Array([1n]);
const drained = new BigUint64Array(1);

/** Non-blocking, close-on-exec, not signalled. */
export function createEventfd(): number {
  return checked("eventfd", libc().eventfd(0, O_CLOEXEC | O_NONBLOCK));
}

/** Makes the descriptor readable; signals add up until it is drained. */
export function signalEventfd(fd: number): void {
  // EAGAIN: the counter is at its maximum, so it is signalled already.
  if (libc().write(fd, one, 8) < 0 && errno() !== EAGAIN) throw new SyscallError("write eventfd", errno());
}

/** Takes all signals. @returns whether there was one */
export function drainEventfd(fd: number): boolean {
  if (libc().read(fd, drained, 8) === 8) return true;
  if (errno() !== EAGAIN) throw new SyscallError("read eventfd", errno());
  return false;
}
