/**
 * A data plane that outlives its workers. When one of them breaks down, all are ended and others started on the same TUN
 * descriptors, so that the interface keeps its addresses and routes; port and mark are as before. Sessions and counters
 * are gone, and so is all that the device was told: whoever owns the configuration hears of it and tells it again.
 */
import { EADDRINUSE, SyscallError } from "../ffi/errno.ts";
import type { DeviceCommand, PlaneCommand } from "../tunnel/commands.ts";
import type { DeviceTables } from "../tunnel/tables.ts";
import { DataPlane, type DataPlaneOptions } from "./data_plane.ts";
import { RestartLimit } from "./restart_limit.ts";

/** What was lost with the workers that broke down. */
export interface PlaneRecovery {
  /** Resolves when commands are taken again, or never will be. */
  ready(): Promise<void>;
  /** The tables of those workers, as long as the new ones have not been told everything; else null. */
  readonly lost: DeviceTables | null;
  /** The new workers have been told everything. */
  restored(): void;
}

export class SupervisedPlane implements PlaneRecovery {
  /** The TUN device is gone, or the workers broke down too often: then `failure` says why. `stop` is still to be called. */
  onTunnelGone: (() => void) | null = null;
  /** What the workers broke down with at last. */
  failure: Error | null = null;
  /** The workers are new and know nothing of what `lost` tells. */
  onRestart: (() => void) | null = null;
  /** As of DataPlane. */
  onKeyLog: ((lines: string[]) => void) | null = null;

  readonly #options: DataPlaneOptions;
  readonly #limit = new RestartLimit();
  #plane: DataPlane;
  #mark = 0;
  #lost: DeviceTables | null = null;
  /** Settles when the present restart has worked, or has not. */
  #restart: Promise<void> | null = null;
  #wake: (() => void) | null = null;
  #isStopping = false;

  /** As DataPlane.start; a first start that fails is not tried again. */
  static async start(options: DataPlaneOptions): Promise<SupervisedPlane> {
    return new SupervisedPlane(options, await DataPlane.start(options));
  }

  private constructor(options: DataPlaneOptions, plane: DataPlane) {
    this.#options = options;
    this.#plane = plane;
    this.#watch(plane);
  }

  get carrier(): "batch" | "datagram" {
    return this.#plane.carrier;
  }

  /** What was last known until the new workers have been told everything. */
  get tables(): DeviceTables {
    return this.#lost ?? this.#plane.tables;
  }

  get listenPort(): number {
    return this.#plane.listenPort;
  }

  get isUp(): boolean {
    return this.#plane.isUp;
  }

  get recovery(): PlaneRecovery {
    return this;
  }

  async ready(): Promise<void> {
    await this.#restart;
  }

  get lost(): DeviceTables | null {
    return this.#lost;
  }

  restored(): void {
    this.#lost = null;
  }

  /** As DataPlane.apply; during a restart it is refused. */
  async apply(commands: PlaneCommand[], device: Iterable<DeviceCommand>): Promise<void> {
    await this.#plane.apply(commands, device);
    for (const command of commands) if (command.op === "fwmark") this.#mark = command.mark;
  }

  /** As DataPlane.stop. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    this.#wake?.();
    await this.#restart;
    await this.#plane.stop();
  }

  #watch(plane: DataPlane): void {
    plane.onKeyLog = (lines): void => this.onKeyLog?.(lines);
    plane.onTunnelGone = (): void => {
      if (plane.failure === null) this.onTunnelGone?.();
      else this.#restart = this.#startAnew(plane.failure);
    };
    // It may have broken down before anybody listened.
    if (plane.failure !== null) plane.onTunnelGone();
  }

  /** Does not throw: what goes wrong is the next failure. */
  async #startAnew(failure: Error): Promise<void> {
    const former = this.#plane;
    const { listenPort } = former;
    this.#lost ??= former.tables;
    await former.stop();
    // What a device in good order does itself.
    former.tables.keypairKeys.fill(0);
    const { log, interfaceName } = this.#options;
    for (let last = failure;;) {
      const pause = this.#limit.next(performance.now());
      if (pause === null || this.#isStopping) return this.#giveUp(last);
      log.error(`${interfaceName}: the data plane broke down; starting it again`);
      await this.#sleep(pause);
      if (this.#isStopping) return;
      try {
        await this.#replace(listenPort);
        log.info(`${interfaceName}: the data plane is back, on port ${this.listenPort}`);
        this.onRestart?.();
        return;
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        last = error;
      }
    }
  }

  async #replace(listenPort: number): Promise<void> {
    const plane = await DataPlane.start(this.#options);
    try {
      await this.#openSockets(plane, listenPort);
    } catch (error) {
      await plane.stop();
      // Of workers that broke down meanwhile, commands only hear that they have ended.
      throw plane.failure ?? error;
    }
    this.#plane = plane;
    this.#watch(plane);
  }

  /** The port that peers know, if nobody has taken it meanwhile. */
  async #openSockets(plane: DataPlane, port: number): Promise<void> {
    const mark: PlaneCommand[] = this.#mark === 0 ? [] : [{ op: "fwmark", mark: this.#mark }];
    if (port === 0) return await plane.apply(mark, []);
    try {
      await plane.apply([{ op: "listen-port", port }, ...mark], []);
    } catch (error) {
      if (!(error instanceof SyscallError) || error.errno !== EADDRINUSE) throw error;
      const { log, interfaceName } = this.#options;
      log.error(`${interfaceName}: port ${port} was taken by another program meanwhile; listening on another`);
      await plane.apply([{ op: "listen-port", port: 0 }, ...mark], []);
    }
  }

  #giveUp(failure: Error): void {
    this.failure = failure;
    this.onTunnelGone?.();
  }

  async #sleep(milliseconds: number): Promise<void> {
    if (milliseconds === 0) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, milliseconds);
    });
    clearTimeout(timer);
    this.#wake = null;
  }
}
