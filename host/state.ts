/**
 * What was changed on the host for an interface, in a file that outlives the program: `/run/culvert/NAME.json`. A change
 * is written down before it is made, so that whatever happens afterwards, it can be undone, and nothing else is.
 */
import { ENOENT, SyscallError } from "../ffi/errno.ts";
import { readTextFile } from "../ffi/file.ts";
import type { Rule } from "../ffi/rule.ts";
import { HostError } from "./host_error.ts";
import { readIfThere, removeIfThere, replacePrivately } from "./private_file.ts";
import { trialPath } from "./trial.ts";

export const STATE_DIRECTORY = "/run/culvert";

const SUFFIX = ".json";
const LOCK_FILE = "lock";
/** This program reads no other. */
const VERSION = 1;

/** A file as it was. */
export type SavedFile =
  | { readonly kind: "absent" }
  | { readonly kind: "link"; readonly target: string }
  /** @property content base64 */
  | { readonly kind: "file"; readonly content: string };

/** One thing that was changed. */
export type Change =
  /**
   * The interface, and with it its addresses and routes.
   *
   * @property index 0 until it is known
   * @property isKernel the kernel's own WireGuard interface, which no process serves
   */
  | { readonly kind: "link"; readonly index: number; readonly isKernel?: true }
  | { readonly kind: "rule"; readonly family: 4 | 6; readonly rule: Rule }
  | { readonly kind: "nft-table"; readonly family: 4 | 6; readonly table: string }
  | { readonly kind: "kill-switch"; readonly mark: number }
  /** `after` is what we need; it may have been so before. */
  | { readonly kind: "sysctl"; readonly key: string; readonly before: string; readonly after: string }
  | { readonly kind: "resolvconf"; readonly program: string; readonly entry: string }
  | { readonly kind: "resolved"; readonly index: number }
  /** @property after base64 */
  | { readonly kind: "resolv.conf"; readonly path: string; readonly before: SavedFile; readonly after: string };

/** Everything that was changed for one interface. */
export interface HostState {
  readonly version: typeof VERSION;
  readonly name: string;
  /** The boot and the network namespace that the changes were made in. */
  readonly place: Place;
  /** Path of the configuration file, absolute. */
  readonly file: string;
  /** The routing table and mark that this interface claims; 0 for none. */
  mark: number;
  /** Numeric endpoints by what the file gives, for a start behind our own kill switch, which lets no query out. */
  endpoints: Record<string, string>;
  /** The port that the system chose, so that `save` does not take it for the operator's wish; 0 if unknown. */
  port: number;
  /** What of the file is applied; null until the interface is up. */
  applied: Applied | null;
  /** Who is bringing the interface up or changing it right now, null if nobody is. */
  worker: Worker | null;
  /** In the order they were made. */
  changes: Change[];
}

/** What of a file is applied, as far as neither the interface nor `changes` tells. */
export interface Applied {
  /** The mark that the file names; 0 if it names none, and a mark was chosen where one is needed. */
  readonly fwmark: number;
  /** The MTU that was found, which holds until the endpoints change; 0 if the file gives one. */
  readonly mtu: number;
  /** The kill switch was asked for at the command line. */
  readonly isKillSwitchForced: boolean;
  /** Endpoints as the file spells them, by public key in base64. */
  readonly endpoints: Readonly<Record<string, string>>;
  /** `address/cidr` of what we gave the interface; whatever else it has is somebody else's. */
  readonly addresses: readonly string[];
  /** `address/cidr table` of the routes that we added; without those of a table of our own, which `changes` imply. */
  readonly routes: readonly string[];
  readonly servers: readonly string[];
  readonly search: readonly string[];
  /** Hashes of the hooks that the interface came up with, by their key in the file. */
  readonly hooks: Readonly<Record<string, string>>;
}

/** A process, told from another that got its number later. */
export interface Worker {
  readonly pid: number;
  /** Clock ticks since the boot. */
  readonly started: string;
}

export interface Place {
  readonly boot: string;
  readonly namespace: number;
}

/** Where the calling thread is. */
export function currentPlace(): Place {
  const { ino } = Deno.statSync("/proc/thread-self/ns/net");
  return { boot: readTextFile("/proc/sys/kernel/random/boot_id").trim(), namespace: ino ?? 0 };
}

export function isSamePlace(a: Place, b: Place): boolean {
  return a.boot === b.boot && a.namespace === b.namespace;
}

/** Whether the interface is the kernel's own. */
export function isKernelState({ changes }: HostState): boolean {
  return changes.some((change) => change.kind === "link" && change.isKernel === true);
}

/** Whether a process is still at work on the state. */
export function isBusy({ place, worker }: HostState): boolean {
  return worker !== null && place.boot === currentPlace().boot && isAlive(worker);
}

/** This process, for others to see whether it still runs. */
export function thisProcess(): Worker {
  return { pid: Deno.pid, started: startOf(Deno.pid) };
}

