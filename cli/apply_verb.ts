/** What `apply` and `confirm` do, loaded only when one of them is asked for. */
import { readInterface } from "../control/interface_client.ts";
import { type DeviceStatus, wipeStatus } from "../control/uapi_status.ts";
import { HostLink } from "../host/host_link.ts";
import { setPriority } from "node:os";
import { Journal, StateStore } from "../host/state.ts";
import type { ApplyWords } from "./apply.ts";
import { OperatorError } from "./errors.ts";
import { Interruption } from "./interruption.ts";
import { print, printError } from "./output.ts";
import { type ConfigPlace, locateConfig, type QuickConfig, readQuickConfig, wipeQuickConfig } from "./quick_config.ts";
import { asOperatorError, requireRoot, startTeller } from "./tunnel.ts";
import {
  changeTunnel,
  claimTunnel,
  compareTunnel,
  type Comparison,
  refuseMistakes,
  releaseTunnel,
  requireUp,
  writeDownOnly,
} from "./tunnel_apply.ts";
import { planJson, planText } from "./tunnel_plan_text.ts";
import { asTarget, type UpState } from "./tunnel_present.ts";
import { encodeTarget } from "./tunnel_target_file.ts";
import {
  awaitOutcome,
  beginWaiting,
  confirmTrial,
  GUARDIAN,
  guardTrial,
  refuseBesideTrial,
  refuseTrial,
  startGuardian,
} from "./tunnel_trial.ts";
import { wantsColors } from "./wg_colors.ts";
import { removeTrial } from "../host/trial.ts";

/** Turns of the event loop in which a socket connects and takes a short request. */
const TURNS_TO_ASK = 3;
/** As `nice` counts. */
const LOWER_PRIORITY = 10;

/** Runs `apply NAME|FILE`. @returns the exit code @throws {OperatorError} */
export async function applyVerb(word: string, words: ApplyWords): Promise<number> {
  requireRoot("apply");
  stepBack();
  const store = new StateStore();
  if (Deno.env.get(GUARDIAN) === "1") return await guardTrial(store, word);
  try {
    return await new Application(store, word, words).run();
  } catch (error) {
    throw asOperatorError(error);
  }
}

/** On a machine whose processors are busy with packets, these go first. Each thread has a priority of its own. */
function stepBack(): void {
  for (const { name } of Deno.readDirSync("/proc/self/task")) {
    try {
      setPriority(Number(name), LOWER_PRIORITY);
    } catch (error) {
      // The thread is gone, or it may not be: nothing depends on it.
      if (!(error instanceof Error)) throw error;
    }
  }
}

/** Runs `confirm NAME|FILE`. @throws {OperatorError} if nothing waits */
export function confirmVerb(word: string): void {
  requireRoot("confirm");
  const { name } = locateConfig(word);
  confirmTrial(new StateStore(), name);
  print(`${name}: the change stays\n`);
}

/** One run of `apply`. */
class Application {
  readonly #store: StateStore;
  readonly #word: string;
  readonly #words: ApplyWords;
  readonly #tell = startTeller("culvert");

  constructor(store: StateStore, word: string, words: ApplyWords) {
    this.#store = store;
    this.#word = word;
    this.#words = words;
  }

