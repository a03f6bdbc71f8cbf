/** Kernel settings under `/proc/sys`, of the calling thread's network namespace. */
import { SyscallError } from "../ffi/errno.ts";
import { readTextFile, writeFile } from "../ffi/file.ts";
import { hasOtherGuard } from "./firewall.ts";
import type { HostState, Journal, StateStore } from "./state.ts";

/** Reverse-path filtering takes a packet's mark into account. */
export const SRC_VALID_MARK = "net/ipv4/conf/all/src_valid_mark";

/**
 * Gives a setting the value that the interface needs.
 *
 * @param key path under `/proc/sys`
 * @param warn told if the value is another and cannot be changed: containers often have `/proc/sys` read-only
 */
export function requireSysctl(journal: Journal, key: string, value: string, warn: (message: string) => void): void {
  const { store } = journal;
  store.locked(() => {
    const before = readSysctl(key);
    if (before === null) return warn(`cannot read ${key}`);
    // Also what is right already is written down: an interface that goes first must leave it to us.
    journal.change({ kind: "sysctl", key, before, after: value }, () => {
      if (before === value) return;
      const failure = tryWrite(key, value);
      if (failure !== "") warn(`cannot set ${key} to ${value}: ${failure}`);
    });
  });
}

/**
 * Gives a setting back the value it had before the interface came, unless another interface still needs it: then that
 * one will.
 */
export function restoreSysctl(
  store: StateStore,
  state: HostState,
  change: { readonly key: string; readonly before: string; readonly after: string },
): void {
  for (const other of store.others(state)) {
    const at = other.changes.findIndex((theirs) => theirs.kind === "sysctl" && theirs.key === change.key);
    const theirs = other.changes[at];
    if (theirs === undefined || theirs.kind !== "sysctl") continue;
    // The earlier of two interfaces found the original value; the later one found what the earlier had made of it.
    if (theirs.before === change.after) {
      other.changes[at] = { ...theirs, before: change.before };
      store.save(other);
    }
    return;
  }
  if (change.before === change.after || readSysctl(change.key) !== change.after) return;
  // A tunnel that wg-quick brought up leaves no state, but it needs the setting as well.
  if (change.key === SRC_VALID_MARK && hasOtherGuard(state.name)) return;
  const failure = tryWrite(change.key, change.before);
  if (failure !== "") throw new Error(`cannot set ${change.key} to ${change.before}: ${failure}`);
}

/** The value, null if there is no such setting. */
export function readSysctl(key: string): string | null {
  try {
    return readTextFile(`/proc/sys/${key}`).trim();
  } catch (error) {
    if (error instanceof SyscallError) return null;
    throw error;
  }
}

/** Runs `f` while a setting has a value, if it can be changed. */
export function withSysctl<T>(key: string, value: string, f: () => T): T {
  const before = readSysctl(key);
  const isChanged = before !== null && before !== value && tryWrite(key, value) === "";
  try {
    return f();
  } finally {
    if (isChanged) tryWrite(key, before);
  }
}

function tryWrite(key: string, value: string): string {
  try {
    writeFile(`/proc/sys/${key}`, `${value}\n`);
    return "";
  } catch (error) {
    if (error instanceof SyscallError) return error.message;
    throw error;
  }
}