/** Whether a process of this boot still runs. */
export function isAlive({ pid, started }: Worker): boolean {
  return started !== "" && startOf(pid) === started;
}

/** The states in one directory. */
export class StateStore {
  readonly directory: string;
  #isLocked = false;

  constructor(directory: string = STATE_DIRECTORY) {
    this.directory = directory;
  }

  /** A state without changes; it is not written yet. */
  create(name: string, file: string): HostState {
    return {
      version: VERSION,
      name,
      place: currentPlace(),
      file,
      mark: 0,
      endpoints: {},
      port: 0,
      applied: null,
      worker: thisProcess(),
      changes: [],
    };
  }

  /** The state of an interface, null if there is none. @throws {HostError} if it cannot be read */
  load(name: string): HostState | null {
    const text = readIfThere(this.#path(name));
    return text === null ? null : this.#parse(name, text);
  }

  /** Writes a state; a reader sees the former one or this one. */
  save(state: HostState): void {
    this.makeDirectory();
    replacePrivately(this.#path(state.name), state);
  }

  /** With a change that waits to be confirmed: nothing is left that it could be taken back from. */
  remove(name: string): void {
    removeIfThere(this.#path(name));
    removeIfThere(trialPath(this.directory, name));
  }

  /** Names of all interfaces with a state, in alphabetical order. */
  names(): string[] {
    try {
      return [...Deno.readDirSync(this.directory)].map(({ name }) => name)
        .filter((name) => name.endsWith(SUFFIX)).map((name) => name.slice(0, -SUFFIX.length)).sort();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  /** States of other interfaces in the same place. */
  others(state: HostState): HostState[] {
    return this.names().filter((name) => name !== state.name)
      .map((name) => this.load(name))
      .filter((other) => other !== null && isSamePlace(other.place, state.place)) as HostState[];
  }

  /** Runs `f` while no other process of culvert does the same. */
  locked<T>(f: () => T): T {
    if (this.#isLocked) return f();
    this.makeDirectory();
    const file = Deno.openSync(`${this.directory}/${LOCK_FILE}`, { write: true, create: true, mode: 0o600 });
    try {
      file.lockSync(true);
      this.#isLocked = true;
      return f();
    } finally {
      this.#isLocked = false;
      // Closing releases the lock.
      file.close();
    }
  }

  makeDirectory(): void {
    Deno.mkdirSync(this.directory, { recursive: true, mode: 0o700 });
  }

  #path(name: string): string {
    return `${this.directory}/${name}${SUFFIX}`;
  }

  #parse(name: string, text: string): HostState {
    const path = this.#path(name);
    let state: HostState;
    try {
      state = JSON.parse(text);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new HostError(`${path} is damaged; undo by hand what it says, then remove it`);
    }
    if (state.version === VERSION && state.name === name && Array.isArray(state.changes)) return state;
    throw new HostError(`${path} was written by another version of culvert; take the interface down with that one`);
  }
}

/** A state that is being added to. */
export class Journal {
  readonly store: StateStore;
  readonly state: HostState;

  constructor(store: StateStore, state: HostState) {
    this.store = store;
    this.state = state;
  }

  /** Writes the state as it is now, with what other interfaces have meanwhile left to this one to restore. */
  save(): void {
    const { store, state } = this;
    store.locked(() => {
      const written = store.load(state.name)?.changes ?? [];
      state.changes = state.changes.map((change) =>
        "before" in change ? written.find((other) => isSameThing(change, other)) ?? change : change
      );
      store.save(state);
    });
  }

  /** Writes down a change, unless the same was made before, and then makes it. */
  change<T>(change: Change, make: () => T): T {
    if (!this.state.changes.some((each) => isSameThing(each, change))) this.state.changes.push(change);
    this.save();
    return make();
  }

  /** Puts `change` in the place of what was written down as `former`. */
  amend(former: Change, change: Change): void {
    this.state.changes = this.state.changes.map((each) => isSameThing(each, former) ? change : each);
    this.save();
  }
}

/** Whether two changes are of the same thing, whatever it was before. */
export function isSameThing(a: Change, b: Change): boolean {
  return JSON.stringify({ ...a, before: null }) === JSON.stringify({ ...b, before: null });
}

/** When a process began, empty if there is none. */
function startOf(pid: number): string {
  try {
    // The name in parentheses may hold anything; the start is the twentieth field behind it.
    return readTextFile(`/proc/${pid}/stat`).replace(/^.*\)/s, "").split(" ")[20];
  } catch (error) {
    if (error instanceof SyscallError) return "";
    throw error;
  }
}

/** Runs `f`, for which it is no failure if what it is to remove is not there. */
export function unlessAbsent(f: () => void, ...absent: readonly number[]): void {
  try {
    f();
  } catch (error) {
    if (!(error instanceof SyscallError) || ![ENOENT, ...absent].includes(error.errno)) throw error;
  }
}
