/** Everything a run measured, as it goes into the JSON file, and the figures that all reports draw from it. */
import type { Machine } from "./machine.ts";
import type { Metric } from "./metric.ts";
import { pairRatios, type Samples, summarise, type Summary } from "./statistics.ts";

export interface Results {
  /** UTC, to the minute. */
  readonly date: string;
  readonly machine: Machine;
  readonly pairs: number;
  readonly seconds: number;
  /** 1-minute load before the run: more than a little says that somebody else was measured too. */
  readonly loadBefore: number;
  readonly subject: string;
  /** What goals refer to. */
  readonly rival: string | null;
  readonly contestants: readonly { readonly name: string; readonly version: string; readonly role: string }[];
  readonly rows: readonly Row[];
  /** What went wrong; the figures concerned are missing. */
  readonly failures: readonly string[];
}

export interface Row {
  readonly metric: Metric;
  /** A sample per round and contestant. */
  readonly samples: Readonly<Record<string, Samples>>;
}

export type Verdict = "goal" | "floor" | "missed" | "";

/** culvert against another, in one metric. */
export interface Comparison {
  readonly own: Summary;
  readonly other: Summary;
  /** Own divided by other, pair by pair. */
  readonly ratio: Summary;
  readonly verdict: Verdict;
}

export function medianOf(row: Row, contestant: string): number | null {
  return summarise(row.samples[contestant] ?? [])?.median ?? null;
}

/** Null if either was not measured, or there is nothing to compare. */
export function compare(results: Results, row: Row, contestant: string): Comparison | null {
  if (row.metric.isAside) return null;
  const [a, b] = [row.samples[results.subject] ?? [], row.samples[contestant] ?? []];
  const [own, other, ratio] = [summarise(a), summarise(b), summarise(pairRatios(a, b))];
  if (own === null || other === null || ratio === null) return null;
  const verdict = contestant === results.rival ? judge(row.metric, own.median, ratio.median) : "";
  return { own, other, ratio, verdict };
}

/** Figures that miss their floor or limit, in words. */
export function missedFloors(results: Results): string[] {
  if (results.rival === null) return [];
  const missed: string[] = [];
  for (const row of results.rows) {
    const comparison = compare(results, row, results.rival);
    if (comparison?.verdict !== "missed") continue;
    const { label, unit, limit, floor } = row.metric;
    const { own, ratio } = comparison;
    const what = limit === undefined
      ? `a ratio of ${ratio.median.toFixed(2)}, floor ${floor}`
      : `${Math.round(own.median)} ${unit}, limit ${limit}`;
    missed.push(`${label}: ${what}`);
  }
  return missed;
}

function judge({ better, goal, floor, limit }: Metric, own: number, ratio: number): Verdict {
  const sign = better === "more" ? 1 : -1;
  if (limit !== undefined) return sign * own >= sign * limit ? "goal" : "missed";
  if (goal === undefined || floor === undefined) return "";
  if (sign * ratio >= sign * goal) return "goal";
  return sign * ratio >= sign * floor ? "floor" : "missed";
}
