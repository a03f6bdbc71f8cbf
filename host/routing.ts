/**
 * Where packets go: addresses and routes of the interface, and for a tunnel that takes everything a routing table of
 * its own with the rules that lead there.
 *
 * The rules, in the order they are looked up: whatever the main table knows better than by a default route goes its
 * way; what does not carry our mark goes to our table, whose default route is the tunnel; our own encrypted packets,
 * which carry it, fall through to the main table.
 */
import { addAddress } from "../ffi/address.ts";
import { EEXIST, SyscallError } from "../ffi/errno.ts";
import { readTextFile } from "../ffi/file.ts";
import { getLink } from "../ffi/link.ts";
import { type Netlink, openNetlink } from "../ffi/netlink.ts";
import { addRoute, listRoutes, lookUpRoute, type Route, ROUTE_UNICAST, TABLE_MAIN } from "../ffi/route.ts";
import { addRule, listRules, type Rule } from "../ffi/rule.ts";
import { formatAddress } from "../tunnel/address_text.ts";
import { HostError } from "./host_error.ts";
import type { Change, Journal } from "./state.ts";

/** Where the search for a free table begins, as in wg-quick. */
const FIRST_TABLE = 51820;

const DEFAULT_OUTER_MTU = 1500;
/** IPv6, UDP, and what WireGuard adds to a packet. */
const TUNNEL_OVERHEAD = 80;

const TABLE_NAMES: Readonly<Record<string, number>> = { default: 253, main: 254, local: 255 };
const TABLE_FILES = ["/etc/iproute2/rt_tables", "/usr/share/iproute2/rt_tables", "/usr/lib/iproute2/rt_tables"];
const FAMILIES = [4, 6] as const;

export { TABLE_MAIN } from "../ffi/route.ts";

/** A prefix: 4 or 16 bytes and how many bits of them count. */
export interface Prefix {
  readonly address: Uint8Array;
  readonly cidr: number;
}

/** Runs `f` with a netlink socket of the calling thread's network namespace. */
export function withNetlink<T>(f: (netlink: Netlink) => T): T {
  const netlink = openNetlink();
  try {
    return f(netlink);
  } finally {
    netlink.close();
  }
}

/** Gives the interface an address. @throws {HostError} */
export function assignAddress(netlink: Netlink, index: number, { address, cidr }: Prefix, text: string): void {
  try {
    addAddress(netlink, index, address, cidr);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    const remedy = address.length === 16 ? "; is IPv6 turned off on this host?" : "";
    throw new HostError(`cannot give the interface the address ${text}: ${error.message}${remedy}`);
  }
}

/**
 * The MTU for a tunnel to these endpoints: the smallest that a packet of the host to one of them meets first, less what
 * the tunnel adds.
 *
 * @param endpoints addresses of 4 or 16 bytes; without a route to any, the default route decides
 * @param mark of the packets to them, 0 = none
 */
export function discoverMtu(netlink: Netlink, endpoints: readonly Uint8Array[], mark = 0): number {
  let mtu = 0;
  for (const endpoint of endpoints) {
    const found = mtuTowards(netlink, endpoint, mark);
    if (found > 0 && (mtu === 0 || found < mtu)) mtu = found;
  }
  if (mtu === 0) {
    const route = listRoutes(netlink, 4, TABLE_MAIN).find(({ cidr, type }) => cidr === 0 && type === ROUTE_UNICAST);
    if (route !== undefined) mtu = mtuOf(netlink, route);
  }
  return (mtu === 0 ? DEFAULT_OUTER_MTU : mtu) - TUNNEL_OVERHEAD;
}

/** The number of a routing table by its number or name. @throws {HostError} */
export function tableNumber(text: string): number {
  if (/^(0x[0-9a-f]+|[0-9]+)$/i.test(text)) {
    const number = Number(text);
    if (number > 0 && number <= 0xffffffff) return number;
  }
  const number = TABLE_NAMES[text] ?? namedTables().get(text);
  if (number === undefined) throw new HostError(`there is no routing table "${text}"; give its number`);
  return number;
}

/** Adds a route through the interface. @throws {HostError} also if the table has it already */
export function assignRoute(netlink: Netlink, index: number, { address, cidr }: Prefix, table: number): void {
  try {
    addRoute(netlink, address, cidr, index, table);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    const remedy = error.errno === EEXIST ? "; another interface has that route" : "";
    throw new HostError(`cannot add the route ${formatAddress(address)}/${cidr}: ${error.message}${remedy}`);
  }
}

