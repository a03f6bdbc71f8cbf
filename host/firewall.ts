/**
 * Rules of nftables: the guard against packets for the tunnel's addresses that did not come through it, with the marks
 * that strict reverse-path filtering needs, and the kill switch.
 */
import { ENOENT, SyscallError } from "../ffi/errno.ts";
import { type Netlink, NETLINK_NETFILTER, openNetlink } from "../ffi/netlink.ts";
import {
  countedPackets,
  HOOK_FORWARD,
  HOOK_OUTPUT,
  HOOK_POSTROUTING,
  HOOK_PREROUTING,
  listTables,
  NFPROTO_INET,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  type NftTable,
  NftTransaction,
  SET_OF_INTERFACES,
  SET_OF_MARKS,
} from "../ffi/nftables.ts";
import {
  accept,
  count,
  destined,
  drop,
  type Expression,
  fromAnyOf,
  icmpv6Type,
  interfaceNameKey,
  isUdp,
  marked,
  markedAnyOf,
  markKey,
  notFrom,
  notFromThisHost,
  restoreMark,
  saveMark,
  to,
  toAnyOf,
  udpPorts,
} from "../ffi/nft_expression.ts";
import { HostError } from "./host_error.ts";
import { type Change, type HostState, type Journal, type StateStore, unlessAbsent } from "./state.ts";

const PRIORITY_RAW = -300;
const PRIORITY_MANGLE = -150;
/** Behind everybody's filters: what they drop we need not see. */
const PRIORITY_KILL_SWITCH = 10;

/** One for all interfaces: what one lets through the other must not drop. */
const KILL_SWITCH: NftTable = { family: NFPROTO_INET, name: "culvert-kill-switch" };
const MARKS = "marks";
const TUNNELS = "tunnels";

const DHCP_CLIENT = 68;
const DHCP_SERVER = 67;
const DHCPV6_CLIENT = 546;
const DHCPV6_SERVER = 547;
/** Router solicitation, neighbour solicitation and advertisement. Spec: RFC 4861 §4. */
const NEIGHBOUR_DISCOVERY = [133, 135, 136];

/** Name of the tables that `wg-quick` makes, and others know it by. */
export function guardTable(interfaceName: string): string {
  return `wg-quick-${interfaceName}`;
}

/**
 * Loads the guard of one family, at once in the place of a former one.
 *
 * - Packets for one of `addresses` that come in elsewhere are dropped unless this host sent them: whoever shares a
 *   network with us learns nothing of the tunnel by trying (CVE-2019-14899).
 * - The answers to our encrypted packets get those packets' mark, so that strict reverse-path filtering sees them come
 *   by the way they would be sent.
 *
 * @throws {HostError} without nftables in the kernel
 */
export function loadGuard(journal: Journal, family: 4 | 6, addresses: readonly Uint8Array[], mark: number): void {
  const { name } = journal.state;
  const table = tableOf(family, guardTable(name));
  // Adding a table that is there does nothing, and one that is not there cannot be deleted.
  const transaction = new NftTransaction()
    .addTable(table)
    .deleteTable(table)
    .addTable(table)
    .addChain(table, "preraw", { hook: HOOK_PREROUTING, priority: PRIORITY_RAW, policy: "accept" })
    .addChain(table, "premangle", { hook: HOOK_PREROUTING, priority: PRIORITY_MANGLE, policy: "accept" })
    .addChain(table, "postmangle", { hook: HOOK_POSTROUTING, priority: PRIORITY_MANGLE, policy: "accept" });
  for (const address of addresses) {
    if (address.length !== (family === 4 ? 4 : 16)) continue;
    transaction.addRule(table, "preraw", [...notFrom(name), ...destined(address), ...notFromThisHost(), ...drop()]);
  }
  transaction
    .addRule(table, "postmangle", [...isUdp(), ...marked(mark), ...saveMark()])
    .addRule(table, "premangle", [...isUdp(), ...restoreMark()]);
  journal.change(
    { kind: "nft-table", family, table: table.name },
    () => withNftables((netlink) => transaction.commit(netlink)),
  );
}

/** Removes a table with all that is in it, if it is there. */
export function removeTable(family: 4 | 6, name: string): void {
  withNftables((netlink) =>
    unlessAbsent(() => new NftTransaction().deleteTable(tableOf(family, name)).commit(netlink))
  );
}

/** Whether the guard of an interface is loaded. */
export function hasGuard(interfaceName: string, family: 4 | 6): boolean {
  return withNftables((netlink) => listTables(netlink, tableOf(family, "").family)).includes(guardTable(interfaceName));
}

/** Whether any other tool's or interface's guard is loaded for IPv4. */
export function hasOtherGuard(interfaceName: string): boolean {
  const own = guardTable(interfaceName);
  return withNftables((netlink) => listTables(netlink, NFPROTO_IPV4))
    .some((name) => name.startsWith("wg-quick-") && name !== own);
}

/**
 * From now on nothing leaves this host but through a tunnel or with a tunnel's mark, in both families, whatever its
 * routes say, and nothing is forwarded past the tunnels. Let through are the loopback interface, and what keeps the
 * network outside going: DHCP and IPv6 neighbour discovery. DNS has no exception.
 *
 * @throws {HostError} without nftables in the kernel
 */
