/**
 * Bringing a tunnel up, wholly or not at all: the interface, its configuration, addresses, MTU, kill switch, name
 * servers, routes, and the hooks around them, in wg-quick's order.
 */
import { formatEndpointText, formatPrefix } from "../config/config_writer.ts";
import { changeInterface, readInterface } from "../control/interface_client.ts";
import { emptyChange, wipeChange } from "../control/device_change.ts";
import { isUapiServed, uapiSocketPath } from "../control/uapi_socket.ts";
import { setNameServers } from "../host/dns.ts";
import { loadKillSwitch } from "../host/firewall.ts";
import { FullTunnel } from "../host/full_tunnel.ts";
import { HostLink, isLink, linkIndex } from "../host/host_link.ts";
import { runHook } from "../host/programs.ts";
import { originalResolverConfig, resolvConfLines } from "../host/resolver_config.ts";
import { type Prefix, TABLE_MAIN } from "../host/routing.ts";
import { currentPlace, type HostState, isBusy, isSamePlace, Journal, StateStore } from "../host/state.ts";
import { undoChanges } from "../host/undo.ts";
import { type DeviceStatus, wipeStatus } from "../control/uapi_status.ts";
import { continueInBackground } from "../host/process.ts";
import { formatEndpoint, parseAddress, parseEndpoint } from "../tunnel/address_text.ts";
import { wantedV8Flags } from "../plane/v8_flags.ts";
import { DETACHED } from "./environment.ts";
import { OperatorError } from "./errors.ts";
import type { Interruption } from "./interruption.ts";
import type { QuickConfig } from "./quick_config.ts";
import { asOperatorError, awaitEnd, type Teller } from "./tunnel.ts";
import { isKernelSinceBoot, makeKernelInterface } from "./tunnel_kernel.ts";
import { appliedOf, endpointAddresses, planRoutes, prefixOf, routeText, type WantedRoute } from "./tunnel_wish.ts";
import { changeOf } from "./wg_conf.ts";
import { type PendingEndpoint, resolvePending } from "./wg_set.ts";

export interface UpOptions {
  readonly killSwitch: boolean;
  /** The kernel's own WireGuard moves the packets, and no process of ours. */
  readonly usesKernel: boolean;
  /** Options for the interface's own process. */
  readonly words: readonly string[];
  /** The interface's process keeps our stderr for its log. */
  readonly keepsLog: boolean;
  /** Is given the end of the interface's process; without it the process is let go of. */
  readonly watch?: (end: Promise<Deno.CommandStatus>) => void;
}

/**
 * Brings a tunnel up. Whatever fails, and any signal, has everything undone that was done.
 *
 * @throws {OperatorError} why it is not up
 */
export async function bringUp(
  quick: QuickConfig,
  options: UpOptions,
  interruption: Interruption,
  tell: Teller,
): Promise<void> {
  const { name } = quick;
  if (isLink(name)) throw new OperatorError(`\`${name}' already exists`);
  const store = new StateStore();
  const former = await clearRemains(store, name, options.killSwitch, tell);
  const state = store.create(name, quick.file);
  state.changes = former?.changes ?? [];
  state.endpoints = former?.endpoints ?? {};
  const journal = new Journal(store, state);
  try {
    await new Start(quick, options, interruption, tell, journal).run();
  } catch (error) {
    tell.step(`undoing everything: ${error instanceof Error ? error.message : error}`);
    await undoChanges(store, state, { keepKillSwitch: former !== null, warn: tell.warn });
    await awaitEnd(name);
    // What could not be undone, or is kept, is nobody's work any more.
    state.worker = null;
    if (state.changes.length > 0) journal.save();
    throw asOperatorError(error);
  }
}

/**
 * Undoes what a run that was killed has left.
 *
 * @returns what is kept of it: a kill switch, if there is one and it is wanted
 */
