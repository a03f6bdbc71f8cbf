/**
 * `up --foreground`: a tunnel that is brought up, brought up again whenever the interface's process dies, and taken down
 * at the end. For containers and for systemd.
 *
 * Each restart is a `down` of what is left and an `up`, hooks and all: what hooks did for the interface that died is
 * undone by theirs, and done anew for the next one. In between the kill switch, if there is one, holds.
 */
import { isLink } from "../host/host_link.ts";
import { StateStore } from "../host/state.ts";
import { notifySystemd } from "../host/systemd.ts";
import { RestartLimit } from "../plane/restart_limit.ts";
import { readEnvironment } from "./environment.ts";
import { OperatorError } from "./errors.ts";
import { Interruption } from "./interruption.ts";
import { printError } from "./output.ts";
import { type ConfigPlace, locateConfig, readQuickConfig, wipeQuickConfig } from "./quick_config.ts";
import { asOperatorError, type Teller } from "./tunnel.ts";
import { bringDown } from "./tunnel_down.ts";
import { bringUp } from "./tunnel_up.ts";

/** How long a `down` elsewhere may take to forget the tunnel after the interface's end. */
const DOWN_TIMEOUT = 5_000;
const LOOK_INTERVAL = 50;
/** How often an interface of the kernel's is looked for: nobody tells of its end. */
const LINK_INTERVAL = 1_000;

export interface KeepUpWishes {
  readonly killSwitch: boolean;
  readonly usesKernel: boolean;
}

/**
 * Returns when the tunnel was taken down: by a signal to us, by a `down` elsewhere, or because its interface was removed.
 *
 * @throws {OperatorError} if it cannot be brought up, or dies too often; then a kill switch stays
 */
export async function keepUp(word: string, wishes: KeepUpWishes, tell: Teller): Promise<void> {
  using interruption = new Interruption();
  await new Supervision(locateConfig(word), wishes, interruption, tell).run();
}

/** How the interface's process ended. */
type ProcessEnd = Pick<Deno.CommandStatus, "code" | "signal">;

class Supervision {
  readonly #place: ConfigPlace;
  readonly #wishes: KeepUpWishes;
  readonly #interruption: Interruption;
  readonly #tell: Teller;
  readonly #limit = new RestartLimit();
  /** Of the interface's present process. */
  #end: Promise<ProcessEnd> = Promise.resolve({ code: 0, signal: null });

  constructor(place: ConfigPlace, wishes: KeepUpWishes, interruption: Interruption, tell: Teller) {
    this.#place = place;
    this.#wishes = wishes;
    this.#interruption = interruption;
    this.#tell = tell;
  }

  async run(): Promise<void> {
    await this.#start();
    notifySystemd("READY=1");
    for (;;) {
      const end = await this.#unlessInterrupted(this.#end);
      if (end === null) break;
      if (end.code === 0 && end.signal === null) {
        if (await this.#isForgotten()) return;
        break;
      }
      this.#tell.warn(`the process of ${this.#place.name} ended by ${end.signal ?? `exit code ${end.code}`}`);
      if (!await this.#startAnew()) break;
    }
    notifySystemd("STOPPING=1");
    await this.#finish();
  }

  async #start(): Promise<void> {
    const quick = readQuickConfig(this.#place, (message) => printError(`${message}\n`));
    // Who stays in the foreground wants to see what goes wrong later, unless told otherwise.
    if (!Deno.env.get("LOG_LEVEL")) Deno.env.set("LOG_LEVEL", "error");
    const { keepsLog } = readEnvironment((key) => Deno.env.get(key));
    const options = {
      killSwitch: this.#wishes.killSwitch || quick.killSwitch,
      usesKernel: this.#wishes.usesKernel,
      words: [],
      keepsLog,
      watch: (end: Promise<ProcessEnd>): void => void (this.#end = end),
    };
    try {
      await bringUp(quick, options, this.#interruption, this.#tell);
    } finally {
      wipeQuickConfig(quick);
    }
    if (this.#wishes.usesKernel) this.#end = this.#untilLinkGone();
  }

  /** @returns false if it was interrupted @throws {OperatorError} after too many failures */
  async #startAnew(): Promise<boolean> {
    for (;;) {
      const pause = this.#limit.next(performance.now());
      if (pause === null) throw this.#surrender();
      await this.#pause(pause);
      if (this.#interruption.signal.aborted) return false;
      this.#tell.step(`bring ${this.#place.name} up again`);
      try {
        await this.#clear(this.#interruption, true);
        await this.#start();
        return true;
      } catch (error) {
        if (this.#interruption.signal.aborted) return false;
        this.#tell.warn(asOperatorError(error).message);
      }
    }
  }

  #surrender(): OperatorError {
    const { name } = this.#place;
    const isShut = new StateStore().load(name)?.changes.some(({ kind }) => kind === "kill-switch") ?? false;
    const rest = isShut ? `; the kill switch stays on until: culvert cleanup ${name}` : "";
    return new OperatorError(`${name} ends again and again; see what was said above${rest}`);
  }

  async #finish(): Promise<void> {
    using interruption = new Interruption();
    await this.#clear(interruption, false);
  }

  /** Takes down what there is, if there is anything. */
  async #clear(interruption: Interruption, keepKillSwitch: boolean): Promise<void> {
    const { name, file } = this.#place;
    if (new StateStore().load(name) === null) return;
    try {
      await bringDown(file, interruption, this.#tell, { keepKillSwitch });
    } catch (error) {
      throw asOperatorError(error);
    }
  }

  /** An interface that ends in order does so because it is taken down, or because somebody removed it. */
  async #isForgotten(): Promise<boolean> {
    const deadline = performance.now() + DOWN_TIMEOUT;
    while (new StateStore().load(this.#place.name) !== null) {
      if (performance.now() >= deadline || this.#interruption.signal.aborted) return false;
      await this.#pause(LOOK_INTERVAL);
    }
    return true;
  }

  async #untilLinkGone(): Promise<ProcessEnd> {
    while (isLink(this.#place.name) && !this.#interruption.signal.aborted) await this.#pause(LINK_INTERVAL);
    return { code: 0, signal: null };
  }

  /** What `task` results in, null if a signal comes first. */
  async #unlessInterrupted<T>(task: Promise<T>): Promise<T | null> {
    try {
      return await this.#interruption.unless(task);
    } catch (error) {
      if (this.#interruption.signal.aborted) return null;
      throw error;
    }
  }

  /** Waits, but not when there is a signal. */
  async #pause(milliseconds: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const over = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, milliseconds);
    });
    await this.#unlessInterrupted(over);
    clearTimeout(timer);
  }
}
