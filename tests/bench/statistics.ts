/** Medians and spreads; of ratios too, taken pair by pair, for the machine drifts more than the contestants differ. */

export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  /** Samples behind it. */
  readonly count: number;
}

/** What a round measured; null where the measurement failed. */
export type Samples = readonly (number | null)[];

/** Null if there is not one sample. */
export function summarise(samples: Samples): Summary | null {
  const sorted = samples.filter((sample) => sample !== null).sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  const half = Math.floor(sorted.length / 2);
  const median = sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  return { median, least: sorted[0], most: sorted[sorted.length - 1], count: sorted.length };
}

/** `a` divided by `b`, round by round; rounds without both are left out. */
export function pairRatios(a: Samples, b: Samples): Samples {
  return a.map((value, i) => {
    const base = b[i] ?? null;
    return value === null || base === null || base === 0 ? null : value / base;
  });
}
