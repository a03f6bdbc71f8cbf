/** Taking a tunnel down: what bringing it up changed is undone, and nothing else. */
import { listAllInterfaces } from "../control/interface_client.ts";
import { listKernelInterfaces } from "../control/kernel_client.ts";
import { isUapiServed, uapiSocketPath } from "../control/uapi_socket.ts";
import { isLink } from "../host/host_link.ts";
import { runHook } from "../host/programs.ts";
import { currentPlace, type HostState, isBusy, isKernelState, isSamePlace, StateStore } from "../host/state.ts";
import { undoChanges } from "../host/undo.ts";
import { OperatorError } from "./errors.ts";
import type { Interruption } from "./interruption.ts";
import {
  type ConfigPlace,
  locateConfig,
  type QuickConfig,
  readQuickConfig,
  readText,
  wipeQuickConfig,
} from "./quick_config.ts";
import { awaitEnd, type Teller } from "./tunnel.ts";
import { saveTunnel } from "./tunnel_save.ts";

export interface DownOptions {
  /** The kill switch stays, for a start anew. */
  readonly keepKillSwitch: boolean;
}

/**
 * Takes down what `up` brought up, also if its process was killed since.
 *
 * @param word the interface or its file
 * @throws {OperatorError} if it is not up, a hook fails, or something could not be undone
 */
export async function bringDown(
  word: string,
  interruption: Interruption,
  tell: Teller,
  { keepKillSwitch }: DownOptions = { keepKillSwitch: false },
): Promise<void> {
  const { name, file } = locateConfig(word);
  const store = new StateStore();
  const state = await stateOf(store, { name, file });
  const quick = readIfThere({ name, file: word === name ? state.file : file }, tell);
  const isUp = isLink(name);
  const hooks = quick?.config.interface;
  try {
    await runHooks(hooks?.preDown ?? [], name, isUp, interruption, tell);
    if (hooks?.saveConfig && isUp && quick !== null) await saveTunnel(quick, state, tell);
    tell.step(`take ${name} down`);
    const isDone = await undoChanges(store, state, { keepKillSwitch, warn: tell.warn });
    await awaitEnd(name);
    if (!isDone) {
      throw new OperatorError(`not everything of ${name} could be undone; try again: culvert cleanup ${name}`);
    }
    await runHooks(hooks?.postDown ?? [], name, isUp, interruption, tell);
  } finally {
    if (quick !== null) wipeQuickConfig(quick);
  }
}

/**
 * Undoes what tunnels have left whose process was killed.
 *
 * @param name of one interface; null for all that are not up
 * @throws {OperatorError} if it is up, or something could not be undone
 */
export async function cleanUp(name: string | null, tell: Teller): Promise<void> {
  const store = new StateStore();
  let isDone = true;
  for (const each of name === null ? store.names() : [name]) {
    const state = store.load(each);
    if (state === null) throw new OperatorError(`culvert has changed nothing for ${each}`);
    if (!isSamePlace(state.place, currentPlace()) && state.place.boot === currentPlace().boot) {
      if (name === null) continue;
      throw elsewhere(each);
    }
    if (isBusy(state) || await isServed(state)) {
      if (name === null) continue;
      throw new OperatorError(`${each} is up; take it down with: culvert down ${each}`);
    }
    tell.step(`undo what ${each} has left`);
    isDone = await undoChanges(store, state, { keepKillSwitch: false, warn: tell.warn }) && isDone;
    await awaitEnd(each);
  }
  if (!isDone) throw new OperatorError("not everything could be undone; try again");
}

/** Whether a process, or the kernel, still serves the interface. */
async function isServed(state: HostState): Promise<boolean> {
  if (isKernelState(state) && listKernelInterfaces().includes(state.name)) return true;
  return await isUapiServed(uapiSocketPath(state.name));
}

async function stateOf(store: StateStore, { name, file }: ConfigPlace): Promise<HostState> {
  const state = store.load(name);
  if (state === null) {
    readText(file);
    if (!(await listAllInterfaces()).includes(name)) {
      throw new OperatorError(`\`${name}' is not a WireGuard interface`);
    }
    throw new OperatorError(`${name} was not brought up by culvert up; take it down with what brought it up`);
  }
  if (isBusy(state)) throw new OperatorError(`another culvert is at work on ${name}`);
  const here = currentPlace();
  if (state.place.boot === here.boot && !isSamePlace(state.place, here)) throw elsewhere(name);
  return state;
}

function elsewhere(name: string): OperatorError {
  return new OperatorError(`${name} was brought up in another network namespace; run this there`);
}

/** A file that went or went bad must not keep a tunnel up: only its hooks are lost. */
function readIfThere(place: ConfigPlace, tell: Teller): QuickConfig | null {
  try {
    return readQuickConfig(place, tell.warn);
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    tell.warn(`${error.message}; going on without hooks`);
    return null;
  }
}

/** @param mustSucceed false if the interface is gone already: what hooks say then counts for nothing */
async function runHooks(
  hooks: readonly string[],
  name: string,
  mustSucceed: boolean,
  interruption: Interruption,
  tell: Teller,
): Promise<void> {
  for (const hook of hooks) {
    interruption.check();
    const command = hook.replaceAll("%i", name);
    tell.step(command);
    try {
      await runHook(command, interruption.signal);
    } catch (error) {
      if (mustSucceed || !(error instanceof Error)) throw error;
      tell.warn(error.message);
    }
  }
}
