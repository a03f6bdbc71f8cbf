/** The command line of the benchmark. */
import { parseArgs } from "node:util";

export const USAGE = `deno task bench [options]     (as root)

  --quick              3 pairs of 3 seconds instead of 5 of 5
  --pairs N            rounds; in each, every contestant is measured once
  --seconds N          length of one transfer
  --only NAME,…        these measurements alone (see below)
  --between NAME,…     these contestants alone; culvert always takes part (--list names them)
  --peer NAME=PATH     one more wireguard-go to run against; may be repeated
  --culvert NAME=ARGS  one more culvert with these arguments, e.g. noble='--engine noble'; may be repeated
  --fetch              get the newest wireguard-go into a private folder first
  --json FILE          write everything measured
  --svg FILE           draw the ratios
  --document FILE      put the tables between the markers of this Markdown file
  --from FILE          measure nothing, report what an earlier --json holds
  --fail-below-floor   exit code 1 if a ratio misses its floor
  --list               name the measurements and the contestants found

Environment: WIREGUARD_GO, the path of one more wireguard-go; CULVERT_BIN, a compiled culvert in place of the sources.
`;

/** A name and what it stands for. */
export interface Named {
  readonly name: string;
  readonly value: string;
}

export interface Options {
  readonly pairs: number;
  readonly seconds: number;
  readonly isQuick: boolean;
  /** Empty = all. */
  readonly only: readonly string[];
  /** The others that take part; empty = all. */
  readonly between: readonly string[];
  readonly peers: readonly Named[];
  readonly culverts: readonly Named[];
  readonly fetch: boolean;
  readonly json: string | null;
  readonly svg: string | null;
  readonly document: string | null;
  readonly from: string | null;
  readonly failBelowFloor: boolean;
  readonly list: boolean;
  readonly help: boolean;
}

/** Wrong usage, in words for the person who typed it. */
export class BenchUsageError extends Error {}

/** @throws {BenchUsageError} */
export function parseOptions(args: readonly string[]): Options {
  const values = read(args);
  const isQuick = values.quick === true;
  return {
    pairs: positive("pairs", values.pairs, isQuick ? 3 : 5),
    seconds: positive("seconds", values.seconds, isQuick ? 3 : 5),
    isQuick,
    only: list(values.only),
    between: list(values.between),
    peers: (values.peer ?? []).map((text) => named("peer", text)),
    culverts: (values.culvert ?? []).map((text) => named("culvert", text)),
    fetch: values.fetch === true,
    json: values.json ?? null,
    svg: values.svg ?? null,
    document: values.document ?? null,
    from: values.from ?? null,
    failBelowFloor: values["fail-below-floor"] === true,
    list: values.list === true,
    help: values.help === true,
  };
}

interface Values {
  readonly quick?: boolean;
  readonly pairs?: string;
  readonly seconds?: string;
  readonly only?: string[];
  readonly between?: string[];
  readonly peer?: string[];
  readonly culvert?: string[];
  readonly fetch?: boolean;
  readonly json?: string;
  readonly svg?: string;
  readonly document?: string;
  readonly from?: string;
  readonly "fail-below-floor"?: boolean;
  readonly list?: boolean;
  readonly help?: boolean;
}

function read(args: readonly string[]): Values {
  try {
    return parseArgs({
      args: [...args],
      options: {
        quick: { type: "boolean" },
        pairs: { type: "string" },
        seconds: { type: "string" },
        only: { type: "string", multiple: true },
        between: { type: "string", multiple: true },
        peer: { type: "string", multiple: true },
        culvert: { type: "string", multiple: true },
        fetch: { type: "boolean" },
        json: { type: "string" },
        svg: { type: "string" },
        document: { type: "string" },
        from: { type: "string" },
        "fail-below-floor": { type: "boolean" },
        list: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    // What parseArgs refuses is a fault of the command line, all of it.
    throw new BenchUsageError(error instanceof Error ? error.message : String(error));
  }
}

function list(values: readonly string[] = []): string[] {
  return values.flatMap((names) => names.split(",")).filter((name) => name !== "");
}

function positive(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  if (!/^[1-9]\d{0,3}$/.test(text)) throw new BenchUsageError(`--${name} takes a whole number from 1, not "${text}"`);
  return Number(text);
}

function named(option: string, text: string): Named {
  const at = text.indexOf("=");
  if (at < 1) throw new BenchUsageError(`--${option} takes NAME=…, not "${text}"`);
  return { name: text.slice(0, at), value: text.slice(at + 1) };
}
