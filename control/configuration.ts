/**
 * The configuration of one device: set requests are applied to a target strictly one after the other, each wholly or
 * not at all, whoever sends them; readers never see half a request.
 */
import type { CryptoSuite } from "../crypto/suite.ts";
import type { DeviceCommand, PlaneCommand } from "../tunnel/commands.ts";
import type { DeviceTables } from "../tunnel/tables.ts";
import { Model, type ModelView } from "./configuration_model.ts";
import { type Plan, planSet } from "./configuration_plan.ts";
import { restoreCommands } from "./configuration_restore.ts";
import { serializeGet } from "./uapi_reply.ts";
import { ENOANO, type SetStatement, wipeStatements } from "./uapi_request.ts";

/** What configuration is applied to: the data plane, or a test's stand-in. */
export interface ConfigurationTarget {
  /**
   * Applies all commands or none; a rejection with a positive `errno` says why none. Key bytes in the commands are
   * erased after the promise settles: a target keeps copies.
   */
  apply(plane: PlaneCommand[], device: Iterable<DeviceCommand>): Promise<void>;
  readonly tables: DeviceTables;
  /** The port bound now, or asked for while the link is down; 0 if unknown. */
  readonly listenPort: number;
  /** Of a target that can lose all that it was told, and go on. */
  readonly recovery?: TargetRecovery;
}

/** How a target that lost everything is told it again. */
export interface TargetRecovery {
  /** Resolves when the target takes commands, or never will. */
  ready(): Promise<void>;
  /** The tables of before the loss, until the target has been told everything again; null if nothing is lost. */
  readonly lost: DeviceTables | null;
  /** It has been told everything. */
  restored(): void;
}

export interface ConfigurationOptions {
  readonly suite: CryptoSuite;
  readonly target: ConfigurationTarget;
  /** Hears of targets that fail without an error number, which is a fault of ours. */
  readonly log?: { error(message: string): void };
}

export class Configuration {
  /** Peers' names, or how they are looked up, were changed. */
  onNames: (() => void) | null = null;

  readonly #suite: CryptoSuite;
  readonly #target: ConfigurationTarget;
  readonly #log: { error(message: string): void } | undefined;
  readonly #model: Model;
  #last: Promise<void> = Promise.resolve();

  constructor(options: ConfigurationOptions) {
    this.#suite = options.suite;
    this.#target = options.target;
    this.#log = options.log;
    this.#model = new Model(options.target.tables.capacity.peers);
  }

  /**
   * Applies the statements of one request and erases their keys.
   *
   * @returns 0, or a positive error number: then nothing was changed
   */
  set(statements: Iterable<SetStatement>): Promise<number> {
    return this.#inTurn(async () => {
      try {
        return await this.#set(statements);
      } finally {
        wipeStatements(statements);
      }
    });
  }

  /** Tells a target that lost everything what it is to be; set requests wait for that by themselves. */
  restore(): Promise<void> {
    return this.#inTurn(() => this.#restore());
  }

  /** The reply to a get request, `errno=0` and empty line included. It holds keys: wipe it once sent. */
  get(): Promise<Uint8Array> {
    return this.read((model, target) => serializeGet(model, target.tables, target.listenPort));
  }

  /** Looks at the configuration between two set requests; what `look` returns must not refer to the model. */
  read<T>(look: (model: ModelView, target: ConfigurationTarget) => T): Promise<T> {
    return this.#inTurn(() => Promise.resolve(look(this.#model, this.#target)));
  }

  /**
   * Has the target do what is no change of the configuration, between two set requests.
   *
   * @param make commands for peers as they are in the model now
   */
  direct(make: (model: ModelView, target: ConfigurationTarget) => Iterable<DeviceCommand>): Promise<void> {
    return this.#inTurn(async () => {
      await this.#restore();
      const commands = [...make(this.#model, this.#target)];
      if (commands.length > 0) await this.#target.apply([], commands);
    });
  }

  async #set(statements: Iterable<SetStatement>): Promise<number> {
    let plan: Plan | null = null;
    try {
      await this.#restore();
      plan = planSet(statements, this.#model, this.#suite, this.#target.listenPort);
      if (plan.errno !== 0) {
        this.#model.rollback();
        return plan.errno;
      }
      await this.#apply(plan);
      this.#model.commit();
      if (plan.changesNames) this.onNames?.();
      return 0;
    } catch (error) {
      this.#model.rollback();
      const errno = errnoOf(error);
      if (errno === 0) this.#log?.error(`Cannot apply a configuration: ${error}`);
      return errno === 0 ? ENOANO : errno;
    } finally {
      plan?.device.clear();
    }
  }

  async #restore(): Promise<void> {
    const { recovery } = this.#target;
    await recovery?.ready();
    if (recovery === undefined || recovery.lost === null) return;
    const commands = restoreCommands(this.#model, recovery.lost, Date.now());
    try {
      for (const piece of commands.pieces()) await this.#target.apply([], piece);
      recovery.restored();
    } finally {
      commands.clear();
    }
  }

  /**
   * Has the target do a part at a time, so that no packet waits for all of a large request. Only the first part can be
   * refused: no other has plane commands.
   */
  async #apply({ plane, device }: Plan): Promise<void> {
    if (device.length === 0 && plane.length > 0) return await this.#target.apply(plane, []);
    let left = plane;
    for (const piece of device.pieces()) {
      await this.#target.apply(left, piece);
      left = [];
    }
  }

  /** Runs `task` after every task given before has ended, however it ended. */
  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    this.#last = result.then(() => undefined, () => undefined);
    return result;
  }
}

/** The positive error number an error carries, else 0. */
function errnoOf(error: unknown): number {
  if (!(error instanceof Error) || !("errno" in error)) return 0;
  const { errno } = error;
  return typeof errno === "number" && Number.isSafeInteger(errno) && errno > 0 ? errno : 0;
}
