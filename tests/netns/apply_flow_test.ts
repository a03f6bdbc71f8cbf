/**
 * `culvert apply` beside traffic: with a thousand peers, one of which changes, it is quick, and the flows of another
 * peer lose nothing and wait for nothing.
 */

import { ok, strictEqual as equal } from "node:assert/strict";
import { Capture } from "./capture.ts";
import { type KeyPair, makeKeys } from "./daemon.ts";
import { CULVERT_FILE, program } from "./implementation.ts";
import { sleep, waitFor } from "./process.ts";
import { nameOf, QuickHost } from "./quick_host.ts";
import { netnsTest } from "./requirements.ts";

const NEEDS = [CULVERT_FILE, "nft", "iperf3", "tcpdump", "tshark"];

const PEERS = 1_000;
const RUNS = 5;
/** Milliseconds. Alone on its machine it takes a quarter of this; here other tests run. */
const TIME_LIMIT = 1_500;
const SECONDS = 6;
const GAP_LIMIT = 50;
const COURSES = 3;
const PACED = "50M";
const PROBE_PORT = 5202;

interface Course {
  readonly retransmits: number;
  /** Of the retransmissions, those whose receiver had it all already: an answer was late, and nothing lost. */
  readonly needless: number;
  readonly lost: number;
  /** Milliseconds between two datagrams at the receiver, the longest. */
  readonly gap: number;
}

netnsTest("culvert apply with a thousand peers is quick, and no flow notices it", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const [near, far] = [await makeKeys(), await makeKeys()];
  const others = await Promise.all(Array.from({ length: PEERS - 1 }, (_, i) => fakeKey(i)));
  const file = await quick.write(["Address = 10.9.0.1/24"], []);
  const write = (keepalive: number): Promise<void> => Deno.writeTextFile(file, nearText(near, far, others, keepalive));
  await write(1);
  const other = await quick.write(["Address = 10.9.0.2/24", "ListenPort = 51820"], []);
  await Deno.writeTextFile(other, farText(near, far));
  await quick.must("culvert", ["up", file]);
  await quick.far.must([await program(), "up", other]);
  await waitFor("a reply", async () => (await quick.host.run(["ping", "-c", "1", "-W", "1", "10.9.0.2"])).code === 0);

  const times: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    await write(10 + run);
    const begin = performance.now();
    const { stdout } = await quick.must("culvert", ["apply", file]);
    times.push(performance.now() - begin);
    equal(stdout.trimEnd().split("\n").length, 2, stdout);
  }
  const median = times.toSorted((a, b) => a - b)[RUNS >> 1];

  const idle = await watch(quick, nameOf(other), () => sleep(SECONDS * 1000));
  const limit = Math.max(GAP_LIMIT, 2 * idle.gap);
  tell(`${PEERS} peers, one changed: median of ${RUNS} runs ${median.toFixed(0)} ms; idle ${describe(idle)}`);
  ok(median < TIME_LIMIT, `${median} ms`);
  // Where too few processors are shared with other work, that delays packets now and then; what apply does would always.
  const courses: Course[] = [];
  while (courses.length < COURSES && !courses.some((course) => isUnnoticed(course, idle, limit))) {
    const course = await watch(quick, nameOf(other), () => applyOften(quick, file, write));
    tell(`  with apply beside ${PACED}: ${describe(course)}`);
    equal(course.lost, 0);
    courses.push(course);
  }
  ok(isUnnoticed(courses.at(-1)!, idle, limit), courses.map(describe).join("; "));
});

async function applyOften(quick: QuickHost, file: string, write: (keepalive: number) => Promise<void>): Promise<void> {
  let applied = 0;
  for (const end = performance.now() + SECONDS * 1000 - 1_000; performance.now() < end; applied++) {
    await write(100 + Math.floor(performance.now() / 10) % 10_000);
    await quick.must("culvert", ["apply", file]);
    await sleep(300);
  }
  ok(applied >= 3, `only ${applied} times`);
}

