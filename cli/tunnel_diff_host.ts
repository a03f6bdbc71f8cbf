/** What differs around the interface: addresses, routes, rules, MTU, name servers, kill switch. Pure. */
import { type Difference, type HostPlan, MARK_TO_CHOOSE } from "./tunnel_diff.ts";
import type { Family } from "../host/full_tunnel.ts";
import { TABLE_MAIN } from "../host/routing.ts";
import type { Applied } from "../host/state.ts";
import type { Present } from "./tunnel_present.ts";
import type { Target } from "./tunnel_target.ts";
import { parseRouteText } from "./tunnel_wish.ts";

/** @param mark as in a plan */
export function planHost(present: Present, target: Target, mark: number | null, differences: Difference[]): HostPlan {
  const { applied } = present;
  const addresses = planSet("address", present.addresses, applied.addresses, target.addresses, differences);
  const mtu = present.mtu === target.mtu && present.isUp ? null : target.mtu;
  if (present.mtu !== target.mtu) differences.push(change("mtu", `${present.mtu}`, `${target.mtu}`));
  if (!present.isUp) differences.push(change("link", "down", "up"));
  const killSwitch = present.killSwitch === target.killSwitch ? null : target.killSwitch;
  if (killSwitch !== null) differences.push(onOff("kill-switch", killSwitch));
  const [before, after] = [dnsText(applied), dnsText(target.applied)];
  if (before !== after) differences.push(change("dns", before || "none", after || "none"));
  const routes = planSet("route", present.routes, applied.routes, target.routes, differences, shownRoute);
  return {
    addAddresses: addresses.add,
    removeAddresses: addresses.remove,
    addRoutes: routes.add,
    removeRoutes: routes.remove,
    ...planDefaults(present, target, mark, differences),
    mtu,
    killSwitch,
    dns: before !== after,
  };
}

/**
 * What is to be added to a set, and what removed.
 *
 * @param present what is there, whoever put it there
 * @param ours what is written down as ours: nothing else is removed
 */
function planSet(
  what: string,
  present: readonly string[],
  ours: readonly string[],
  wanted: readonly string[],
  differences: Difference[],
  shown: (text: string) => string = (text) => text,
): { readonly add: string[]; readonly remove: string[] } {
  const [there, wish, own] = [new Set(present), new Set(wanted), new Set(ours)];
  const add = wanted.filter((each) => !there.has(each));
  const remove = present.filter((each) => own.has(each) && !wish.has(each));
  for (const each of add) differences.push({ op: "add", what, from: null, to: shown(each) });
  for (const each of remove) differences.push({ op: "remove", what, from: shown(each), to: null });
  return { add, remove };
}

function planDefaults(
  present: Present,
  target: Target,
  mark: number | null,
  differences: Difference[],
): { take: Family[]; move: Family[]; release: Family[] } {
  const take = target.defaults.filter((family) => !present.defaults.includes(family));
  const release = present.begun.filter((family) => !target.defaults.includes(family));
  const stay = target.defaults.filter((family) => present.defaults.includes(family));
  for (const family of take) differences.push({ op: "add", what: "default-route", from: null, to: `IPv${family}` });
  for (const family of release) {
    differences.push({ op: "remove", what: "default-route", from: `IPv${family}`, to: null });
  }
  const isMoved = mark === MARK_TO_CHOOSE || target.fwmark !== present.mark;
  return { take, move: isMoved ? stay : [], release };
}

function shownRoute(text: string): string {
  const { table } = parseRouteText(text);
  return text.replace(/ \d+$/, table === TABLE_MAIN ? "" : ` table ${table}`);
}

/** Search domains alone are not told to anybody. */
function dnsText({ servers, search }: Applied): string {
  return servers.length === 0 ? "" : [...servers, ...search].join(" ");
}

function onOff(what: string, isOn: boolean): Difference {
  return isOn ? { op: "add", what, from: null, to: null } : { op: "remove", what, from: null, to: null };
}

function change(what: string, from: string, to: string): Difference {
  return { op: "change", what, from, to };
}
