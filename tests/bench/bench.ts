/**
 * `deno task bench`: culvert and every other WireGuard of this machine in turns, over the same kind of link, in the
 * same minutes. Progress goes to stderr, the tables to stdout. Whatever it made is gone afterwards, also after ^C.
 */
import { missing } from "../netns/requirements.ts";
import { drawChart } from "./chart.ts";
import { type Contestant, findContestants, type Line } from "./contestants.ts";
import { replaceSection } from "./document.ts";
import { fetchWireguardGo } from "./fetch.ts";
import { describeMachine } from "./machine.ts";
import { HANDSHAKES } from "./handshakes.ts";
import { MANY_PEERS } from "./many_peers.ts";
import type { Measurement } from "./metric.ts";
import { BenchUsageError, type Options, parseOptions, USAGE } from "./options.ts";
import { missedFloors, type Results } from "./results.ts";
import { runAll } from "./run.ts";
import { START } from "./start.ts";
import { describeRun, makeTables, toMarkdown, toText } from "./table.ts";
import * as traffic from "./traffic.ts";

const MEASUREMENTS: readonly Measurement[] = [
  traffic.TCP,
  traffic.TCP_REVERSE,
  traffic.TCP_FOUR,
  traffic.TCP_BOTH,
  traffic.TCP_IPV6,
  traffic.UDP_SMALL,
  traffic.UDP_FULL,
  traffic.PING_IDLE,
  traffic.PING_LOADED,
  traffic.MEMORY,
  START,
  HANDSHAKES,
  MANY_PEERS,
];

if (import.meta.main) {
  // An end of our own choosing, at which everything temporary is removed.
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => Deno.exit(130));
  Deno.exit(await main());
}

async function main(): Promise<number> {
  try {
    const options = parseOptions(Deno.args);
    if (options.help) {
      print(`${USAGE}\n${describeMeasurements()}`);
      return 0;
    }
    const chosen = choose(options.only);
    const results = options.from === null ? await measure(options, chosen) : await load(options.from);
    if (results === null) return 0;
    await report(results, options);
    const missed = missedFloors(results);
    for (const line of missed) tell(`Below the floor: ${line}`);
    return results.failures.length > 0 || options.failBelowFloor && missed.length > 0 ? 1 : 0;
  } catch (error) {
    if (!(error instanceof BenchUsageError)) throw error;
    tell(error.message);
    return 2;
  }
}

async function measure(options: Options, chosen: readonly Measurement[]): Promise<Results | null> {
  const reason = missing(["iperf3", "ping"]);
  if (reason !== null) throw new BenchUsageError(`The benchmark ${reason}`);
  const fetched = options.fetch ? await fetchWireguardGo(tell) : null;
  const peers = fetched === null ? options.peers : [fetched, ...options.peers];
  const line = among(await findContestants(peers, options.culverts, tell), options.between);
  if (options.list) {
    print(`${describeMeasurements()}\n${describeLine(line)}`);
    return null;
  }
  const machine = await describeMachine();
  const loadBefore = Deno.loadavg()[0];
  if (loadBefore > machine.cores / 4) tell(`The machine is busy (load ${loadBefore.toFixed(2)}): figures will scatter`);
  const { rows, failures } = await runAll(line, chosen, options, tell);
  const [subject] = line.contestants;
  return {
    date: `${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC`,
    machine,
    pairs: options.pairs,
    seconds: options.seconds,
    loadBefore,
    subject: subject.name,
    rival: line.rival,
    contestants: line.contestants.map(({ name, version, role }) => ({ name, version, role })),
    rows,
    failures,
  };
}

async function load(path: string): Promise<Results> {
  return JSON.parse(await Deno.readTextFile(path));
}

async function report(results: Results, options: Options): Promise<void> {
  const tables = makeTables(results);
  print(`${describeRun(results).join("\n")}\n\n${tables.map(toText).join("\n")}`);
  for (const failure of results.failures) print(`FAILED ${failure}\n`);
  const written: string[] = [];
  const write = async (path: string, text: string): Promise<void> => {
    await Deno.writeTextFile(path, text);
    written.push(path);
  };
  if (options.json !== null) await write(options.json, `${JSON.stringify(results, null, 2)}\n`);
  if (options.svg !== null) {
    if (results.rival === null) tell("Nothing to draw: there is no wireguard-go to compare with");
    else await write(options.svg, drawChart(results));
  }
  if (options.document !== null) {
    const body = [`${describeRun(results).join(".\n")}.`, ...tables.map(toMarkdown)].join("\n\n");
    await write(options.document, replaceSection(await Deno.readTextFile(options.document), "bench", body));
  }
  // What goes into the repository must pass its format check.
  if (written.length > 0) await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", ...written] }).output();
  for (const path of written) tell(`Wrote ${path}`);
}

function choose(only: readonly string[]): Measurement[] {
  const unknown = only.filter((name) => !MEASUREMENTS.some((measurement) => measurement.name === name));
  if (unknown.length > 0) {
    const names = MEASUREMENTS.map(({ name }) => name).join(", ");
    throw new BenchUsageError(`There is no measurement ${unknown.join(", ")}; there are ${names}`);
  }
  return MEASUREMENTS.filter(({ name }) => only.length === 0 || only.includes(name));
}

/** @param names empty for everybody; the subject stays in any case */
function among({ contestants, rival }: Line, names: readonly string[]): Line {
  const unknown = names.filter((name) => !contestants.some((contestant) => contestant.name === name));
  if (unknown.length > 0) {
    const known = contestants.map(({ name }) => name).join(", ");
    throw new BenchUsageError(`There is no contestant ${unknown.join(", ")}; there are ${known}`);
  }
  const isIn = ({ name, role }: Contestant): boolean =>
    names.length === 0 || role === "subject" || names.includes(name);
  const left = contestants.filter(isIn);
  return { contestants: left, rival: left.some(({ name }) => name === rival) ? rival : null };
}

function describeMeasurements(): string {
  return `Measurements:\n${MEASUREMENTS.map(({ name, about }) => `  ${name.padEnd(12)}${about}\n`).join("")}`;
}

function describeLine({ contestants, rival }: Line): string {
  const describe = ({ name, version, role }: Contestant): string =>
    `  ${name} (${role}, ${version})${name === rival ? ": the rival" : ""}\n`;
  return `Contestants:\n${contestants.map(describe).join("")}`;
}

function print(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}

function tell(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`bench: ${line}\n`));
}
