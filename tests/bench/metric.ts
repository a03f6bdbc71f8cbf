/** What is measured: the figures, and the measurements that yield them. */
import type { Contestant } from "./contestants.ts";
import type { Lab } from "../netns/lab.ts";
import type { BenchTunnel } from "./scene.ts";

export interface Metric {
  /** Unique, as in the JSON file. */
  readonly name: string;
  readonly label: string;
  readonly unit: string;
  readonly better: "more" | "less";
  /** What culvert's ratio to the newest wireguard-go should reach (or stay below), and the least that will do. */
  readonly goal?: number;
  readonly floor?: number;
  /** What culvert's own figure must reach, or stay below. */
  readonly limit?: number;
  /** Says how far another figure can be trusted; there is nothing to compare. */
  readonly isAside?: boolean;
}

/** Figures by the name of the metric. One that a contestant cannot have (the kernel has no process) is absent. */
export type Sample = Readonly<Record<string, number>>;

/** Measures once. */
export type Take = () => Promise<Sample>;

export interface Measurement {
  /** As `--only` takes it. */
  readonly name: string;
  readonly about: string;
  readonly metrics: readonly Metric[];
  /** Whether this contestant takes part. */
  includes(contestant: Contestant): boolean;
  /** Prepares for a contestant, once; the lab closes what that opened. */
  open(bench: BenchContext, contestant: Contestant): Promise<Take>;
}

export interface BenchContext {
  /** Lives as long as the measurement. */
  readonly lab: Lab;
  readonly seconds: number;
  readonly isQuick: boolean;
  /** The contestant's tunnel, warmed up, opened at the first call and shared by all measurements. */
  tunnel(contestant: Contestant): Promise<BenchTunnel>;
}