async function clearRemains(
  store: StateStore,
  name: string,
  killSwitch: boolean,
  tell: Teller,
): Promise<HostState | null> {
  const state = store.load(name);
  if (state === null) return null;
  if (isBusy(state)) throw new OperatorError(`another culvert is at work on ${name}`);
  const isElsewhere = !isSamePlace(state.place, currentPlace());
  if (isElsewhere && (isKernelSinceBoot(state) || await isUapiServed(uapiSocketPath(name)))) {
    throw new OperatorError(`${name} is up in another network namespace`);
  }
  tell.step(`undoing what the last run of ${name} has left`);
  const isDone = await undoChanges(store, state, { keepKillSwitch: killSwitch, warn: tell.warn });
  if (!isDone) throw new OperatorError(`something is left of the last run of ${name}; see culvert cleanup ${name}`);
  return state.changes.length === 0 ? null : state;
}

/** One start, step by step. */
class Start {
  readonly #quick: QuickConfig;
  readonly #options: UpOptions;
  readonly #interruption: Interruption;
  readonly #tell: Teller;
  readonly #journal: Journal;
  #routes: readonly string[] = [];

  constructor(quick: QuickConfig, options: UpOptions, interruption: Interruption, tell: Teller, journal: Journal) {
    this.#quick = quick;
    this.#options = options;
    this.#interruption = interruption;
    this.#tell = tell;
    this.#journal = journal;
  }

  async run(): Promise<void> {
    const { preUp, postUp, dnsServers, dnsSearch } = this.#quick.config.interface;
    await this.#startInterface();
    await this.#runHooks(preUp);
    await this.#configure();
    using link = HostLink.find(this.#quick.name);
    this.#assignAddresses(link);
    await this.#bringUp(link);
    if (this.#options.killSwitch) await this.#loadKillSwitch(link);
    this.#interruption.check();
    if (dnsServers.length > 0) {
      this.#tell.step(`name servers ${[...dnsServers, ...dnsSearch].join(" ")}`);
      await setNameServers(
        this.#journal,
        link.index,
        { servers: dnsServers, search: dnsSearch },
        (message) => this.#tell.warn(message),
      );
    }
    await this.#route(link);
    await this.#runHooks(postUp);
    await this.#finish(link);
  }

  async #startInterface(): Promise<void> {
    this.#interruption.check();
    const { name } = this.#quick;
    if (this.#options.usesKernel) return makeKernelInterface(this.#journal, this.#tell);
    const unknown = { kind: "link", index: 0 } as const;
    this.#tell.step(`start ${name}`);
    const code = await this.#journal.change(unknown, () =>
      continueInBackground({
        marker: DETACHED,
        descriptors: [],
        keepStderr: this.#options.keepsLog,
        v8Flags: wantedV8Flags("auto"),
        words: [...this.#options.words, "--", name],
        watch: this.#options.watch,
      }));
    this.#interruption.check();
    if (code !== 0) throw new OperatorError(`cannot start ${name}`);
    this.#journal.amend(unknown, { kind: "link", index: linkIndex(name) });
  }

  async #runHooks(hooks: readonly string[]): Promise<void> {
    for (const hook of hooks) {
      this.#interruption.check();
      const command = hook.replaceAll("%i", this.#quick.name);
      this.#tell.step(command);
      await this.#interruption.unless(runHook(command, this.#interruption.signal));
    }
  }

  async #configure(): Promise<void> {
    const { name, config } = this.#quick;
    const change = emptyChange();
    try {
      const pending = changeOf(config, "addconf", change);
      // From then on the host would look names up through the tunnel, which needs them to be up.
      if (config.interface.dnsServers.length > 0) change.dns = resolvConfLines(originalResolverConfig());
      await this.#interruption.unless(this.#resolve(pending));
      this.#tell.step(`configure ${name}`);
      await changeInterface(name, change);
    } finally {
      wipeChange(change);
    }
  }

  /** Host names that were found before the kill switch closed are not asked for again: nobody would answer. */
  async #resolve(pending: readonly PendingEndpoint[]): Promise<void> {
    const { state } = this.#journal;
    const isShut = state.changes.some(({ kind }) => kind === "kill-switch");
    const open: PendingEndpoint[] = [];
    for (const { peer, endpoint } of pending) {
      const known = isShut ? state.endpoints[formatEndpointText(endpoint)] : undefined;
      if (known === undefined) open.push({ peer, endpoint });
      else peer.endpoint = parseEndpoint(known);
    }
    await resolvePending(open);
    for (const { peer, endpoint } of open) {
      if (peer.endpoint === null || parseAddress(endpoint.host) !== null) continue;
      state.endpoints[formatEndpointText(endpoint)] = formatEndpoint(peer.endpoint, 0);
    }
    this.#journal.save();
  }

