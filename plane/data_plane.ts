/**
 * The main thread's handle on a data plane: starts the worker, sends it commands, mirrors its state, ends it.
 *
 * The worker sleeps in poll and sees no message, so every message is followed by a write to its eventfd.
 */
import { encodeBase64 } from "../crypto/encoding.ts";
import { SyscallError } from "../ffi/errno.ts";
import { createEventfd, signalEventfd } from "../ffi/eventfd.ts";
import { close } from "../ffi/file.ts";
import { packCommands } from "../tunnel/command_list.ts";
import type { DeviceCommand, PlaneCommand } from "../tunnel/commands.ts";
import { type Capacity, DEFAULT_CAPACITY, DeviceTables } from "../tunnel/tables.ts";
import type {
  ApplyMessage,
  Failure,
  PacketSummary,
  PlaneState,
  StartMessage,
  WorkerMessage,
} from "./worker_messages.ts";

export type { PacketSummary } from "./worker_messages.ts";

/** A worker that does not answer is ended without its farewell after this long. */
const STOP_TIMEOUT = 5_000;

export interface PlaneLog {
  error(message: string): void;
  info(message: string): void;
  debug(message: string): void;
}

export interface DataPlaneOptions {
  /** Non-blocking; stays the caller's, who closes it after `stop`. */
  readonly tunFd: number;
  /** It was opened with IFF_VNET_HDR; false if left out. */
  readonly hasVnetHeader?: boolean;
  /** For the log. */
  readonly interfaceName: string;
  readonly carrier: "auto" | "batch" | "datagram";
  /** Let the kernel join and cut packets and datagrams, where it can; true if left out. */
  readonly usesOffload?: boolean;
  /** AEAD engine, "auto" if left out. */
  readonly engine?: string;
  /** Hand the secrets of every handshake to `onKeyLog`. */
  readonly keyLog?: boolean;
  /** Log the device's events, such as handshakes, as debug. */
  readonly debug?: boolean;
  /** Hand summaries of this many packets to `onPacket`. */
  readonly observe?: number;
  readonly capacity?: Capacity;
  readonly log: PlaneLog;
}

interface Waiting {
  resolve(): void;
  reject(error: Error): void;
}

export class DataPlane {
  /** Shared with the worker, which writes them. */
  readonly tables: DeviceTables;
  readonly carrier: "batch" | "datagram";

  /** The TUN device is gone, or the worker broke down: then `failure` says why. `stop` is still to be called. */
  onTunnelGone: (() => void) | null = null;
  /** What the worker broke down with, if it did. */
  failure: Error | null = null;
  /** Secrets, as lines for Wireshark. What it throws is logged. */
  onKeyLog: ((lines: string[]) => void) | null = null;
  onPacket: ((packet: PacketSummary) => void) | null = null;
  /** listenPort, isUp or mtu changed. */
  onChange: (() => void) | null = null;

  readonly #log: PlaneLog;
  readonly #name: string;
  readonly #isDebugging: boolean;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #eventDescriptor: number;
  readonly #stopFlag = new SharedArrayBuffer(4);
  readonly #waiting = new Map<number, Waiting>();
  readonly #peerNames = new Map<number, string>();
  readonly #started = Promise.withResolvers<void>();
  readonly #stopped = Promise.withResolvers<void>();
  #state: PlaneState = { listenPort: 0, isUp: false, mtu: 0 };
  #nextId = 1;
  #hasStarted = false;
  #hasEnded = false;
  #keyLogFails = false;
  #stopping: Promise<void> | null = null;

  /**
   * Starts a worker on a TUN device; it is ready for commands when the promise resolves.
   *
   * @throws {SyscallError} or Error when it cannot start; then nothing is left behind
   */
  static async start(options: DataPlaneOptions): Promise<DataPlane> {
    const plane = new DataPlane(options);
    try {
      await plane.#started.promise;
    } catch (error) {
      await plane.stop();
      throw error;
    }
    return plane;
  }

