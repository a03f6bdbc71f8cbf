/** Making a tunnel that is up what its file says, by changing what differs and nothing else. */
import { formatEndpointText } from "../config/config_writer.ts";
import { lintScanned } from "../config/lint.ts";
import type { EndpointText } from "../config/values.ts";
import { readInterface } from "../control/interface_client.ts";
import { type DeviceStatus, wipeStatus } from "../control/uapi_status.ts";
import { FullTunnel } from "../host/full_tunnel.ts";
import { HostLink, isLink } from "../host/host_link.ts";
import { currentPlace, isBusy, isSamePlace, Journal, type StateStore, thisProcess } from "../host/state.ts";
import { formatEndpoint } from "../tunnel/address_text.ts";
import { OperatorError } from "./errors.ts";
import type { QuickConfig } from "./quick_config.ts";
import { servicePort } from "./service_ports.ts";
import { asOperatorError } from "./tunnel.ts";
import { type ChangeOptions, TunnelChange } from "./tunnel_change.ts";
import { type Plan, planChange } from "./tunnel_diff.ts";
import { asTarget, type Present, readPresent, type UpState } from "./tunnel_present.ts";
import { type LookUp, type Target, targetOfFile } from "./tunnel_target.ts";
import { hookHashes } from "./tunnel_wish.ts";
import { parseRetries, resolveEndpoint } from "./wg_endpoint.ts";

/** What a tunnel is, what its file wants of it, and the way from the one to the other. */
export interface Comparison extends Disposable {
  readonly present: Present;
  readonly target: Target;
  readonly plan: Plan;
  /** What the operator should know beside the plan. */
  readonly notes: readonly string[];
  /** Numeric endpoints that were looked up, by what the file says. */
  readonly found: Readonly<Record<string, string>>;
}

/**
 * The state of a tunnel that is up, here.
 *
 * @throws {OperatorError} if it is not, saying what to do
 */
export function requireUp(store: StateStore, name: string): UpState {
  const state = store.load(name);
  const isThere = isLink(name);
  if (state === null && isThere) {
    throw new OperatorError(`${name} was not brought up by culvert up; change it with what brought it up`);
  }
  const here = currentPlace();
  if (state !== null && state.place.boot === here.boot && !isSamePlace(state.place, here)) {
    throw new OperatorError(`${name} was brought up in another network namespace; run this there`);
  }
  if (state === null || !isThere) throw new OperatorError(`${name} is not up; bring it up with: culvert up ${name}`);
  if (isBusy(state)) throw new OperatorError(`another culvert is at work on ${name}`);
  const { applied = null } = state;
  if (applied !== null) return Object.assign(state, { applied });
  throw new OperatorError(`${name} was not brought up to its end; take it down and up again: culvert down ${name}`);
}

/**
 * The same, and until `releaseTunnel` no other process changes it or takes it down.
 *
 * @param refuse throws if the tunnel is not to be changed for another reason
 */
export function claimTunnel(store: StateStore, name: string, refuse: () => void): UpState {
  return store.locked(() => {
    const state = requireUp(store, name);
    refuse();
    state.worker = thisProcess();
    store.save(state);
    return state;
  });
}

export function releaseTunnel(store: StateStore, state: UpState): void {
  state.worker = null;
  new Journal(store, state).save();
}

/** @throws {OperatorError} for the first of the mistakes with which a tunnel cannot work */
export function refuseMistakes({ lines, scanned, file }: QuickConfig): void {
  const mistake = lintScanned(lines, scanned, { file, servicePort }).find(({ level }) => level === "error");
  if (mistake === undefined) return;
  const { line, message, remedy } = mistake;
  throw new OperatorError(`${line === 0 ? file : `${file}:${line}`}: ${message}; ${remedy}`);
}

/**
 * Compares a tunnel with its file; nothing is changed.
 *
 * @param reading the interface's own state, asked for as early as possible
 * @throws {OperatorError}
 */
