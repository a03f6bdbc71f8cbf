/**
 * Changing a tunnel that is up, from what it is to what it is to be: what is new comes first, what is no longer wanted
 * goes last, and what stays is not touched. Each change of the host is written down before it is made.
 */
import { changeInterface, readInterface } from "../control/interface_client.ts";
import { emptyChange } from "../control/device_change.ts";
import { wipeStatus } from "../control/uapi_status.ts";
import { exchangeNameServers, setNameServers } from "../host/dns.ts";
import { loadKillSwitch, narrowKillSwitch, widenKillSwitch } from "../host/firewall.ts";
import { type Family, FullTunnel } from "../host/full_tunnel.ts";
import { HostError } from "../host/host_error.ts";
import type { HostLink } from "../host/host_link.ts";
import { TABLE_MAIN } from "../host/routing.ts";
import type { Applied, Change, Journal } from "../host/state.ts";
import { undoSome } from "../host/undo.ts";
import { MARK_TO_CHOOSE, type Plan, without } from "./tunnel_diff.ts";
import type { Present } from "./tunnel_present.ts";
import type { Target } from "./tunnel_target.ts";
import { outsideNetworks, parseRouteText, prefixOf, routeText, type WantedRoute } from "./tunnel_wish.ts";

export interface ChangeOptions {
  /** Throws if the change is to be given up. */
  check(): void;
  warn(message: string): void;
}

/** One change, from its plan to what is written down of it at the end. */
export class TunnelChange {
  readonly #link: HostLink;
  readonly #journal: Journal;
  readonly #options: ChangeOptions;
  readonly #full: FullTunnel;
  readonly #present: Present;
  readonly #target: Target;
  readonly #plan: Plan;
  /** Of the interface's encrypted packets from now on, and of its table. */
  #mark: number;

  constructor(
    link: HostLink,
    journal: Journal,
    options: ChangeOptions,
    { present, target, plan }: { readonly present: Present; readonly target: Target; readonly plan: Plan },
  ) {
    this.#link = link;
    this.#journal = journal;
    this.#options = options;
    this.#full = new FullTunnel(link, journal, (message) => options.warn(message));
    this.#present = present;
    this.#target = target;
    this.#plan = plan;
    this.#mark = target.fwmark;
  }

