/** Which words are verbs, which are interface names, and which are too close to a verb to be taken for a name. */
import { OperatorError, UsageError } from "./errors.ts";

/** Verbs that have no program of their own yet; interface names must not grow into their place. */
export const RESERVED_VERBS: readonly string[] = [
  "run",
  "demo",
];

/** A word this many edits away from a verb is more likely a mistyped verb than an interface. */
const MISTYPED_DISTANCE = 2;

/** True for a name that Linux, `wg-quick` and the control socket's path all accept. */
export function isInterfaceName(name: string): boolean {
  return /^[a-zA-Z0-9_=+.-]{1,15}$/.test(name) && name !== "." && name !== "..";
}

/**
 * Refuses a word that cannot be an interface name.
 *
 * @throws {OperatorError}
 */
export function checkInterfaceName(name: string): void {
  if (isInterfaceName(name)) return;
  throw new OperatorError(
    `"${printable(name)}" is not an interface name: 1 to 15 of the characters a-z A-Z 0-9 _ = + . - make one`,
  );
}

/**
 * Refuses a word that looks like a mistyped verb.
 *
 * @param verbs all verbs, the reserved ones included
 * @throws {UsageError} with the verb that was likely meant
 */
export function checkNotMistyped(name: string, verbs: readonly string[]): void {
  const verb = nearestVerb(name, verbs);
  if (verb === null) return;
  const remedy = `for an interface of that name write: culvert -- ${name}`;
  if (verb === name) throw new UsageError(`"${name}" is kept for a verb that is not there yet; ${remedy}`);
  throw new UsageError(`"${name}" looks like the verb "${verb}"; ${remedy}`);
}

/** The closest verb within two edits, the first of several; null if there is none. */
export function nearestVerb(name: string, verbs: readonly string[]): string | null {
  let nearest: string | null = null;
  let best = MISTYPED_DISTANCE + 1;
  for (const verb of verbs) {
    const distance = editDistance(name, verb);
    if (distance < best) {
      best = distance;
      nearest = verb;
    }
  }
  return nearest;
}

/** Insertions, deletions and substitutions that turn `a` into `b` (Levenshtein). */
export function editDistance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const substituted = above[column - 1] + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(substituted, above[column] + 1, current[column - 1] + 1));
    }
    above = current;
  }
  return above[b.length];
}

/** A stranger's text on one line of a terminal: no control characters, at most 40 characters. */
function printable(text: string): string {
  const shown = text.replace(/\p{C}/gu, "?");
  return shown.length > 40 ? `${shown.slice(0, 40)}…` : shown;
}
