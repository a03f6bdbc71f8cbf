/** What the results of a leak test add up to. */
import type { LeakReport, Outcome, ProbeResult } from "./leak_trial.ts";

/** `tight`: nothing leaked, and a leak would have been seen; `unproven`: nothing was seen to leak, which may mean little. */
export type Verdict = "tight" | "leaking" | "unproven";

export interface Judgement {
  readonly verdict: Verdict;
  /** Why it is unproven, a sentence each; else empty. */
  readonly doubts: readonly string[];
  /** Of the probes without the witnesses. */
  readonly counts: Readonly<Record<Outcome, number>>;
}

export function judgeReport({ results, losses }: LeakReport): Judgement {
  const counts = { leaked: 0, tunnel: 0, local: 0, blocked: 0, untested: 0, unseen: 0 };
  for (const { probe, outcome } of results) if (!probe.isWitness) counts[outcome]++;
  if (counts.leaked > 0) return { verdict: "leaking", doubts: [], counts };
  const doubts = [
    ...witnessDoubts(results.filter(({ probe }) => probe.isWitness)),
    ...losses > 0 ? [`${losses} packets went by too fast to be looked at`] : [],
    ...counts.unseen > 0 ? [`${counts.unseen} probes were taken by the kernel and then not seen anywhere`] : [],
  ];
  return { verdict: doubts.length === 0 ? "tight" : "unproven", doubts, counts };
}

/** What may leave must be seen to leave; else nobody knows what the observer sees. */
function witnessDoubts(witnesses: readonly ProbeResult[]): string[] {
  const failed = witnesses.filter(({ outcome }) => outcome !== "leaked" && outcome !== "untested");
  const doubts = failed.map(({ probe, outcome }) =>
    `the IPv${probe.family} witness on ${probe.device} ${outcome === "blocked" ? "was held back" : "was not seen"}`
  );
  const isAnySeen = witnesses.some(({ outcome }) => outcome === "leaked");
  return isAnySeen || doubts.length > 0 ? doubts : ["no witness could be sent: there is no way out to test"];
}