  /** @throws whatever failed: then some of it is done, and what it was before is to be restored */
  async run(): Promise<void> {
    const { host } = this.#plan;
    this.#writeDownBoth();
    if (host.mtu !== null) this.#link.bringUp(host.mtu);
    this.#addAddresses();
    const passes = [...this.#stalePasses(), ...this.#preparePasses()];
    await this.#configure();
    this.#options.check();
    this.#setKillSwitch();
    if (host.dns) await this.#setNameServers();
    this.#addRoutes();
    for (const family of host.move) await this.#full.move(family, this.#present.mark, this.#mark);
    if (host.move.length > 0) this.#journal.state.mark = this.#mark;
    for (const family of host.take) await this.#full.take(family, this.#mark);
    this.#options.check();
    for (const family of host.release) await this.#full.release(family, this.#present.mark);
    await this.#undo(passes);
    await this.#removeRest();
    if (this.#plan.mark === 0) await changeInterface(this.#link.name, { ...emptyChange(), fwmark: 0 });
    await this.#finish();
  }

  /** Until all is done, what is there may be of the former kind or of the new one. */
  #writeDownBoth(): void {
    const { state } = this.#journal;
    const { applied } = this.#target;
    const both: Applied = {
      ...applied,
      addresses: union(this.#present.applied.addresses, applied.addresses),
      routes: union(this.#present.applied.routes, applied.routes),
    };
    if (JSON.stringify(both) !== JSON.stringify(state.applied)) {
      state.applied = both;
      this.#journal.save();
    }
    if (this.#plan.mark === MARK_TO_CHOOSE) this.#mark = this.#link.claimTable(this.#journal);
  }

  /** An IPv6 address cannot be there with two prefixes. */
  #addAddresses(): void {
    const { addAddresses, removeAddresses } = this.#plan.host;
    const bare = (text: string): string => text.replace(/\/.*/, "");
    const inTheWay = removeAddresses.filter((text) =>
      text.includes(":") && addAddresses.some((added) => bare(added) === bare(text))
    );
    this.#link.removeAddresses(inTheWay.map(prefixOf));
    for (const text of addAddresses) this.#link.addAddress(prefixOf(text), text);
  }

  /** Before encrypted packets carry another mark, all that would hold them up or lead them in must know it. */
  #preparePasses(): Change[] {
    const mark = this.#mark;
    if (mark === 0) return [];
    if (this.#present.killSwitch) widenKillSwitch(this.#journal, mark);
    return mark === this.#present.mark ? [] : this.#present.begun.map((family) => this.#full.prepareMove(family, mark));
  }

  /** What a change that failed has left of them. */
  #stalePasses(): Change[] {
    const wanted = this.#target.passes?.map((pass) => JSON.stringify(pass));
    return wanted === undefined ? [] : this.#full.passes().filter((pass) => !wanted.includes(JSON.stringify(pass)));
  }

  async #configure(): Promise<void> {
    const { device, mark } = this.#plan;
    const fwmark = mark === null || mark === 0 ? null : this.#mark;
    const { privateKey, listenPort, peers } = device;
    if (privateKey === null && listenPort === null && fwmark === null && peers.length === 0) return;
    this.#options.check();
    await changeInterface(this.#link.name, { ...device, fwmark });
  }

  #setKillSwitch(): void {
    if (this.#plan.host.killSwitch === true) loadKillSwitch(this.#journal, this.#mark);
    else if (this.#present.killSwitch && this.#target.killSwitch) narrowKillSwitch(this.#journal, this.#mark);
  }

  async #setNameServers(): Promise<void> {
    const { servers, search } = this.#target.applied;
    const former = this.#journal.state.changes.filter(({ kind }) =>
      kind === "resolvconf" || kind === "resolved" || kind === "resolv.conf"
    );
    const warn = (message: string): void => this.#options.warn(message);
    if (servers.length === 0) return await this.#undo(former);
    if (await exchangeNameServers(this.#journal, this.#link.index, { servers, search }, warn)) return;
    await this.#undo(former);
    await setNameServers(this.#journal, this.#link.index, { servers, search }, warn);
  }

  /** Those to the networks of addresses that are still to go can only be added once these are gone. */
  #addRoutes(): void {
    const going = this.#plan.host.removeAddresses.map(prefixOf);
    for (const text of this.#plan.host.addRoutes) {
      const { prefix, table } = parseRouteText(text);
      if (table !== TABLE_MAIN || outsideNetworks(going, [prefix]).length > 0) this.#link.addRoute(prefix, table);
    }
  }

  async #removeRest(): Promise<void> {
    const { host } = this.#plan;
    for (const text of host.removeRoutes) {
      const { prefix, table } = parseRouteText(text);
      this.#link.removeRoute(prefix, table);
    }
    if (host.removeAddresses.length > 0) await this.#removeAddresses();
    for (const family of this.#target.defaults) if (this.#isAddressed(family)) this.#full.guard(family, this.#mark);
    if (host.killSwitch !== false) return;
    await this.#undo(this.#journal.state.changes.filter(({ kind }) => kind === "kill-switch"));
  }

  /** With a family's last address the kernel removes the family's routes as well. */
  async #removeAddresses(): Promise<void> {
    const { addresses, routes, defaults } = this.#target;
    this.#link.removeAddresses(this.#plan.host.removeAddresses.map(prefixOf));
    const left = new Set(this.#link.allAddresses().map(({ address, cidr }) => addressKey({ address, cidr })));
    for (const text of addresses) {
      if (!left.has(addressKey(prefixOf(text)))) this.#link.addAddress(prefixOf(text), text);
    }
    const wanted = routes.map(parseRouteText);
    const tables = [...new Set(wanted.map(({ table }) => table))];
    const present = tables.flatMap((table) => this.#link.routes(table).map((prefix) => routeText({ prefix, table })));
    for (const text of without(routes, present)) this.#addRoute(parseRouteText(text));
    for (const family of defaults) if (!this.#full.isTaken(family)) await this.#full.take(family, this.#mark);
  }

  #addRoute({ prefix, table }: WantedRoute): void {
    this.#link.addRoute(prefix, table);
  }

  /** Whether the addresses of a family that is taken change. */
  #isAddressed(family: Family): boolean {
    const { addAddresses, removeAddresses } = this.#plan.host;
    return [...addAddresses, ...removeAddresses].some((text) => text.includes(":") === (family === 6));
  }

  async #undo(changes: readonly Change[]): Promise<void> {
    if (changes.length === 0 || await undoSome(this.#journal, changes, (message) => this.#options.warn(message))) {
      return;
    }
    throw new HostError(`something of what ${this.#link.name} was before cannot be undone`);
  }

  /** It is written down when the tunnel is released. */
  async #finish(): Promise<void> {
    const { state } = this.#journal;
    const { defaults, killSwitch, isPortChosen, listenPort, applied } = this.#target;
    state.mark = defaults.length > 0 || killSwitch ? this.#mark : 0;
    state.port = !isPortChosen ? 0 : listenPort !== 0 ? listenPort : await this.#chosenPort();
    state.applied = applied;
  }

  async #chosenPort(): Promise<number> {
    const status = await readInterface(this.#link.name);
    wipeStatus(status);
    return status.listenPort;
  }
}

function union(a: readonly string[], b: readonly string[]): string[] {
  return [...new Set([...a, ...b])];
}

function addressKey({ address, cidr }: { readonly address: Uint8Array; readonly cidr: number }): string {
  return `${address.join()}/${cidr}`;
}