export async function compareTunnel(
  quick: QuickConfig,
  state: UpState,
  store: StateStore,
  link: HostLink,
  reading: Promise<DeviceStatus>,
  wait: <T>(task: Promise<T>) => Promise<T>,
): Promise<Comparison> {
  const status = await reading;
  try {
    const found: Record<string, string> = {};
    const target = await targetOfFile(quick, state, status, link, lookUpInto(found, wait));
    const present = presentOf(status, state, store, link, target);
    const plan = planChange(present, target);
    const notes = notesOn(quick, state);
    return { present, target, plan, notes, found, [Symbol.dispose]: () => wipeStatus(status) };
  } catch (error) {
    wipeStatus(status);
    throw error;
  }
}

/**
 * Makes the tunnel, which is claimed, what was planned; if anything fails, it is what it was before.
 *
 * @throws {OperatorError} why it was not done
 */
export async function changeTunnel(
  comparison: Comparison,
  journal: Journal,
  link: HostLink,
  options: ChangeOptions,
): Promise<void> {
  const former = asTarget(comparison.present);
  try {
    Object.assign(journal.state.endpoints, comparison.found);
    await new TunnelChange(link, journal, options, comparison).run();
  } catch (error) {
    await restoreOrTell(journal, link, former, error, options);
    throw asOperatorError(error);
  }
}

/** Writes down what is so already, as that the file names no endpoint any more. */
export function writeDownOnly({ target }: Comparison, journal: Journal): void {
  if (JSON.stringify(journal.state.applied) === JSON.stringify(target.applied)) return;
  journal.state.applied = target.applied;
  journal.save();
}

/** Makes a tunnel what it was, for a change that was not confirmed. @throws if it cannot be done */
export async function restoreTunnel(store: StateStore, name: string, former: Target): Promise<void> {
  const state = claimTunnel(store, name, () => {});
  try {
    using link = HostLink.find(name);
    await restore(new Journal(store, state), link, former, () => {});
  } finally {
    releaseTunnel(store, state);
  }
}

async function restoreOrTell(
  journal: Journal,
  link: HostLink,
  former: Target,
  reason: unknown,
  { warn }: ChangeOptions,
): Promise<void> {
  try {
    await restore(journal, link, former, warn);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const { name } = journal.state;
    const first = reason instanceof Error ? reason.message : reason;
    throw new OperatorError(
      `${first}; and what ${name} was before could not be restored (${error.message}); take it down with: culvert down ${name}`,
    );
  }
}

/** From wherever a change has come to. */
async function restore(
  journal: Journal,
  link: HostLink,
  former: Target,
  warn: (message: string) => void,
): Promise<void> {
  const { state, store } = journal;
  const status = await readInterface(state.name);
  try {
    const present = presentOf(status, state as UpState, store, link, former);
    const plan = planChange(present, former);
    await new TunnelChange(link, journal, { check: () => {}, warn }, { present, target: former, plan }).run();
  } finally {
    wipeStatus(status);
  }
}

function presentOf(
  status: DeviceStatus,
  state: UpState,
  store: StateStore,
  link: HostLink,
  { routes }: Target,
): Present {
  return readPresent(status, state, link, new FullTunnel(link, new Journal(store, state), () => {}), routes);
}

function lookUpInto(found: Record<string, string>, wait: <T>(task: Promise<T>) => Promise<T>): LookUp {
  return async (endpoint: EndpointText) => {
    const retries = parseRetries(Deno.env.get("WG_ENDPOINT_RESOLUTION_RETRIES"));
    const numeric = formatEndpoint(await wait(resolveEndpoint(endpoint, retries)), 0);
    found[formatEndpointText(endpoint)] = numeric;
    return numeric;
  };
}

function notesOn({ config }: QuickConfig, { applied }: UpState): string[] {
  const changed = Object.entries(hookHashes(config)).filter(([key, hash]) => applied.hooks[key] !== hash);
  return changed.map(([key]) =>
    `${key} has changed since up; hooks are not run now, but at the next ${key.endsWith("Up") ? "up" : "down"}`
  );
}
