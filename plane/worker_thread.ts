/**
 * The main thread's hold on one worker: a port for messages, the eventfd that wakes it to read them, and the flag that
 * tells it to stop.
 */
import { createEventfd, signalEventfd } from "../ffi/eventfd.ts";
import { close } from "../ffi/file.ts";
import type { ApplyMessage, StartMessage, WorkerMessage } from "./worker_messages.ts";

/** What only the worker itself can be told with its start. */
type Connection = "port" | "stopFlag" | "eventDescriptor";

export class WorkerThread {
  readonly eventDescriptor: number = createEventfd();
  readonly #worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  readonly #port: MessagePort;
  readonly #theirPort: MessagePort;
  readonly #stopFlag = new SharedArrayBuffer(4);
  readonly #stopped = Promise.withResolvers<void>();
  #hasStarted = false;

  /** @param onMessage told of everything the worker says @param onDeath of a fault that ended it */
  constructor(onMessage: (message: WorkerMessage) => void, onDeath: (error: Error) => void) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#theirPort = port2;
    this.#port.onmessage = ({ data }: MessageEvent<WorkerMessage>): void => {
      onMessage(data);
      if (data.type === "stopped") this.#stopped.resolve();
    };
    this.#worker.onerror = (event: ErrorEvent): void => {
      // Handled here; unhandled it would end the whole process.
      event.preventDefault();
      this.#stopped.resolve();
      onDeath(new Error(`Data plane worker failed: ${event.message}`));
    };
  }

  /** Says what it is to do. */
  start(message: Omit<StartMessage, Connection>): void {
    const { eventDescriptor } = this;
    this.#hasStarted = true;
    const start: StartMessage = { ...message, port: this.#theirPort, stopFlag: this.#stopFlag, eventDescriptor };
    this.#worker.postMessage(start, [this.#theirPort]);
  }

  post(message: ApplyMessage): void {
    // Moved, so that no copy of a key is left behind.
    this.#port.postMessage(message, [message.device]);
    signalEventfd(this.eventDescriptor);
  }

  /** Asks it to stop, and waits until it has. @returns false if it did not within `timeout` milliseconds */
  async stop(timeout: number): Promise<boolean> {
    if (!this.#hasStarted) return true;
    Atomics.store(new Int32Array(this.#stopFlag), 0, 1);
    signalEventfd(this.eventDescriptor);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), timeout);
    });
    const inTime = await Promise.race([this.#stopped.promise.then(() => true), late]);
    clearTimeout(timer);
    return inTime;
  }

  /** Lets go of it, and of the descriptor that others may signal. */
  close(): void {
    this.#worker.terminate();
    this.#port.close();
    close(this.eventDescriptor);
  }
}
