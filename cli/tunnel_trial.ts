/**
 * Changes on trial: a process in a session of its own takes a change back when its time is over, whatever becomes of
 * the terminal and the command that made it, unless somebody confirms it.
 *
 * The trial's file tells how far things are, and everyone who changes it does so under the store's lock:
 *
 *     applying ──→ waiting ──→ (no file: confirmed)
 *         │           ├──→ refused ─┐   by Ctrl-C at the terminal
 *         │           └─ time over ─┤
 *         └─ the command was killed ┴──→ reverting ──→ reverted, or failed
 */
import { isAlive, type StateStore, thisProcess } from "../host/state.ts";
import { loadTrial, removeTrial, saveTrial, type Trial } from "../host/trial.ts";
import { continueInBackground, reportReady } from "../host/process.ts";
import { OperatorError } from "./errors.ts";
import { restoreTunnel } from "./tunnel_apply.ts";
import { decodeTarget } from "./tunnel_target_file.ts";

/** Environment variable of the process that watches. */
export const GUARDIAN = "CULVERT_GUARDIAN";

const INTERVAL = 100;
/** How long the outcome is left to be read by the command that waits for it. */
const LINGER = 3_000;

/** Waits for a trial's end in its own process, and takes the change back if it must. @returns the exit code */
export async function guardTrial(store: StateStore, name: string): Promise<number> {
  if (!advance(store, name, ["applying"], { guardian: thisProcess() })) return 1;
  reportReady(false);
  if (!await isToBeReverted(store, name)) return 0;
  const trial = loadTrial(store, name);
  if (trial === null || !advance(store, name, ["applying", "waiting", "refused"], { phase: "reverting" })) return 0;
  const ended = await revert(store, name, trial);
  if (!advance(store, name, ["reverting"], { ...ended, former: null })) return 1;
  await pause(LINGER);
  store.locked(() => removeTrial(store, name));
  return ended.phase === "reverted" ? 0 : 1;
}

/** Starts the process that watches over a trial, and waits until it does. @throws {OperatorError} */
export async function startGuardian(store: StateStore, name: string, seconds: number, former: unknown): Promise<void> {
  const trial = { phase: "applying", seconds, applier: thisProcess(), guardian: null, former, reason: "" } as const;
  store.locked(() => saveTrial(store, name, trial));
  const words = ["apply", name];
  const code = await continueInBackground({ marker: GUARDIAN, descriptors: [], keepStderr: false, words });
  if (code === 0) return;
  store.locked(() => removeTrial(store, name));
  throw new OperatorError("cannot start the process that would take the change back; nothing was changed");
}

/** The change is made; from now on its time runs. */
export function beginWaiting(store: StateStore, name: string): void {
  if (!advance(store, name, ["applying"], { phase: "waiting" })) throw new OperatorError("the change was taken back");
}

/**
 * Has a change stay.
 *
 * @throws {OperatorError} if none waits any more
 */
export function confirmTrial(store: StateStore, name: string): void {
  store.locked(() => {
    const trial = loadTrial(store, name);
    if (trial === null) throw new OperatorError(`no change of ${name} waits to be confirmed`);
    if (trial.phase === "applying" && isAlive(trial.applier)) {
      throw new OperatorError(`the change of ${name} is still being made; confirm it once it is`);
    }
    if (trial.phase !== "waiting") throw new OperatorError(`too late: the change of ${name} is taken back`);
    removeTrial(store, name);
  });
}

/** Has a change taken back at once. */
export function refuseTrial(store: StateStore, name: string): void {
  advance(store, name, ["waiting"], { phase: "refused" });
}

/** @throws {OperatorError} while a change waits, or is taken back. What a killed guardian left is cleared away. */
export function refuseBesideTrial(store: StateStore, name: string): void {
  const trial = loadTrial(store, name);
  if (trial === null) return;
  const watcher = trial.guardian ?? trial.applier;
  if (trial.former !== null && isAlive(watcher)) {
    throw new OperatorError(
      trial.phase === "reverting"
        ? `the last change of ${name} is being taken back; try again`
        : `a change of ${name} waits to be confirmed; let it stay with: culvert confirm ${name}`,
    );
  }
  removeTrial(store, name);
}

/** Waits for a trial's outcome. @returns whether the change stays @throws {OperatorError} if it could not be taken back */
export async function awaitOutcome(store: StateStore, name: string): Promise<boolean> {
  for (;;) {
    const trial = loadTrial(store, name);
    if (trial === null) return true;
    if (trial.phase === "reverted" || trial.phase === "failed") {
      store.locked(() => removeTrial(store, name));
      if (trial.phase === "reverted") return false;
      throw new OperatorError(
        `cannot restore what ${name} was: ${trial.reason}; take it down with: culvert down ${name}`,
      );
    }
    if (trial.guardian !== null && !isAlive(trial.guardian)) {
      throw new OperatorError(`the process that would take the change back was ended; the change of ${name} stays`);
    }
    await pause(INTERVAL);
  }
}

/** @returns whether the change is to be taken back; false if it is confirmed, or there is nothing to take back */
async function isToBeReverted(store: StateStore, name: string): Promise<boolean> {
  let deadline = Infinity;
  for (;;) {
    const trial = loadTrial(store, name);
    if (trial === null) return false;
    if (trial.phase === "refused") return true;
    if (trial.phase === "applying" && !isAlive(trial.applier)) return true;
    if (trial.phase === "waiting") deadline = Math.min(deadline, performance.now() + 1000 * trial.seconds);
    if (performance.now() >= deadline) return true;
    await pause(INTERVAL);
  }
}

async function revert(store: StateStore, name: string, { former }: Trial): Promise<Pick<Trial, "phase" | "reason">> {
  try {
    await restoreTunnel(store, name, decodeTarget(former));
    return { phase: "reverted", reason: "" };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { phase: "failed", reason: error.message };
  }
}

/** Changes a trial that is in one of `phases`. @returns false if it is not, or there is none */
function advance(store: StateStore, name: string, phases: readonly Trial["phase"][], news: Partial<Trial>): boolean {
  return store.locked(() => {
    const trial = loadTrial(store, name);
    if (trial === null || !phases.includes(trial.phase)) return false;
    saveTrial(store, name, { ...trial, ...news });
    return true;
  });
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
