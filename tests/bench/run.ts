/** The run itself: measurement by measurement, round by round, all contestants within each round. */
import { Lab } from "../netns/lab.ts";
import type { Contestant, Line } from "./contestants.ts";
import type { BenchContext, Measurement, Metric, Sample, Take } from "./metric.ts";
import type { Options } from "./options.ts";
import type { Row } from "./results.ts";
import { type BenchTunnel, openBenchTunnel } from "./scene.ts";
import { figure } from "./table.ts";
import { warmUp } from "./traffic.ts";

export interface Outcome {
  readonly rows: readonly Row[];
  readonly failures: readonly string[];
}

/** A contestant that is ready, and what it has shown so far. */
interface Entrant {
  readonly contestant: Contestant;
  /** Null once its preparation has failed. */
  readonly take: Take | null;
  readonly samples: (Sample | null)[];
}

/** Measures everything. @param tell hears of progress and of failures */
export async function runAll(
  line: Line,
  measurements: readonly Measurement[],
  options: Options,
  tell: (line: string) => void,
): Promise<Outcome> {
  await using shared = new Lab();
  const tunnels = new Tunnels(shared, tell);
  const rows: Row[] = [];
  const failures: string[] = [];
  const fail = (what: string, error: unknown): void => {
    const text = `${what}: ${error instanceof Error ? error.message : error}`;
    tell(`FAILED ${text}`);
    failures.push(text);
  };
  for (const measurement of measurements) {
    await using lab = new Lab();
    const { seconds, isQuick } = options;
    const context: BenchContext = { lab, seconds, isQuick, tunnel: (contestant) => tunnels.get(contestant) };
    const contestants = line.contestants.filter((contestant) => measurement.includes(contestant));
    const entrants = await prepare(measurement, contestants, context, fail);
    for (let round = 0; round < options.pairs; round++) {
      // The order turns round, so that who comes after whom favours nobody.
      for (const entrant of round % 2 === 0 ? entrants : entrants.toReversed()) {
        await takeOne(measurement, entrant, `round ${round + 1}/${options.pairs}`, tell, fail);
      }
    }
    for (const metric of measurement.metrics) rows.push(toRow(metric, entrants));
  }
  return { rows, failures };
}

/** Tunnels of the whole run, one for each contestant. */
class Tunnels {
  readonly #lab: Lab;
  readonly #tell: (line: string) => void;
  readonly #open = new Map<string, Promise<BenchTunnel>>();

  constructor(lab: Lab, tell: (line: string) => void) {
    this.#lab = lab;
    this.#tell = tell;
  }

  get(contestant: Contestant): Promise<BenchTunnel> {
    let tunnel = this.#open.get(contestant.name);
    if (tunnel === undefined) this.#open.set(contestant.name, tunnel = this.#make(contestant));
    return tunnel;
  }

  async #make(contestant: Contestant): Promise<BenchTunnel> {
    this.#tell(`Opening the tunnel of ${contestant.name}`);
    const tunnel = await openBenchTunnel(this.#lab, contestant);
    await warmUp(tunnel);
    return tunnel;
  }
}

type Fail = (what: string, error: unknown) => void;

async function prepare(
  measurement: Measurement,
  contestants: readonly Contestant[],
  context: BenchContext,
  fail: Fail,
): Promise<Entrant[]> {
  const entrants: Entrant[] = [];
  for (const contestant of contestants) {
    let take: Take | null = null;
    try {
      take = await measurement.open(context, contestant);
    } catch (error) {
      // The others can still be measured; the run reports this one and ends with an exit code of its own.
      fail(`${measurement.name}, ${contestant.name}`, error);
    }
    entrants.push({ contestant, take, samples: [] });
  }
  return entrants;
}

async function takeOne(
  measurement: Measurement,
  { contestant, take, samples }: Entrant,
  round: string,
  tell: (line: string) => void,
  fail: Fail,
): Promise<void> {
  if (take === null) return;
  try {
    const sample = await take();
    samples.push(sample);
    tell(`${measurement.name}, ${round}, ${contestant.name}: ${describe(measurement, sample)}`);
  } catch (error) {
    // One failed round is a missing figure and an exit code, not the end of the others' figures.
    samples.push(null);
    fail(`${measurement.name}, ${round}, ${contestant.name}`, error);
  }
}

function describe({ metrics }: Measurement, sample: Sample): string {
  const present = metrics.filter(({ name }) => name in sample);
  return present.map(({ name, unit, label }) => {
    const value = `${figure(sample[name])} ${unit}`;
    return metrics.length > 2 ? `${label} ${value}` : value;
  }).join(", ");
}

function toRow(metric: Metric, entrants: readonly Entrant[]): Row {
  const samples: Record<string, (number | null)[]> = {};
  for (const { contestant, samples: taken } of entrants) {
    const figures = taken.map((sample) => sample?.[metric.name] ?? null);
    if (figures.some((value) => value !== null)) samples[contestant.name] = figures;
  }
  return { metric, samples };
}
