/**
 * Name servers for as long as the interface is up: through whatever manages `/etc/resolv.conf` here, else in that file
 * itself.
 */
import { Buffer } from "node:buffer";
import { HostError } from "./host_error.ts";
import { findProgram, runProgram } from "./programs.ts";
import type { Change, HostState, Journal, SavedFile, StateStore } from "./state.ts";

const RESOLV_CONF = "/etc/resolv.conf";
/** Debian's resolvconf sorts its records by their names' beginnings. */
const INTERFACE_ORDER = "/etc/resolvconf/interface-order";
/** What systemd-resolved has `/etc/resolv.conf` point to. */
const RESOLVED_FOLDER = "/run/systemd/resolve/";

export interface NameServers {
  readonly servers: readonly string[];
  readonly search: readonly string[];
}

/** What the interface is to systemd-resolved: all of DNS, so that no query leaves by another link. */
const EVERY_NAME = "~.";

/**
 * Makes these the host's only name servers. What does not work is told and the next way tried: a tunnel without its
 * DNS is better than none.
 *
 * @param index of the interface
 * @param path the file, for tests
 */
export async function setNameServers(
  journal: Journal,
  index: number,
  dns: NameServers,
  warn: (message: string) => void,
  path: string = RESOLV_CONF,
): Promise<void> {
  if (await setByResolvconf(journal, dns, warn)) return;
  if (await setByResolved(journal, index, dns, warn, path)) return;
  writeResolvConf(journal, dns, warn, path);
}

/**
 * Exchanges the servers for others, in place where that is possible.
 *
 * @returns false if the file has been changed by somebody else since: then nothing was done
 */
export async function exchangeNameServers(
  journal: Journal,
  index: number,
  dns: NameServers,
  warn: (message: string) => void,
): Promise<boolean> {
  const former = journal.state.changes.find((change) => change.kind === "resolv.conf");
  if (former === undefined) await setNameServers(journal, index, dns, warn);
  else if (former.kind === "resolv.conf") return rewriteResolvConf(journal, former, dns);
  return true;
}

function rewriteResolvConf(journal: Journal, former: Change & { kind: "resolv.conf" }, dns: NameServers): boolean {
  const { store, state } = journal;
  return store.locked(() => {
    const now = saveFile(former.path);
    if (now.kind !== "file" || now.content !== former.after) return false;
    const after = contentFor(state.name, dns);
    journal.amend(former, { ...former, after });
    putBack(former.path, { kind: "file", content: after });
    return true;
  });
}

/** The record that `resolvconf` knows the interface by. @param orderFile Debian's, or a test's */
export function resolvconfEntry(name: string, program: string, orderFile: string = INTERFACE_ORDER): string {
  let order: string;
  try {
    order = Deno.readTextFileSync(orderFile);
    // A link leads to another implementation than Debian's, which takes names as they are.
    if (Deno.lstatSync(program).isSymlink) return name;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return name;
    throw error;
  }
  const prefix = order.match(/^([A-Za-z0-9-]+)\*$/m)?.[1];
  return prefix === undefined ? name : `${prefix}.${name}`;
}

/** Takes back what `resolvconf` was told. */
export async function removeResolvconfEntry({ program, entry }: Change & { kind: "resolvconf" }): Promise<void> {
  const code = await runProgram(program, ["-d", entry, "-f"], "");
  if (code !== 0) throw new HostError(`${program} -d ${entry} failed with exit code ${code}`);
}

/** Has systemd-resolved forget the interface; it does so by itself when the interface goes. */
export async function revertResolved(index: number): Promise<void> {
  const program = findProgram("resolvectl");
  if (program !== null) await runProgram(program, ["revert", `${index}`], "");
}

/**
 * Puts the file back as it was before the interface came. If another interface has replaced it since, that one will
 * put it back.
 *
 * @returns false if somebody else has changed the file: then it is left alone
 */
export function restoreResolvConf(
  store: StateStore,
  state: HostState,
  change: Change & { kind: "resolv.conf" },
): boolean {
  const { path, after } = change;
  const now = saveFile(path);
  if (isDraftOf(now, after)) {
    putBack(path, change.before);
    return true;
  }
  for (const other of store.others(state)) {
    const at = other.changes.findIndex((theirs) =>
      theirs.kind === "resolv.conf" && theirs.path === path && theirs.before.kind === "file" &&
      theirs.before.content === after
    );
    const theirs = other.changes[at];
    if (theirs === undefined || theirs.kind !== "resolv.conf") continue;
    other.changes[at] = { ...theirs, before: change.before };
    store.save(other);
    return true;
  }
  // Not yet replaced when the program was killed.
  return JSON.stringify(now) === JSON.stringify(change.before);
}