  #assignAddresses(link: HostLink): void {
    for (const prefix of this.#quick.config.interface.addresses) {
      const text = formatPrefix(prefix);
      this.#tell.step(`address ${text}`);
      link.addAddress(prefix, text);
    }
  }

  async #bringUp(link: HostLink): Promise<void> {
    this.#interruption.check();
    const given = this.#quick.config.interface.mtu;
    const mtu = given ?? link.discoverMtu(await this.#ask(endpointsOf));
    this.#tell.step(`mtu ${mtu}${given === null ? " (found)" : ""}, up`);
    link.bringUp(mtu);
  }

  async #loadKillSwitch(link: HostLink): Promise<void> {
    const mark = await this.#mark(link);
    this.#tell.step("kill switch on");
    loadKillSwitch(this.#journal, mark);
  }

  async #route(link: HostLink): Promise<void> {
    const { table } = this.#quick.config.interface;
    const allowed = await this.#ask(allowedPrefixes);
    const plan = planRoutes(allowed, table, (prefixes) => link.unrouted(prefixes));
    for (const route of plan.routes) this.#addRoute(link, route);
    for (const prefix of plan.defaults) await this.#takeDefault(link, prefix);
    this.#routes = plan.routes.map(routeText);
  }

  #addRoute(link: HostLink, { prefix, table }: WantedRoute): void {
    this.#interruption.check();
    this.#tell.step(`route ${formatPrefix(prefix)}${table === TABLE_MAIN ? "" : ` table ${table}`}`);
    link.addRoute(prefix, table);
  }

  async #takeDefault(link: HostLink, prefix: Prefix): Promise<void> {
    const family = prefix.address.length === 4 ? 4 : 6;
    const mark = await this.#mark(link);
    this.#interruption.check();
    this.#tell.step(`route ${formatPrefix(prefix)} table ${mark}, for all without the mark ${mark}`);
    this.#tell.step(`guard the IPv${family} addresses`);
    await new FullTunnel(link, this.#journal, (message) => this.#tell.warn(message)).take(family, mark);
  }

  /** The interface's mark, which is its routing table as well; without one it gets one. */
  async #mark(link: HostLink): Promise<number> {
    const { state } = this.#journal;
    const set = await this.#ask(({ fwmark }) => fwmark);
    if (set !== 0) {
      if (state.mark !== set) {
        state.mark = set;
        this.#journal.save();
      }
      return set;
    }
    const mark = link.claimTable(this.#journal);
    this.#tell.step(`fwmark ${mark}`);
    await changeInterface(this.#quick.name, { ...emptyChange(), fwmark: mark });
    return mark;
  }

  async #finish(link: HostLink): Promise<void> {
    const { state } = this.#journal;
    const { config, killSwitch } = this.#quick;
    if (config.interface.listenPort === null) state.port = await this.#ask(({ listenPort }) => listenPort);
    state.applied = appliedOf(config, this.#routes, link.mtu, this.#options.killSwitch && !killSwitch, null);
    state.worker = null;
    this.#journal.save();
  }

  /** What `read` makes of the interface's present state, whose keys are wiped again. */
  async #ask<T>(read: (status: DeviceStatus) => T): Promise<T> {
    const status = await readInterface(this.#quick.name);
    try {
      return read(status);
    } finally {
      wipeStatus(status);
    }
  }
}

function endpointsOf({ peers }: DeviceStatus): Uint8Array[] {
  return endpointAddresses(peers.map(({ endpoint }) => endpoint));
}

function allowedPrefixes({ peers }: DeviceStatus): Prefix[] {
  return peers.flatMap(({ allowedIps }) => allowedIps.map(prefixOf));
}