/** Whether `route` leads all of `prefix`. */
export function isCovered(
  { address, cidr }: Prefix,
  route: { readonly destination: Uint8Array; readonly cidr: number },
): boolean {
  return address.length === route.destination.length && route.cidr <= cidr &&
    isInside(address, route.destination, route.cidr);
}

/**
 * Claims a number that is free as a mark and as a routing table.
 *
 * @returns it, also found in the state
 */
export function claimTable(journal: Journal, netlink: Netlink): number {
  const { store, state } = journal;
  return store.locked(() => {
    const claimed = store.others(state).map(({ mark }) => mark);
    let table = FIRST_TABLE;
    while (claimed.includes(table) || FAMILIES.some((family) => listRoutes(netlink, family, table).length > 0)) table++;
    state.mark = table;
    journal.save();
    return table;
  });
}

/**
 * Leads all packets of a family through the interface, except those with the mark `table`.
 *
 * The encrypted packets of full tunnels that are up already would enter this one, and ours theirs, round and round: so
 * what carries the mark of such a tunnel is led past this one.
 *
 * The rules lead nowhere until the table has its route, which comes last: all packets change their way at once.
 */
export function takeDefault(journal: Journal, netlink: Netlink, index: number, prefix: Prefix, table: number): void {
  const family = prefix.address.length === 4 ? 4 : 6;
  journal.store.locked(() => {
    const others = fullTunnelMarks(netlink, family).filter((mark) => mark !== table);
    addRuleOnTop(journal, netlink, family, { table, fwmark: table, isInverted: true, suppressPrefixLength: -1 });
    addRuleOnTop(journal, netlink, family, {
      table: TABLE_MAIN,
      fwmark: 0,
      isInverted: false,
      suppressPrefixLength: 0,
    });
    for (const fwmark of others) leadPast(journal, netlink, family, fwmark);
  });
  assignRoute(netlink, index, prefix, table);
}

/** Has what carries a mark go by the main table, whatever other rules say. @returns the change that this is */
export function leadPast(journal: Journal, netlink: Netlink, family: 4 | 6, fwmark: number): Change {
  return addRuleOnTop(journal, netlink, family, {
    table: TABLE_MAIN,
    fwmark,
    isInverted: false,
    suppressPrefixLength: -1,
  });
}

function addRuleOnTop(journal: Journal, netlink: Netlink, family: 4 | 6, rule: Omit<Rule, "priority">): Change {
  const change = { kind: "rule", family, rule: { ...rule, priority: nextPriority(netlink, family) } } as const;
  journal.change(change, () => addRule(netlink, family, change.rule));
  return change;
}

/** Marks of the tunnels, whosever, that take all packets of a family but their own. */
function fullTunnelMarks(netlink: Netlink, family: 4 | 6): number[] {
  const marks = listRules(netlink, family)
    .filter((rule) => rule.isInverted && !rule.isOther && rule.fwmark !== 0 && rule.table === rule.fwmark)
    .map(({ fwmark }) => fwmark);
  return [...new Set(marks)];
}

/** What the kernel would choose: before all rules but the first, which is that for the host's own addresses. */
function nextPriority(netlink: Netlink, family: 4 | 6): number {
  const second = listRules(netlink, family)[1];
  return second === undefined || second.priority === 0 ? 0 : second.priority - 1;
}

function mtuTowards(netlink: Netlink, address: Uint8Array, mark: number): number {
  try {
    return mtuOf(netlink, lookUpRoute(netlink, address, mark));
  } catch (error) {
    // There is no way to that endpoint now; another may tell.
    if (error instanceof SyscallError) return 0;
    throw error;
  }
}

function mtuOf(netlink: Netlink, route: Route): number {
  if (route.mtu > 0) return route.mtu;
  return route.index === 0 ? 0 : getLink(netlink, route.index)?.mtu ?? 0;
}

function isInside(address: Uint8Array, network: Uint8Array, cidr: number): boolean {
  const whole = cidr >> 3;
  for (let i = 0; i < whole; i++) if (address[i] !== network[i]) return false;
  const rest = cidr & 7;
  return rest === 0 || ((address[whole] ^ network[whole]) >> (8 - rest)) === 0;
}

/** Names that the administrator gave to tables: lines of a number and a name. */
function namedTables(): Map<string, number> {
  const names = new Map<string, number>();
  for (const file of TABLE_FILES) {
    let text: string;
    try {
      text = readTextFile(file);
    } catch (error) {
      if (error instanceof SyscallError) continue;
      throw error;
    }
    for (const [, number, name] of text.matchAll(/^\s*(\d+)\s+([^\s#]+)/gm)) {
      if (!names.has(name)) names.set(name, Number(number));
    }
  }
  return names;
}
