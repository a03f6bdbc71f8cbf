/**
 * A listening control socket that was handed to us open (`WG_UAPI_FD`): Deno cannot listen on a descriptor, so it is
 * served through libc, all its connections by one poll on another thread.
 */
import { EAGAIN, EBADF, SyscallError } from "../ffi/errno.ts";
import { createEventfd, drainEventfd, signalEventfd } from "../ffi/eventfd.ts";
import { close } from "../ffi/file.ts";
import { POLLIN, POLLOUT, PollSet } from "../ffi/poll.ts";
import { acceptUnix, adoptUnixListener, receiveUnix, sendUnix } from "../ffi/unix.ts";
import type { UapiConnection, UapiListener } from "./uapi_server.ts";

const ECONNABORTED = 103;
/** Descriptors waited for at a time: the listener, and one for each connection the server keeps or is closing. */
const MAX_WAITING = 1024;

/** Serves a listening unix socket by its descriptor. */
export class DescriptorListener implements UapiListener {
  readonly #fd: number;
  readonly #readiness = new Readiness();
  #closed = false;

  /**
   * Takes over `fd`.
   *
   * @throws {SyscallError} if it is not a listening unix socket
   */
  constructor(fd: number) {
    adoptUnixListener(fd);
    this.#fd = fd;
  }

  async accept(): Promise<UapiConnection | null> {
    for (;;) {
      if (this.#closed) return null;
      const result = acceptUnix(this.#fd);
      if (result >= 0) return new DescriptorConnection(result, this.#readiness);
      if (result === -EAGAIN) await this.#readiness.wait(this.#fd, POLLIN);
      // A client that gave up in the queue is not our fault, nor a reason to pause.
      else if (result !== -ECONNABORTED) throw new SyscallError("accept", -result);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#readiness.forget(this.#fd);
    close(this.#fd);
    await this.#readiness.close();
  }
}

class DescriptorConnection implements UapiConnection {
  readonly #fd: number;
  readonly #readiness: Readiness;
  #closed = false;

  constructor(fd: number, readiness: Readiness) {
    this.#fd = fd;
    this.#readiness = readiness;
    readiness.open++;
  }

  async read(into: Uint8Array): Promise<number | null> {
    const result = await this.#whenReady(POLLIN, () => receiveUnix(this.#fd, into), "read");
    return result === 0 ? null : result;
  }

  write(bytes: Uint8Array): Promise<number> {
    return this.#whenReady(POLLOUT, () => sendUnix(this.#fd, bytes), "write");
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#readiness.forget(this.#fd);
    close(this.#fd);
    this.#readiness.open--;
    this.#readiness.wake();
  }

  async #whenReady(events: number, call: () => number, name: string): Promise<number> {
    for (;;) {
      if (this.#closed) throw new SyscallError(name, EBADF);
      const result = call();
      if (result >= 0) return result;
      if (result !== -EAGAIN) throw new SyscallError(name, -result);
      await this.#readiness.wait(this.#fd, events);
    }
  }
}

interface Waiter {
  readonly slot: number;
  readonly ready: () => void;
}

/**
 * Waits for many descriptors with one poll. A wait may end early; who waits tries again. While nobody waits, no poll
 * is under way.
 */
class Readiness {
  /** Connections that have not been closed. */
  open = 0;
  readonly #set = new PollSet(MAX_WAITING + 1);
  readonly #wakeup = createEventfd();
  readonly #waiters = new Map<number, Waiter>();
  #polling: Promise<void> | null = null;
  #listening = true;
  #ended: (() => void) | null = null;

  constructor() {
    this.#set.add(this.#wakeup, POLLIN);
  }

  /** One wait per descriptor at a time. */
  wait(fd: number, events: number): Promise<void> {
    return new Promise((ready) => {
      this.#waiters.set(fd, { slot: this.#set.add(fd, events), ready });
      this.wake();
      this.#polling ??= this.#poll();
    });
  }

  /** Ends the wait for a descriptor that is about to be closed. */
  forget(fd: number): void {
    const waiter = this.#waiters.get(fd);
    if (waiter === undefined) return;
    this.#waiters.delete(fd);
    this.#set.remove(waiter.slot);
    waiter.ready();
  }

  /** Makes the poll under way begin anew, with the set as it is now. */
  wake(): void {
    if (this.#polling !== null) signalEventfd(this.#wakeup);
    else this.#end();
  }

  /** Ends once the last connection is closed. */
  close(): Promise<void> {
    this.#listening = false;
    return new Promise((ended) => {
      this.#ended = ended;
      this.wake();
    });
  }

  async #poll(): Promise<void> {
    while (this.#waiters.size > 0) {
      await this.#set.waitAsync(Infinity);
      drainEventfd(this.#wakeup);
      for (const [fd, { slot }] of this.#waiters) if (this.#set.revents(slot) !== 0) this.forget(fd);
    }
    this.#polling = null;
    this.#end();
  }

  #end(): void {
    if (this.#listening || this.open > 0 || this.#ended === null) return;
    close(this.#wakeup);
    this.#ended();
    this.#ended = null;
  }
}
