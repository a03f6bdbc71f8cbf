/** A plan as the operator reads it, and as a program does. Neither shows a secret. */
import type { Difference } from "./tunnel_diff.ts";
import { BOLD, GREEN, RED, RESET, YELLOW } from "./wg_colors.ts";

const SIGNS = { add: "+", remove: "-", change: "~" } as const;
const COLORS = { add: GREEN, remove: RED, change: YELLOW } as const;
/** Values that are never shown. */
const SECRET = ["private-key", "preshared-key"];
const STATES = { add: "added", remove: "removed", change: "changed" } as const;

/** One line for each difference, `+`, `-` or `~` first, then the notes. */
export function planText(differences: readonly Difference[], notes: readonly string[], isColored: boolean): string {
  const lines = differences.map((difference) => {
    const line = `${SIGNS[difference.op]} ${differenceText(difference)}`;
    return isColored ? `${COLORS[difference.op]}${line}${RESET}\n` : `${line}\n`;
  });
  return lines.join("") +
    notes.map((note) => isColored ? `${BOLD}note:${RESET} ${note}\n` : `note: ${note}\n`).join("");
}

/** What is known of a run beside its plan. */
export interface PlanFacts {
  readonly interface: string;
  readonly file: string;
  readonly isApplied: boolean;
  /** Seconds that a confirmation is waited for; null if none is. */
  readonly confirm: number | null;
}

/** The plan as JSON: how many changes, whether they were made, and each of them. */
export function planJson(facts: PlanFacts, differences: readonly Difference[], notes: readonly string[]): string {
  const { isApplied, confirm, ...place } = facts;
  return `${
    JSON.stringify({ ...place, changes: differences.length, applied: isApplied, confirm, differences, notes }, null, 2)
  }\n`;
}

function differenceText({ op, what, peer, from, to }: Difference): string {
  const label = what.replaceAll("-", " ");
  const name = peer === undefined ? label : what === "peer" ? `peer ${peer}` : `peer ${peer}: ${label}`;
  if (SECRET.includes(what)) return `${name}: ${STATES[op]}`;
  const value = op === "change" ? `${from ?? "none"} -> ${to ?? "none"}` : to ?? from;
  return value === null ? name : `${name}: ${value}`;
}
