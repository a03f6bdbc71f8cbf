/** Undoing what was changed for an interface: exactly that, in reverse order, and as often as it takes. */
import { EAFNOSUPPORT, EOPNOTSUPP, ESRCH } from "../ffi/errno.ts";
import { deleteLink, getLink } from "../ffi/link.ts";
import { deleteRule } from "../ffi/rule.ts";
import { removeResolvconfEntry, restoreResolvConf, revertResolved } from "./dns.ts";
import { removeKillSwitch, removeTable } from "./firewall.ts";
import { withNetlink } from "./routing.ts";
import {
  type Change,
  currentPlace,
  type HostState,
  isSamePlace,
  isSameThing,
  type Journal,
  type StateStore,
  unlessAbsent,
} from "./state.ts";
import { restoreSysctl } from "./sysctl.ts";

export interface UndoOptions {
  /** The kill switch stays, for a start anew. */
  readonly keepKillSwitch: boolean;
  warn(message: string): void;
}

/**
 * Undoes all changes of a state and forgets it. What fails is told and stays written down.
 *
 * @param state brought up to date with what is left
 * @returns whether nothing is left but a kill switch that is to be kept
 */
export async function undoChanges(store: StateStore, state: HostState, options: UndoOptions): Promise<boolean> {
  let isComplete = true;
  for (const change of inOrder(state)) {
    if (options.keepKillSwitch && change.kind === "kill-switch") continue;
    if (!await attempt(store, state, change, options)) isComplete = false;
  }
  store.locked(() => {
    state.changes = store.load(state.name)?.changes ?? [];
    if (state.changes.length === 0) store.remove(state.name);
  });
  return isComplete;
}

/**
 * Undoes some changes of an interface that stays, the last of them first. What fails is told and stays written down.
 *
 * @returns whether nothing failed
 */
export async function undoSome(
  { store, state }: Journal,
  changes: readonly Change[],
  warn: UndoOptions["warn"],
): Promise<boolean> {
  let isComplete = true;
  for (const change of changes.toReversed()) {
    if (!await attempt(store, state, change, { keepKillSwitch: false, warn })) isComplete = false;
  }
  state.changes = store.load(state.name)?.changes ?? [];
  return isComplete;
}

/** The last change first; but until the end of all the kill switch holds. */
function inOrder(state: HostState): Change[] {
  const changes = [...state.changes].reverse();
  return [
    ...changes.filter(({ kind }) => kind !== "kill-switch"),
    ...changes.filter(({ kind }) => kind === "kill-switch"),
  ];
}

async function attempt(store: StateStore, state: HostState, change: Change, options: UndoOptions): Promise<boolean> {
  try {
    // What the kernel knew is gone or out of reach; files are not.
    if (change.kind === "resolv.conf" || isSamePlace(currentPlace(), state.place)) {
      if (isShared(change)) store.locked(() => undoShared(store, state, change, options.warn));
      else await undo(state, change);
    }
    store.locked(() => strike(store, state, change));
    return true;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    options.warn(`cannot undo ${describe(change)}: ${error.message}`);
    return false;
  }
}

/** What more than one interface may have changed. */
type SharedChange = Change & { kind: "kill-switch" | "sysctl" | "resolv.conf" };

function isShared(change: Change): change is SharedChange {
  return change.kind === "kill-switch" || change.kind === "sysctl" || change.kind === "resolv.conf";
}

/** In one piece with striking it out, so that no other interface leaves to us what we have restored already. */
function undoShared(store: StateStore, state: HostState, change: SharedChange, warn: UndoOptions["warn"]): void {
  const written = store.load(state.name)?.changes.find((each) => isSameThing(each, change)) ?? change;
  if (written.kind === "kill-switch") removeKillSwitch(store, state);
  if (written.kind === "sysctl") restoreSysctl(store, state, written);
  if (written.kind === "resolv.conf" && !restoreResolvConf(store, state, written)) {
    warn(`${written.path} was changed by another program since; it is left as it is`);
  }
  strike(store, state, change);
}

/** Strikes a change out of what is written down. */
function strike(store: StateStore, state: HostState, change: Change): void {
  const written = store.load(state.name);
  if (written === null) return;
  store.save({ ...written, changes: written.changes.filter((each) => !isSameThing(each, change)) });
}

async function undo(state: HostState, change: Change): Promise<void> {
  switch (change.kind) {
    case "link":
      return removeLink(state.name, change.index);
    case "rule":
      return withNetlink((netlink) =>
        unlessAbsent(() => deleteRule(netlink, change.family, change.rule), ESRCH, EAFNOSUPPORT, EOPNOTSUPP)
      );
    case "nft-table":
      return removeTable(change.family, change.table);
    case "resolvconf":
      return await removeResolvconfEntry(change);
    case "resolved":
      return await revertResolved(change.index);
  }
}

/** An interface of the same name may be somebody else's by now. */
function removeLink(name: string, index: number): void {
  withNetlink((netlink) => {
    const link = getLink(netlink, name);
    if (link !== null && (index === 0 || link.index === index)) deleteLink(netlink, link.index);
  });
}

function describe(change: Change): string {
  switch (change.kind) {
    case "link":
      return "the interface";
    case "rule":
      return `the IPv${change.family} rule ${change.rule.priority}`;
    case "nft-table":
      return `the nftables table ${change.table}`;
    case "kill-switch":
      return "the kill switch";
    case "sysctl":
      return change.key;
    case "resolvconf":
      return `${change.program} -a ${change.entry}`;
    case "resolved":
      return "the settings of systemd-resolved";
    case "resolv.conf":
      return change.path;
  }
}
