/**
 * The main thread's handle on a data plane: starts its worker, sends it commands, mirrors its state, ends it.
 *
 * With further queues of the TUN device there are further workers, the first one's helpers. They start before it and
 * end before it, and follow the device's configuration once it has taken a request: commands name peers by slots, and
 * helpers use a keypair only for the peer that their own configuration means (tunnel/threads/shared_keypairs.ts).
 */
import { encodeBase64 } from "../crypto/encoding.ts";
import { SyscallError } from "../ffi/errno.ts";
import { packCommands } from "../tunnel/command_list.ts";
import type { DeviceCommand, PlaneCommand } from "../tunnel/commands.ts";
import { type Capacity, DEFAULT_CAPACITY, DeviceTables } from "../tunnel/tables.ts";
import { concernsHelpers } from "../tunnel/threads/helper.ts";
import { UnfoldedBytes } from "../tunnel/threads/peer_events.ts";
import { ThreadTables } from "../tunnel/threads/thread_tables.ts";
import { MAX_THREADS } from "./choices.ts";
import { crewBytes } from "./crew.ts";
import type { Failure, PacketSummary, PlaneState, WorkerMessage } from "./worker_messages.ts";
import { WorkerThread } from "./worker_thread.ts";

export type { PacketSummary } from "./worker_messages.ts";

/** A worker that does not answer is ended without its farewell after this long. */
const STOP_TIMEOUT = 5_000;

/** Threads for a host's number of cores: with two, the other core is for whoever makes the traffic. */
export function defaultThreads(cores: number): number {
  return cores <= 2 ? 1 : Math.min(4, Math.floor(cores / 2));
}

export interface PlaneLog {
  error(message: string): void;
  info(message: string): void;
  debug(message: string): void;
}

export interface DataPlaneOptions {
  /** Non-blocking; stays the caller's, who closes it after `stop`. */
  readonly tunFd: number;
  /** Further queues of the same device, opened alike: each gets a worker. The batch carrier's; at most MAX_THREADS − 1. */
  readonly furtherTunFds?: readonly number[];
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

/** A request on its way through the workers. */
interface Waiting {
  /** What the helpers must follow, packed. */
  readonly forHelpers: ArrayBuffer;
  /** Workers that have not answered yet: the device's, then the helpers. */
  left: number;
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
  /** Has the device. */
  readonly #owner: WorkerThread;
  readonly #helpers: WorkerThread[] = [];
  readonly #waiting = new Map<number, Waiting>();
  readonly #peerNames = new Map<number, string>();
  readonly #started = Promise.withResolvers<void>();
  #state: PlaneState = { listenPort: 0, isUp: false, mtu: 0 };
  #nextId = 1;
  #hasStarted = false;
  #helpersStarting = 0;
  #startOwner: (() => void) | null = null;
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
    const further = options.furtherTunFds ?? [];
    if (options.carrier === "datagram" && further.length > 0) {
      throw new RangeError("The datagram carrier has one thread");
    }
    if (further.length >= MAX_THREADS) throw new RangeError(`There can be at most ${MAX_THREADS} threads`);
    const capacity = options.capacity ?? DEFAULT_CAPACITY;
    this.#log = options.log;
    this.#name = options.interfaceName;
    this.#isDebugging = options.debug ?? false;
    this.carrier = options.carrier === "auto" ? "batch" : options.carrier;
    this.tables = DeviceTables.create(capacity);
    this.#owner = new WorkerThread((message) => this.#take(message), (error) => this.#workerDied(error));
    for (const _ of further) {
      this.#helpers.push(
        new WorkerThread((message) => this.#takeFromHelper(message), (error) => this.#workerDied(error)),
      );
    }
    this.#startWorkers(options, capacity, further);
  }

  /** The helpers first: the device's worker counts on them. */
  #startWorkers(options: DataPlaneOptions, capacity: Capacity, further: readonly number[]): void {
    const common = {
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
    if (further.length === 0) return this.#owner.start({ ...common, tunDescriptor: options.tunFd, crew: null });
    const threads = ThreadTables.create(capacity, further.length);
    this.tables.untold = new UnfoldedBytes(threads);
    const crew = {
      threads: threads.buffer,
      words: new SharedArrayBuffer(crewBytes(further.length)),
      tunDescriptors: [options.tunFd, ...further],
      eventDescriptors: [this.#owner, ...this.#helpers].map(({ eventDescriptor }) => eventDescriptor),
    };
    this.#helpersStarting = further.length;
    this.#startOwner = () =>
      this.#owner.start({ ...common, tunDescriptor: options.tunFd, crew: { ...crew, thread: 0 } });
    for (const [i, helper] of this.#helpers.entries()) {
      helper.start({ ...common, tunDescriptor: further[i], crew: { ...crew, thread: i + 1 } });
    }
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
    const forHelpers = packCommands(this.#helpers.length > 0 ? concerningHelpers(device) : []);
    const left = 1 + (forHelpers.byteLength > 0 ? this.#helpers.length : 0);
    this.#waiting.set(id, { forHelpers, left, resolve, reject });
    this.#owner.post({ id, plane, device: packCommands(device) });
    if (this.#isDebugging) this.#learnNames(device);
    return promise;
  }

  /** Closes the sockets, erases the keys and ends the worker. The TUN descriptor stays the caller's. Idempotent. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const inTime = await Promise.all(this.#helpers.map((helper) => helper.stop(STOP_TIMEOUT)));
    inTime.push(await this.#owner.stop(STOP_TIMEOUT));
    if (inTime.includes(false)) this.#log.error(`${this.#name}: data plane worker did not stop in time`);
    for (const thread of [this.#owner, ...this.#helpers]) thread.close();
    // A device that broke down left the keys to its helpers, which are gone now too.
    if (this.#helpers.length > 0) this.tables.keypairKeys.fill(0);
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
        return this.#applied(message.id);
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
    }
  }

  #takeFromHelper(message: WorkerMessage): void {
    switch (message.type) {
      case "ready":
        if (--this.#helpersStarting === 0 && this.#stopping === null) this.#startOwner?.();
        return;
      case "applied":
        return this.#countApplied(message.id);
      case "failed":
      case "refused":
        return this.#workerDied(errorOf(message.failure));
      case "log":
        return this.#log[message.level](`${this.#name}: ${message.text}`);
    }
  }

  /** The device has carried out a request; now its helpers follow. */
  #applied(id: number): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    const { forHelpers } = waiting;
    if (forHelpers.byteLength > 0) {
      for (const helper of this.#helpers) helper.post({ id, plane: [], device: forHelpers.slice(0) });
    }
    this.#countApplied(id);
  }

  #countApplied(id: number): void {
    const waiting = this.#waiting.get(id);
    if (waiting !== undefined && --waiting.left === 0) this.#settle(id, null);
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

function* concerningHelpers(commands: Iterable<DeviceCommand>): Generator<DeviceCommand> {
  for (const command of commands) if (concernsHelpers(command)) yield command;
}

function errorOf(failure: Failure): Error {
  return failure.errno === 0 ? new Error(failure.message) : new SyscallError(failure.call, failure.errno);
}

/** A public key as the log shows it: its first and last four characters. */
function shortName(publicKey: Uint8Array): string {
  const text = encodeBase64(publicKey);
  return `${text.slice(0, 4)}…${text.slice(-5, -1)}`;
}
