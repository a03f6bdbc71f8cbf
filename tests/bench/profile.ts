/**
 * Where the time of both daemons goes while they carry traffic, by sampling them with perf:
 *
 *     deno run -A tests/bench/profile.ts [--traffic tcp|both|udp-small|udp-mtu] [--seconds N] [--args ARGS]
 *         [--document FILE]
 *
 * V8 writes the names of what it has compiled to /tmp/perf-PID.map; samples in the kernel are told by the system call
 * they happened in. Needs root and perf.
 */
import { parseArgs } from "node:util";
import { createKernelAead } from "../../crypto/kernel_aead.ts";
import { culvert } from "../netns/implementation.ts";
import { Lab } from "../netns/lab.ts";
import { must, run, sleep } from "../netns/process.ts";
import { replaceSection } from "./document.ts";
import { transfer, type TransferOptions } from "./iperf.ts";
import { describeMachine } from "./machine.ts";
import { type Interface, openBenchTunnel } from "./scene.ts";
import { type Table, toMarkdown, toText } from "./table.ts";
import { megabits, warmUp } from "./traffic.ts";

/** Samples a second; not a round number, so that nothing periodic is seen more often than it is. */
const FREQUENCY = "997";
const SETTLE = 500;
/** Shares below this are summed up. */
const LEAST_SHARE = 0.01;

const TRAFFIC: Readonly<Record<string, Omit<TransferOptions, "seconds">>> = {
  tcp: {},
  both: { direction: "both" },
  "udp-small": { datagramBytes: 64 },
  "udp-mtu": { datagramBytes: 1392 },
};

/** Samples by what they were in. */
type Counts = Map<string, number>;

if (import.meta.main) await main();

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      traffic: { type: "string", default: "tcp" },
      seconds: { type: "string", default: "3" },
      args: { type: "string", default: "" },
      document: { type: "string" },
    },
  });
  const options = TRAFFIC[values.traffic];
  if (options === undefined) throw new TypeError(`--traffic takes ${Object.keys(TRAFFIC).join(", ")}`);
  const args = values.args.split(" ").filter((word) => word !== "");
  const { table, rate } = await profile({ ...options, seconds: Number(values.seconds) }, values.traffic, args);
  const { processor, kernel, deno } = await describeMachine();
  const date = new Date().toISOString().slice(0, 10);
  const about = `${date}; ${processor}; Linux ${kernel}; Deno ${deno}; ${Math.round(rate)} Mbit/s while being sampled.`;
  Deno.stdout.writeSync(new TextEncoder().encode(`${about}\n\n${toText(table)}`));
  if (values.document === undefined) return;
  const text = await Deno.readTextFile(values.document);
  await Deno.writeTextFile(values.document, replaceSection(text, "profile", `${about}\n\n${toMarkdown(table)}`));
  await must([Deno.execPath(), "fmt", "--quiet", values.document]);
}

async function profile(
  options: TransferOptions,
  traffic: string,
  args: readonly string[],
): Promise<{ table: Table; rate: number }> {
  await using lab = new Lab();
  const implementation = culvert(...args);
  // Made before the flag is set, which is for the daemons alone: what V8 has compiled gets its names from it.
  await implementation.command();
  const flags = `--perf-basic-prof ${Deno.env.get("DENO_V8_FLAGS") ?? ""}`.trim();
  Deno.env.set("DENO_V8_FLAGS", flags);
  const program = { kind: "daemon", implementation } as const;
  const tunnel = await openBenchTunnel(lab, {
    name: implementation.name,
    version: "",
    role: "subject",
    ends: [program, program],
  });
  const daemons = [tunnel.client.interface!, tunnel.server.interface!];
  lab.defer(async () => {
    for (const { process } of daemons) await Deno.remove(`/tmp/perf-${process!.pid}.map`);
  });
  await warmUp(tunnel);
  const load = transfer(tunnel, { ...options, seconds: options.seconds + 2 });
  // Reported below, if sampling does not fail first.
  load.catch(() => {});
  await sleep(SETTLE);
  const sums = sumFunctions();
  const counts = await Promise.all(daemons.map((daemon) => sample(daemon, options.seconds, lab.folder, sums)));
  const { receivedBytes, seconds } = await load;
  return { table: toTable(traffic, counts), rate: megabits(receivedBytes, seconds) };
}

