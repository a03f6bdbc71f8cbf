/** The process itself: session, umask, identity, signals, replacement. */
import { checked } from "./errno.ts";
import { libc } from "./libc.ts";
import { addressOf, cString, writePointer } from "./memory.ts";

export const SIGHUP = 1;
export const SIGINT = 2;
export const SIGKILL = 9;
export const SIGTERM = 15;

const PR_SET_DUMPABLE = 4;
const PR_SET_NAME = 15;
const PR_SET_NO_NEW_PRIVS = 38;

/** Makes this process the leader of a new session without a terminal. EPERM if it leads a process group already. */
export function setsid(): void {
  checked("setsid", libc().setsid());
}

/** Sets the file mode creation mask of the whole process. @returns the one before */
export function umask(mask: number): number {
  return libc().umask(mask);
}

/** Sends a signal; 0 only asks whether the process exists (ESRCH, EPERM). */
export function kill(pid: number, signal: number): void {
  checked("kill", libc().kill(pid, signal));
}

export function getpid(): number {
  return libc().getpid();
}

export function getppid(): number {
  return libc().getppid();
}

/** The effective user; 0 is root. */
export function geteuid(): number {
  return libc().geteuid();
}

/** Whether a core may be dumped and other processes of the same user may trace this one and read its memory. */
export function setDumpable(on: boolean): void {
  checked("prctl PR_SET_DUMPABLE", libc().prctl(PR_SET_DUMPABLE, on ? 1n : 0n, 0n, 0n, 0n));
}

/** From now on no exec can gain privileges. Cannot be undone. */
export function setNoNewPrivileges(): void {
  checked("prctl PR_SET_NO_NEW_PRIVS", libc().prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n));
}

/** The calling thread's name in `ps` and `/proc`, at most 15 bytes of it. */
export function setThreadName(name: string): void {
  const text = cString(name);
  checked("prctl PR_SET_NAME", libc().prctl(PR_SET_NAME, addressOf(text), 0n, 0n, 0n));
}

/**
 * Replaces this process by another program. Descriptors that are not close-on-exec stay open; threads end.
 *
 * @param args argv, the program's own name first
 * @param environment `NAME=value` each
 * @returns only by throwing a SyscallError
 */
export function execve(path: string, args: readonly string[], environment: readonly string[]): never {
  const argv = stringArray(args);
  const envp = stringArray(environment);
  checked(`execve ${path}`, libc().execve(cString(path), argv.pointers, envp.pointers));
  throw new Error(`Cannot happen: execve ${path} returned`);
}

/** A NULL-terminated array of C strings; `texts` keeps alive what `pointers` points at. */
function stringArray(list: readonly string[]): { pointers: Uint8Array<ArrayBuffer>; texts: Uint8Array[] } {
  const texts = list.map((text) => cString(text));
  const pointers = new Uint8Array(8 * (texts.length + 1));
  const view = new DataView(pointers.buffer);
  texts.forEach((text, i) => writePointer(view, 8 * i, addressOf(text)));
  return { pointers, texts };
}
