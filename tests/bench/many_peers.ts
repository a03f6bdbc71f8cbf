/** What configured peers cost: the time to configure them, memory, and the throughput of the one that is in use. */
import { sleep } from "../netns/process.ts";
import type { Contestant } from "./contestants.ts";
import { generate, openTarget, own } from "./handshakes.ts";
import { transfer } from "./iperf.ts";
import { ALLOWED_IPS_PER_PEER, manyPeers } from "./bench_peers.ts";
import type { BenchContext, Measurement, Metric, Sample, Take } from "./metric.ts";
import { type BenchTunnel, bringUp, introduce, setConfiguration, settledBytes, startInterface } from "./scene.ts";
import { megabits, warmUp } from "./traffic.ts";
import { inner, untilReachable } from "../netns/tunnel.ts";

const COUNTS = [1, 100, 1_000, 10_000] as const;
const MOST = 10_000;
/** What culvert has to keep to with the most peers: milliseconds, percent of one peer's throughput, bytes. */
const CONFIGURE_LIMIT = 2_000;
const KEPT_LIMIT = 90;
const PEER_LIMIT = 4_096;
const SESSION_LIMIT = 8_192;
/** Milliseconds until a collector has seen that there is nothing more to do. */
const SETTLE = 1_000;

export const MANY_PEERS: Measurement = {
  name: "peers",
  about: `${COUNTS.join(", ")} peers with ${ALLOWED_IPS_PER_PEER} allowed IPs each on both ends; one is in use`,
  metrics: metrics(),
  includes: ({ role, version, name }) => role === "subject" || role === "peer" && isWorthwhile(name, version),
  open,
};

/** One contestant's tunnel, and what opening it told; the first round reports that. */
interface Opened {
  readonly count: number;
  readonly tunnel: BenchTunnel;
  readonly fixed: Sample;
}

function metrics(): Metric[] {
  const made: Metric[] = [];
  for (const count of COUNTS) {
    const peers = count === 1 ? "1 peer" : `${count.toLocaleString("en")} peers`;
    const limit = count === MOST ? { limit: CONFIGURE_LIMIT } : {};
    made.push({ name: `configure-${count}`, label: `${peers}: wg setconf`, unit: "ms", better: "less", ...limit });
    made.push({ name: `tcp-${count}`, label: `${peers}: TCP, one flow`, unit: "Mbit/s", better: "more" });
  }
  const label = MOST.toLocaleString("en");
  made.push({ name: "kept", label: `TCP kept, ${label} peers of 1`, unit: "%", better: "more", limit: KEPT_LIMIT });
  const bytes = { unit: "bytes", better: "less" } as const;
  made.push({ ...bytes, name: "peer-bytes", label: `Memory per peer, ${label} configured`, limit: PEER_LIMIT });
  made.push({ ...bytes, name: "session-bytes", label: "Memory per peer, with session", limit: SESSION_LIMIT });
  return made;
}

/** Old wireguard-go are measured elsewhere; here they would only add minutes. */
function isWorthwhile(name: string, version: string): boolean {
  const date = Number(version.match(/\.(\d{8})/)?.[1] ?? Infinity);
  return name === "Linux kernel" || date > 2023_01_01;
}

async function open(bench: BenchContext, contestant: Contestant): Promise<Take> {
  const opened: Opened[] = [];
  for (const count of COUNTS) opened.push(await openWith(count, bench, contestant));
  let told = Object.assign(await memory(bench, contestant), ...opened.map(({ fixed }) => fixed));
  return async (): Promise<Sample> => {
    const sample: Record<string, number> = told;
    told = {};
    for (const { count, tunnel } of opened) {
      const { seconds, receivedBytes } = await transfer(tunnel, { seconds: bench.seconds });
      sample[`tcp-${count}`] = megabits(receivedBytes, seconds);
    }
    sample.kept = 100 * sample[`tcp-${MOST}`] / sample["tcp-1"];
    return sample;
  };
}

/** A tunnel both ends of which know `count` peers, the other end included. */
async function openWith(count: number, { lab }: BenchContext, { ends }: Contestant): Promise<Opened> {
  if (ends === null) throw new RangeError("Cannot configure what has no program");
  const { link } = await lab.pair();
  const places = [link.place(1), link.place(2)] as const;
  const client = await startInterface(places[0].host, ends[0]);
  const server = await startInterface(places[1].host, ends[1]);
  // A control socket may be there before anybody answers; that is the start's time, not the configuration's.
  for (const { host, name } of [client, server]) await host.must(["wg", "show", name, "listen-port"]);
  const [time] = await introduce([client, server], places, manyPeers(count - 1));
  await bringUp(client, 1);
  await bringUp(server, 2);
  await untilReachable(client.host, inner(2));
  const tunnel: BenchTunnel = {
    client: { ...places[0], interface: client, address: (family) => inner(1, family) },
    server: { ...places[1], interface: server, address: (family) => inner(2, family) },
  };
  await warmUp(tunnel);
  return { count, tunnel, fixed: { [`configure-${count}`]: time } };
}

/** Memory that each of the most peers costs: configured, and then with a session. */
async function memory(bench: BenchContext, contestant: Contestant): Promise<Record<string, number>> {
  const target = await openTarget(bench.lab, contestant.ends);
  const empty = await settledBytes(target.interface);
  if (empty === null) return {};
  await setConfiguration(target.interface, own(target) + manyPeers(MOST));
  await sleep(SETTLE);
  const configured = await settledBytes(target.interface);
  const { completed } = await generate(target, "initiate", MOST);
  await sleep(SETTLE);
  const connected = await settledBytes(target.interface);
  if (configured === null || connected === null) return {};
  const perPeer = (configured - empty) / MOST;
  return { "peer-bytes": perPeer, "session-bytes": perPeer + (connected - configured) / completed };
}