  async run(): Promise<number> {
    const { name, file } = locateConfig(this.#word);
    const isDry = this.#words.dryRun === true;
    const state = isDry
      ? requireUp(this.#store, name)
      : claimTunnel(this.#store, name, () => refuseBesideTrial(this.#store, name));
    let isTrial: boolean;
    try {
      isTrial = await this.#read(this.#word === name ? { name, file: state.file } : { name, file }, state);
    } finally {
      if (!isDry) releaseTunnel(this.#store, state);
    }
    if (isTrial) await this.#awaitConfirmation(name);
    return 0;
  }

  /** @returns whether a confirmation is to be waited for */
  async #read(place: ConfigPlace, state: UpState): Promise<boolean> {
    // The interface answers while the file is read, which takes the whole thread: the question must be out before.
    const reading = readInterface(place.name);
    // Its failure is told where it is awaited, or what was thrown before counts.
    reading.catch(() => {});
    let quick: QuickConfig | null = null;
    try {
      for (let turn = 0; turn < TURNS_TO_ASK; turn++) await new Promise((resolve) => setTimeout(resolve));
      quick = readQuickConfig(place, (message) => printError(`${message}\n`));
      refuseMistakes(quick);
      return await this.#apply(quick, state, reading);
    } finally {
      if (quick !== null) wipeQuickConfig(quick);
      reading.then(wipeStatus, () => {});
    }
  }

  async #apply(quick: QuickConfig, state: UpState, reading: Promise<DeviceStatus>): Promise<boolean> {
    using interruption = new Interruption();
    using link = HostLink.find(quick.name);
    using comparison = await compareTunnel(
      quick,
      state,
      this.#store,
      link,
      reading,
      (task) => interruption.unless(task),
    );
    const { plan } = comparison;
    const isNeeded = plan.differences.length > 0;
    const isTrial = isNeeded && !this.#words.dryRun && this.#words.confirm !== undefined;
    if (!this.#words.json) this.#printPlan(quick.name, comparison);
    if (!this.#words.dryRun) await this.#change(comparison, new Journal(this.#store, state), link, interruption);
    this.#printOutcome(quick, comparison, isTrial);
    return isTrial;
  }

  async #change(
    comparison: Comparison,
    journal: Journal,
    link: HostLink,
    interruption: Interruption,
  ): Promise<void> {
    const { name } = link;
    const { confirm } = this.#words;
    if (comparison.plan.differences.length === 0) return writeDownOnly(comparison, journal);
    if (confirm !== undefined) {
      await startGuardian(this.#store, name, confirm, encodeTarget(asTarget(comparison.present)));
    }
    try {
      await changeTunnel(comparison, journal, link, {
        check: () => interruption.check(),
        warn: (message) => this.#tell.warn(message),
      });
    } catch (error) {
      if (confirm !== undefined) this.#store.locked(() => removeTrial(this.#store, name));
      throw error;
    }
    if (confirm !== undefined) beginWaiting(this.#store, name);
  }

  #printPlan(name: string, { plan, notes }: Comparison): void {
    const isColored = wantsColors((key) => Deno.env.get(key), Deno.stdout.isTerminal());
    print(planText(plan.differences, notes, isColored));
    if (plan.differences.length === 0) print(`${name}: nothing to do\n`);
  }

  #printOutcome({ name, file }: QuickConfig, { plan, notes }: Comparison, isTrial: boolean): void {
    const { differences } = plan;
    const isApplied = !this.#words.dryRun && differences.length > 0;
    if (this.#words.json) {
      const confirm = isTrial ? this.#words.confirm ?? null : null;
      print(planJson({ interface: name, file, isApplied, confirm }, differences, notes));
    } else if (differences.length > 0) {
      const count = differences.length === 1 ? "1 change" : `${differences.length} changes`;
      print(`${name}: ${count}${isApplied ? " applied" : ", not applied"}\n`);
    }
  }

  /** @throws {OperatorError} if the change was taken back */
  async #awaitConfirmation(name: string): Promise<void> {
    const seconds = this.#words.confirm;
    const atTerminal = Deno.stdin.isTerminal();
    printError(
      `${name}: taken back in ${seconds} s unless confirmed: ${
        atTerminal ? "press Enter, or run " : ""
      }culvert confirm ${name}\n`,
    );
    const refuse = (): void => refuseTrial(this.#store, name);
    // Whoever loses the terminal may come back in time; who interrupts means it.
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, refuse);
    if (atTerminal) this.#confirmByEnter(name);
    if (await awaitOutcome(this.#store, name)) print(`${name}: the change stays\n`);
    else throw new OperatorError(`not confirmed: ${name} is what it was before`);
  }

  /** The end of the terminal's input confirms nothing. */
  #confirmByEnter(name: string): void {
    const wait = async (): Promise<void> => {
      const bytes = new Uint8Array(256);
      const read = await Deno.stdin.read(bytes);
      if (read !== null && bytes.subarray(0, read).includes(10)) confirmTrial(this.#store, name);
    };
    wait().catch((error) => {
      // What was too late the outcome tells.
      if (!(error instanceof OperatorError)) this.#tell.warn(`cannot read the terminal: ${error.message}`);
    });
  }
}