/** Nothing had to be sent again that would not have been without, and nothing waited for long. */
function isUnnoticed(course: Course, idle: Course, limit: number): boolean {
  const [needed, neededIdle] = [course, idle].map(({ retransmits, needless }) => retransmits - needless);
  return needed <= neededIdle && course.gap <= limit;
}

/** Two flows to the unchanged peer, TCP at a pace and datagrams, while `act` goes on. */
async function watch(quick: QuickHost, device: string, act: () => Promise<void>): Promise<Course> {
  const capture = await Capture.start(quick.far, device, `udp and dst port ${PROBE_PORT} and greater 400`);
  const duplicates = await duplicatesTold(quick);
  const flows = await Promise.all([
    flow(quick, 5201, ["-b", PACED]),
    flow(quick, PROBE_PORT, ["-u", "-b", "4M", "-l", "500"]),
  ]);
  const acting = act();
  const [tcp, udp] = await Promise.all(flows.map(({ report }) => report));
  await acting;
  await capture.stop();
  const rows = await capture.read(`udp.dstport == ${PROBE_PORT}`, ["frame.time_epoch"]);
  const arrivals = rows.map(([time]) => 1000 * Number(time));
  ok(arrivals.length > 1_000, `${arrivals.length} datagrams`);
  const gap = arrivals.slice(1).reduce((longest, time, i) => Math.max(longest, time - arrivals[i]), 0);
  const needless = await duplicatesTold(quick) - duplicates;
  return { retransmits: tcp.end.sum_sent.retransmits, needless, lost: udp.end.sum.lost_packets, gap };
}

// deno-lint-ignore no-explicit-any -- iperf3's report.
type Report = any;

async function flow(quick: QuickHost, port: number, words: string[]): Promise<{ report: Promise<Report> }> {
  const server = quick.far.spawn(["iperf3", "-s", "-1", "-p", `${port}`, "--forceflush"]);
  await waitFor("the iperf3 server", () => server.output().includes("listening"));
  const command = ["iperf3", "-J", "-c", "10.9.0.2", "-p", `${port}`, "-t", `${SECONDS}`, ...words];
  return { report: quick.host.must(command, { timeout: 60_000 }).then(JSON.parse) };
}

/** How often a receiver has told this host that it has something twice. Spec: RFC 2883. */
async function duplicatesTold(quick: QuickHost): Promise<number> {
  const text = await quick.host.must(["cat", "/proc/net/netstat"]);
  const [names, values] = [...text.matchAll(/^TcpExt: (.*)$/gm)].map(([, words]) => words.split(" "));
  return Number(values[names.indexOf("TCPDSACKRecv")]);
}

function nearText(near: KeyPair, far: KeyPair, others: readonly string[], keepalive: number): string {
  const lines = ["[Interface]", `PrivateKey = ${near.privateKey}`, "Address = 10.9.0.1/24", "ListenPort = 51999", ""];
  lines.push("[Peer]", `PublicKey = ${far.publicKey}`, "AllowedIPs = 10.9.0.2", "Endpoint = 10.79.0.2:51820", "");
  others.forEach((key, i) => {
    lines.push("[Peer]", `PublicKey = ${key}`, `AllowedIPs = 10.${100 + (i >> 8)}.${i & 255}.0/24`);
    if (i === 500) lines.push(`PersistentKeepalive = ${keepalive}`);
    lines.push("");
  });
  return lines.join("\n");
}

function farText(near: KeyPair, far: KeyPair): string {
  const own = ["[Interface]", `PrivateKey = ${far.privateKey}`, "Address = 10.9.0.2/24", "ListenPort = 51820", ""];
  return [...own, "[Peer]", `PublicKey = ${near.publicKey}`, "AllowedIPs = 10.9.0.1", ""].join("\n");
}

/** Any 32 bytes are a public key; nobody answers to these. */
async function fakeKey(i: number): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`peer ${i}`));
  return new Uint8Array(hash).toBase64();
}

function describe({ retransmits, needless, lost, gap }: Course): string {
  return `${retransmits} retransmissions, ${needless} of them needless, ${lost} lost, longest gap ${gap.toFixed(1)} ms`;
}

function tell(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}