async function sample({ process }: Interface, seconds: number, folder: string, sums: Set<string>): Promise<Counts> {
  const pid = `${process!.pid}`;
  const file = `${folder}/perf-${pid}.data`;
  await must(["perf", "record", "-q", "-g", "-F", FREQUENCY, "-p", pid, "-o", file, "--", "sleep", `${seconds}`]);
  const { stdout } = await run(["perf", "script", "-i", file, "-F", "ip,sym,dso"], { timeout: 120_000 });
  const counts: Counts = new Map();
  for (const stack of stdout.split("\n\n")) {
    const frames = stack.split("\n").filter((line) => line.trim() !== "");
    if (frames.length === 0) continue;
    const place = placeOf(frames, sums);
    counts.set(place, (counts.get(place) ?? 0) + 1);
  }
  return counts;
}

/** What a sample was in, by its innermost frame and, in the kernel, by the system call around it. */
function placeOf(frames: readonly string[], sums: Set<string>): string {
  const [innermost] = frames;
  const wasm = innermost.match(/wasm-function\[(\d+)\]/)?.[1];
  if (wasm !== undefined) return sums.has(wasm) ? "Internet checksum (WebAssembly)" : "AEAD (WebAssembly)";
  if (innermost.includes("libcrypto")) return "AEAD (libcrypto)";
  const script = innermost.match(/JS:\S* .*\/(?:main\/)?(\w+\/\w+)\.ts/)?.[1];
  if (script !== undefined) return `TypeScript: ${script}.ts`;
  if (/JS:|perf-\d+\.map|\[JIT\]/.test(innermost)) return "TypeScript: stubs and calls out";
  if (!/\[(kernel|guest|vdso|\w+\.ko)|kallsyms|\[\w+\]\)/.test(innermost)) return "Deno, V8 and libc";
  const call = frames.map((frame) => frame.match(/__(?:x64|arm64)_sys_(\w+)/)?.[1]).find((name) => name !== undefined);
  return call === undefined ? "Kernel: interrupts and scheduling" : `Kernel: ${call}`;
}

/**
 * The numbers of the functions that sum and do not seal: an exported function is named after its number. The sum is
 * always the default build's; in others, which may seal beside it, that number is of a function that does next to nothing.
 */
function sumFunctions(): Set<string> {
  const kernel = createKernelAead(new WebAssembly.Memory({ initial: 2, maximum: 2 }));
  return new Set(kernel === null ? [] : [kernel.sum.name]);
}

function toTable(traffic: string, counts: readonly Counts[]): Table {
  const totals = counts.map((count) => [...count.values()].reduce((sum, samples) => sum + samples, 0));
  const shares = (place: string): number[] => counts.map((count, i) => (count.get(place) ?? 0) / totals[i]);
  const places = [...new Set(counts.flatMap((count) => [...count.keys()]))];
  const weight = (place: string): number => shares(place).reduce((sum, share) => sum + share, 0);
  const shown = places.filter((place) => Math.max(...shares(place)) >= LEAST_SHARE);
  const rows = shown.toSorted((a, b) => weight(b) - weight(a)).map((place) => [place, ...shares(place).map(percent)]);
  const rest = counts.map((_, i) => 1 - shown.reduce((sum, place) => sum + shares(place)[i], 0));
  rows.push(["everything else", ...rest.map(percent)], ["samples", ...totals.map((total) => `${total}`)]);
  const head = ["", "client (seals)", "server (opens)"];
  return { title: `Processor time of both daemons, traffic "${traffic}"`, head, rows };
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
