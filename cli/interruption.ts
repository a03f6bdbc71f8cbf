/** Signals that tell a command to end, for commands that have something to undo first. */
import { OperatorError } from "./errors.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Holds signals back for as long as it is not disposed of, and tells of the first. */
export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  readonly #listeners = SIGNALS.map((signal) => ({ signal, listen: () => this.#interrupt(signal) }));

  constructor() {
    for (const { signal, listen } of this.#listeners) Deno.addSignalListener(signal, listen);
  }

  /** Aborted by the first signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** @throws {OperatorError} if there was a signal */
  check(): void {
    this.signal.throwIfAborted();
  }

  /** What `task` results in, unless a signal comes first. @throws {OperatorError} then; the task is left to itself */
  async unless<T>(task: Promise<T>): Promise<T> {
    this.check();
    const interrupted = Promise.withResolvers<never>();
    const listen = (): void => interrupted.reject(this.signal.reason);
    this.signal.addEventListener("abort", listen, { once: true });
    try {
      return await Promise.race([task, interrupted.promise]);
    } finally {
      this.signal.removeEventListener("abort", listen);
    }
  }

  [Symbol.dispose](): void {
    for (const { signal, listen } of this.#listeners) Deno.removeSignalListener(signal, listen);
  }

  #interrupt(signal: string): void {
    this.#controller.abort(new OperatorError(`interrupted by ${signal}`));
  }
}