export function loadKillSwitch(journal: Journal, mark: number): void {
  const { store, state } = journal;
  store.locked(() => {
    const commit = (): void => commitKillSwitch([...killSwitches(store.others(state)), { name: state.name, mark }]);
    const change = { kind: "kill-switch", mark } as const;
    const former = state.changes.find(({ kind }) => kind === "kill-switch");
    if (former === undefined) return journal.change(change, commit);
    journal.amend(former, change);
    commit();
  });
}

/** Whether the interface has the kill switch, and it is still loaded. */
export function hasKillSwitch({ changes }: HostState): boolean {
  if (!changes.some(({ kind }) => kind === "kill-switch")) return false;
  return withNftables((netlink) => listTables(netlink, KILL_SWITCH.family)).includes(KILL_SWITCH.name);
}

/** Lets a further mark of the same interface through, while it changes from one to the other. */
export function widenKillSwitch(journal: Journal, mark: number): void {
  const { store, state } = journal;
  if (state.changes.some((change) => change.kind === "kill-switch" && change.mark === mark)) return;
  const commit = (): void => commitKillSwitch(killSwitches([...store.others(state), state]));
  store.locked(() => journal.change({ kind: "kill-switch", mark }, commit));
}

/** Lets no mark of the interface through any more but this one. */
export function narrowKillSwitch(journal: Journal, mark: number): void {
  const { store, state } = journal;
  const isOther = (change: Change): boolean => change.kind === "kill-switch" && change.mark !== mark;
  if (!state.changes.some(isOther)) return;
  store.locked(() => {
    state.changes = state.changes.filter((change) => !isOther(change));
    commitKillSwitch(killSwitches([...store.others(state), state]));
    journal.save();
  });
}

/** Lifts what `state` has of the kill switch: its exceptions if another interface needs the rest, else all of it. */
export function removeKillSwitch(store: StateStore, state: HostState): void {
  commitKillSwitch(killSwitches(store.others(state)));
}

/** How many packets of this host the kill switch has held back since it was loaded last; null if it is not loaded. */
export function heldBackPackets(): number | null {
  return withNftables((netlink) => countedPackets(netlink, KILL_SWITCH, "output"));
}

/** Whose packets the kill switch lets through. */
interface Exception {
  readonly name: string;
  readonly mark: number;
}

function killSwitches(states: readonly HostState[]): Exception[] {
  return states.flatMap(({ name, changes }) =>
    changes.flatMap((change) => change.kind === "kill-switch" ? [{ name, mark: change.mark }] : [])
  );
}

/** Puts a new kill switch in the place of whatever is there, at once; none without exceptions. */
function commitKillSwitch(exceptions: readonly Exception[]): void {
  // As above: whatever was there is gone, whether or not something was.
  const transaction = new NftTransaction().addTable(KILL_SWITCH).deleteTable(KILL_SWITCH);
  if (exceptions.length > 0) addKillSwitch(transaction);
  for (const mark of new Set(exceptions.map(({ mark }) => mark))) {
    transaction.addElement(KILL_SWITCH, MARKS, markKey(mark));
  }
  for (const { name } of exceptions) transaction.addElement(KILL_SWITCH, TUNNELS, interfaceNameKey(name));
  withNftables((netlink) => transaction.commit(netlink));
}

function addKillSwitch(transaction: NftTransaction): void {
  const output = (...rule: Expression[][]): void => {
    transaction.addRule(KILL_SWITCH, "output", rule.flat());
  };
  transaction.addTable(KILL_SWITCH)
    .addSet(KILL_SWITCH, MARKS, SET_OF_MARKS)
    .addSet(KILL_SWITCH, TUNNELS, SET_OF_INTERFACES)
    .addChain(KILL_SWITCH, "output", { hook: HOOK_OUTPUT, priority: PRIORITY_KILL_SWITCH, policy: "drop" })
    .addChain(KILL_SWITCH, "forward", { hook: HOOK_FORWARD, priority: PRIORITY_KILL_SWITCH, policy: "drop" });
  output(to("lo"), accept());
  output(toAnyOf(TUNNELS), accept());
  output(markedAnyOf(MARKS), accept());
  output(udpPorts(4, DHCP_CLIENT, DHCP_SERVER), accept());
  output(udpPorts(6, DHCPV6_CLIENT, DHCPV6_SERVER), accept());
  for (const type of NEIGHBOUR_DISCOVERY) output(icmpv6Type(type), accept());
  output(count(), drop());
  transaction
    .addRule(KILL_SWITCH, "forward", [...toAnyOf(TUNNELS), ...accept()])
    .addRule(KILL_SWITCH, "forward", [...fromAnyOf(TUNNELS), ...accept()])
    .addRule(KILL_SWITCH, "forward", [...count(), ...drop()]);
}

function tableOf(family: 4 | 6, name: string): NftTable {
  return { family: family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6, name };
}

function withNftables<T>(f: (netlink: Netlink) => T): T {
  let netlink: Netlink;
  try {
    netlink = openNetlink(NETLINK_NETFILTER);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    throw new HostError(`cannot reach the kernel's nftables (${error.message}); load them with: modprobe nf_tables`);
  }
  try {
    return f(netlink);
  } catch (error) {
    if (!(error instanceof SyscallError) || error.errno === ENOENT) throw error;
    throw new HostError(`cannot change the firewall: ${error.message}`);
  } finally {
    netlink.close();
  }
}