async function setByResolvconf(journal: Journal, dns: NameServers, warn: (message: string) => void): Promise<boolean> {
  const program = findProgram("resolvconf");
  if (program === null) return false;
  const entry = resolvconfEntry(journal.state.name, program);
  const change = { kind: "resolvconf", program, entry } as const;
  const code = await journal.change(change, () => runProgram(program, ["-a", entry, "-m", "0", "-x"], resolvText(dns)));
  if (code !== 0) warn(`${program} -a ${entry} failed with exit code ${code}`);
  return code === 0;
}

async function setByResolved(
  journal: Journal,
  index: number,
  { servers, search }: NameServers,
  warn: (message: string) => void,
  path: string,
): Promise<boolean> {
  const program = findProgram("resolvectl");
  if (program === null || !managedByResolved(path)) return false;
  const link = `${index}`;
  return await journal.change({ kind: "resolved", index }, async () => {
    const calls = [["dns", link, ...servers], ["domain", link, ...search, EVERY_NAME], ["default-route", link, "yes"]];
    for (const args of calls) {
      const code = await runProgram(program, args, "");
      if (code === 0) continue;
      warn(`${program} ${args.join(" ")} failed with exit code ${code}`);
      return false;
    }
    return true;
  });
}

function managedByResolved(path: string): boolean {
  try {
    return Deno.realPathSync(path).startsWith(RESOLVED_FOLDER);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Writes the file itself. @param warn told if that is refused */
export function writeResolvConf(
  journal: Journal,
  dns: NameServers,
  warn: (message: string) => void,
  path: string,
): void {
  const { store, state } = journal;
  const content = contentFor(state.name, dns);
  store.locked(() => {
    const change = { kind: "resolv.conf", path, before: saveFile(path), after: content } as const;
    try {
      journal.change(change, () => putBack(path, { kind: "file", content }));
    } catch (error) {
      if (!isRefusal(error)) throw error;
      warn(`cannot write ${path} (${error.message}): the name servers stay as they are`);
    }
  });
}

/** The whole of a resolv.conf, in base64. */
function contentFor(name: string, dns: NameServers): string {
  const text = `# ${name}: written by culvert; taken back by: culvert down ${name}\n${resolvText(dns)}`;
  return Buffer.from(text).toString("base64");
}

/** The lines of a resolv.conf. */
function resolvText({ servers, search }: NameServers): string {
  const lines = servers.map((server) => `nameserver ${server}\n`).join("");
  return search.length === 0 ? lines : `${lines}search ${search.join(" ")}\n`;
}

function saveFile(path: string): SavedFile {
  try {
    if (Deno.lstatSync(path).isSymlink) return { kind: "link", target: Deno.readLinkSync(path) };
    return { kind: "file", content: Buffer.from(Deno.readFileSync(path)).toString("base64") };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { kind: "absent" };
    throw error;
  }
}

/** Whether a file is what we wrote, or the beginning of it: we may have been killed in the middle. */
function isDraftOf(now: SavedFile, content: string): boolean {
  if (now.kind !== "file") return false;
  const [have, want] = [Buffer.from(now.content, "base64"), Buffer.from(content, "base64")];
  return have.length <= want.length && have.equals(want.subarray(0, have.length));
}

/**
 * Makes `path` what was saved. A file is written in place, which keeps its owner and rights and works where it is a
 * mount of its own, as in containers; a link is exchanged.
 */
function putBack(path: string, saved: SavedFile): void {
  if (saved.kind === "absent") return Deno.removeSync(path);
  const draft = `${path}.culvert`;
  if (saved.kind === "link") {
    Deno.symlinkSync(saved.target, draft);
    return Deno.renameSync(draft, path);
  }
  const content = Buffer.from(saved.content, "base64");
  if (saveFile(path).kind !== "link") return Deno.writeFileSync(path, content);
  Deno.writeFileSync(draft, content, { mode: 0o644 });
  Deno.renameSync(draft, path);
}

function isRefusal(error: unknown): error is Error {
  return error instanceof Deno.errors.PermissionDenied ||
    (error instanceof Error && ["EROFS", "EBUSY", "EPERM"].includes((error as { code?: string }).code ?? ""));
}
