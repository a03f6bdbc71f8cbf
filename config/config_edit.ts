/**
 * Changes of a file in place: one key is set, added or removed, and everything else, comments included, stays where it
 * stood. A key `@name` is the annotation `# @name = value`.
 */
import { decodeKeyBase64, encodeBase64 } from "../crypto/encoding.ts";
import { equalConstantTime } from "../crypto/bytes.ts";
import { type ConfigLine, configLine, type ConfigSection, ConfigText, isHook, withoutSpace } from "./config_text.ts";

/** The interface, or the peer with this public key (32 bytes). */
export type ConfigOwner = "interface" | { readonly peer: Uint8Array };

/**
 * Gives a key one value. The last line that has the key keeps its place, spelling and comment; others of that key go.
 * Without one, a line is added at the end of the section.
 *
 * @throws {RangeError} if there is no such section, or the value cannot stand on a line
 */
export function setKey(text: ConfigText, owner: ConfigOwner, key: string, value: string): ConfigText {
  checkValue(key, value);
  const found = linesOf(text, owner, key);
  const last = found.pop();
  if (last === undefined) return insertLine(text, owner, key, value);
  const lines = [...text.lines];
  const { text: old, end, value: former, valueStart } = lines[last];
  lines[last] = configLine(old.slice(0, valueStart) + value + old.slice(valueStart + former.length), end);
  return withoutLines(lines, found);
}

/** Adds a line with this key behind the last of the same key, or at the end of the section. @throws as `setKey` */
export function addKey(text: ConfigText, owner: ConfigOwner, key: string, value: string): ConfigText {
  checkValue(key, value);
  return insertLine(text, owner, key, value);
}

/** Removes all lines of a key, or, given a value, those that have exactly this value. */
export function removeKey(text: ConfigText, owner: ConfigOwner, key: string, value?: string): ConfigText {
  const found = linesOf(text, owner, key).filter((index) => value === undefined || text.lines[index].value === value);
  return withoutLines([...text.lines], found);
}

/** The values of a key, in order. */
export function valuesOf(text: ConfigText, owner: ConfigOwner, key: string): string[] {
  return linesOf(text, owner, key).map((index) => text.lines[index].value);
}

/** Appends a peer's section. @throws {RangeError} if it is there */
export function addPeer(text: ConfigText, publicKey: Uint8Array): ConfigText {
  if (sectionsOf(text, { peer: publicKey }).length > 0) throw new RangeError("Cannot add the peer: it is there");
  const newline = newlineOf(text);
  const lines = closed([...text.lines], newline);
  if (lines.length > 0 && lines[lines.length - 1].kind !== "blank") lines.push(configLine("", newline));
  lines.push(configLine("[Peer]", newline), configLine(`PublicKey = ${encodeBase64(publicKey)}`, newline));
  return new ConfigText(lines);
}

/**
 * Removes a peer's sections, with the comments directly above their headers and the empty lines that set them apart.
 */
export function removePeer(text: ConfigText, publicKey: Uint8Array): ConfigText {
  const gone: number[] = [];
  for (const { start, end } of sectionsOf(text, { peer: publicKey })) {
    const from = commentsAbove(text.lines, start);
    // Comments directly above the next header are the next section's.
    const to = end === text.lines.length ? end : commentsAbove(text.lines, end);
    for (let index = from; index < to; index++) gone.push(index);
  }
  return withoutLines([...text.lines], gone);
}

function linesOf(text: ConfigText, owner: ConfigOwner, key: string): number[] {
  const kind = key.startsWith("@") ? "annotation" : "entry";
  const name = key.replace(/^@/, "").toLowerCase();
  const found: number[] = [];
  for (const { start, end } of sectionsOf(text, owner)) {
    for (let index = start + 1; index < end; index++) {
      if (text.lines[index].kind === kind && text.lines[index].key === name) found.push(index);
    }
  }
  return found;
}

function sectionsOf(text: ConfigText, owner: ConfigOwner): ConfigSection[] {
  const sections = text.sections();
  if (owner === "interface") return sections.filter(({ name }) => name === "interface");
  return sections.filter((section) => section.name === "peer" && isPeer(text, section, owner.peer));
}

/** As `wg` reads it: the last public key of a section counts. */
function isPeer(text: ConfigText, { start, end }: ConfigSection, publicKey: Uint8Array): boolean {
  const keys = text.lines.slice(start, end).filter(({ kind, key }) => kind === "entry" && key === "publickey");
  const last = keys.pop();
  const key = last === undefined ? null : decodeKeyBase64(withoutSpace(last.value));
  return key !== null && equalConstantTime(key, publicKey);
}

function insertLine(text: ConfigText, owner: ConfigOwner, key: string, value: string): ConfigText {
  const section = sectionsOf(text, owner).pop();
  if (section === undefined) throw new RangeError(`Cannot set ${key}: the file has no such section`);
  const same = linesOf(text, owner, key).pop();
  const at = same === undefined ? lastWritten(text.lines, section) + 1 : same + 1;
  const newline = newlineOf(text);
  const line = key.startsWith("@") ? `# ${key} = ${value}` : `${key} = ${value}`;
  const lines = at === text.lines.length ? closed([...text.lines], newline) : [...text.lines];
  lines.splice(at, 0, configLine(line, newline));
  return new ConfigText(lines);
}

/** The last line of a section that says something; comments above the next header belong to that one. */
function lastWritten(lines: readonly ConfigLine[], { start, end }: ConfigSection): number {
  let last = start;
  for (let index = start; index < end; index++) {
    if (lines[index].kind === "entry" || lines[index].kind === "annotation") last = index;
  }
  return last;
}

/** Where the comments begin that stand directly above line `index`. */
function commentsAbove(lines: readonly ConfigLine[], index: number): number {
  let from = index;
  while (from > 0 && lines[from - 1].kind === "comment") from--;
  return from;
}

function withoutLines(lines: ConfigLine[], gone: readonly number[]): ConfigText {
  const removed = new Set(gone);
  return new ConfigText(lines.filter((_, index) => !removed.has(index)));
}

/** The lines, the last of them ended. */
function closed(lines: ConfigLine[], newline: string): ConfigLine[] {
  const last = lines.pop();
  if (last !== undefined) lines.push(last.end === "" ? { ...last, end: newline } : last);
  return lines;
}

/** The line end of the file's first line. */
function newlineOf(text: ConfigText): string {
  return text.lines[0]?.end || "\n";
}

function checkValue(key: string, value: string): void {
  if (!/^@?[A-Za-z][A-Za-z0-9_-]*$/.test(key)) throw new RangeError("A key is letters, digits, - and _");
  const canHoldHash = key.startsWith("@") || isHook(key.toLowerCase());
  if (/[\r\n]/.test(value) || (!canHoldHash && value.includes("#")) || value.trim() !== value || value === "") {
    throw new RangeError(`Cannot set ${key}: the value must be one line, not empty, without # and outer white space`);
  }
}