  private constructor(options: DataPlaneOptions) {
    const capacity = options.capacity ?? DEFAULT_CAPACITY;
    this.#log = options.log;
    this.#name = options.interfaceName;
    this.#isDebugging = options.debug ?? false;
    this.carrier = options.carrier === "auto" ? "batch" : options.carrier;
    this.tables = DeviceTables.create(capacity);
    this.#eventDescriptor = createEventfd();
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#port.onmessage = (event: MessageEvent<WorkerMessage>): void => this.#take(event.data);
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    this.#worker.onerror = (event: ErrorEvent): void => {
      // Handled here; unhandled it would end the whole process.
      event.preventDefault();
      this.#workerDied(new Error(`Data plane worker failed: ${event.message}`));
    };
    const start: StartMessage = {
      port: port2,
      stopFlag: this.#stopFlag,
      eventDescriptor: this.#eventDescriptor,
      tunDescriptor: options.tunFd,
      hasVnetHeader: options.hasVnetHeader ?? false,
      carrier: this.carrier,
      usesOffload: options.usesOffload ?? true,
      engine: options.engine ?? "auto",
      tables: this.tables.buffer as SharedArrayBuffer,
      capacity,
      keyLog: options.keyLog ?? false,
      debug: this.#isDebugging,
      observe: options.observe ?? 0,
    };
    this.#worker.postMessage(start, [port2]);
  }

  /** What is bound now, or what was asked for while the link is down; 0 for neither. */
  get listenPort(): number {
    return this.#state.listenPort;
  }

  get isUp(): boolean {
    return this.#state.isUp;
  }

  get mtu(): number {
    return this.#state.mtu;
  }

  /**
   * Applies plane commands, then device commands: all, or nothing if a plane command fails.
   *
   * @throws {SyscallError} EADDRINUSE for a port, EPERM for a mark, …
   */
  apply(plane: PlaneCommand[], device: Iterable<DeviceCommand>): Promise<void> {
    if (this.#hasEnded || this.#stopping !== null) return Promise.reject(new Error("Data plane has ended"));
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#waiting.set(id, { resolve, reject });
    const message: ApplyMessage = { id, plane, device: packCommands(device) };
    // Moved, so that no copy of a key is left behind.
    this.#port.postMessage(message, [message.device]);
    signalEventfd(this.#eventDescriptor);
    if (this.#isDebugging) this.#learnNames(device);
    return promise;
  }

  /** Closes the sockets, erases the keys and ends the worker. The TUN descriptor stays the caller's. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    Atomics.store(new Int32Array(this.#stopFlag), 0, 1);
    signalEventfd(this.#eventDescriptor);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        this.#log.error(`${this.#name}: data plane worker did not stop in time`);
        resolve();
      }, STOP_TIMEOUT);
    });
    await Promise.race([this.#stopped.promise, timeout]);
    clearTimeout(timer);
    this.#worker.terminate();
    this.#port.close();
    close(this.#eventDescriptor);
    this.#rejectWaiting(new Error("Data plane has ended"));
  }

  #take(message: WorkerMessage): void {
    switch (message.type) {
      case "ready":
        this.#hasStarted = true;
        this.#mirror(message.state);
        return this.#started.resolve();
      case "failed":
        return this.#hasStarted
          ? this.#workerDied(errorOf(message.failure))
          : this.#started.reject(errorOf(message.failure));
      case "applied":
        this.#mirror(message.state);
        return this.#settle(message.id, null);
      case "refused":
        return this.#settle(message.id, errorOf(message.failure));
      case "state":
        return this.#mirror(message.state);
      case "log":
        return this.#log[message.level](`${this.#name}: ${message.text}`);
      case "peer-event":
        return this.#log.debug(`${this.#name}: ${this.#peerName(message.peer)}${message.event}`);
      case "key-log":
        return this.#logKeys(message.lines);
      case "packet":
        return this.onPacket?.(message.summary);
      case "tunnel-gone":
        return this.#end();
      case "stopped":
        this.#stopped.resolve();
    }
  }

  #mirror(state: PlaneState): void {
    const old = this.#state;
    if (old.listenPort === state.listenPort && old.isUp === state.isUp && old.mtu === state.mtu) return;
    this.#state = state;
    this.onChange?.();
  }

  /** A full disk, say, must not end the tunnel; said once, until it works again. */
  #logKeys(lines: string[]): void {
    try {
      this.onKeyLog?.(lines);
      this.#keyLogFails = false;
    } catch (error) {
      if (!this.#keyLogFails) this.#log.error(`${this.#name}: cannot log the secrets of a handshake: ${error}`);
      this.#keyLogFails = true;
    }
  }

  #settle(id: number, error: Error | null): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === null) waiting?.resolve();
    else waiting?.reject(error);
  }

  #workerDied(error: Error): void {
    // A failed start is told by `start`.
    if (this.#hasStarted) this.#log.error(`${this.#name}: ${error.message}`);
    this.failure = error;
    this.#started.reject(error);
    this.#stopped.resolve();
    this.#end();
  }

  /** The worker does nothing more of itself. */
  #end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#state = { ...this.#state, isUp: false };
    this.#rejectWaiting(new Error("Data plane has ended"));
    this.onTunnelGone?.();
  }

  #rejectWaiting(error: Error): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }

  #learnNames(commands: Iterable<DeviceCommand>): void {
    for (const command of commands) {
      if (command.op === "add-peer") this.#peerNames.set(command.peer, shortName(command.publicKey));
    }
  }

  #peerName(peer: number): string {
    return peer < 0 ? "" : `peer(${this.#peerNames.get(peer) ?? peer}): `;
  }
}

function errorOf(failure: Failure): Error {
  return failure.errno === 0 ? new Error(failure.message) : new SyscallError(failure.call, failure.errno);
}

/** A public key as the log shows it: its first and last four characters. */
function shortName(publicKey: Uint8Array): string {
  const text = encodeBase64(publicKey);
  return `${text.slice(0, 4)}…${text.slice(-5, -1)}`;
}
