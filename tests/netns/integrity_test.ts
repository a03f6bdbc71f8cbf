/**
 * What goes in comes out: TCP full both ways at once in writes of random sizes, then datagrams of every kind, each
 * exactly once; with and without offloads, at every MTU that has its own difficulty, and with small segments.
 *
 * CULVERT_INTEGRITY_MB is what goes each way by TCP, in megabytes: 20 unless it says otherwise, 500 before a release.
 */

import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { runCourse } from "./datagram_course.ts";
import { culvert, CULVERT_DATAGRAM, type Implementation, WIREGUARD_GO } from "./implementation.ts";
import { Lab } from "./lab.ts";
import { must, waitFor } from "./process.ts";
import { netnsTest } from "./requirements.ts";
import { type End, inner, openTunnel, other, type Tunnel, untilReachable } from "./tunnel.ts";

const BYTES = Number(Deno.env.get("CULVERT_INTEGRITY_MB") ?? "20") * 1_000_000;
/** Each way and family. */
const DATAGRAMS = Math.max(2_000, Math.floor(BYTES / 10_000));
/** Milliseconds of one case: enough for 10 MB a second. */
const LIMIT = 120_000 + BYTES / 5_000;

const PEER_SCRIPT = new URL("./integrity_peer.ts", import.meta.url).pathname;
const TCP_PORT = "7000";

interface Path {
  readonly about: string;
  readonly mtu: number;
  /** Of the link outside. */
  readonly outerMtu: number;
  readonly segment?: number;
}

const PATHS: readonly Path[] = [
  { about: "an MTU of 1280", mtu: 1280, outerMtu: 1500 },
  { about: "an MTU of 1420", mtu: 1420, outerMtu: 1500 },
  { about: "an MTU of 1420 and segments of 536", mtu: 1420, outerMtu: 1500, segment: 536 },
  { about: "an MTU of 1500, in fragments outside", mtu: 1500, outerMtu: 1500 },
  { about: "an MTU of 9000 over jumbo frames", mtu: 9000, outerMtu: 9100 },
];
const USUAL = PATHS.slice(1, 3);

const OFFLOADED = culvert();
const PLAIN = culvert("--no-offload");

const CASES: readonly (readonly [Implementation, Implementation, readonly Path[]])[] = [
  [OFFLOADED, OFFLOADED, PATHS],
  [PLAIN, PLAIN, PATHS],
  [OFFLOADED, PLAIN, USUAL],
  [CULVERT_DATAGRAM, CULVERT_DATAGRAM, PATHS],
  [OFFLOADED, WIREGUARD_GO, USUAL],
];

for (const [one, two, paths] of CASES) {
  for (const path of paths) {
    netnsTest(
      `${one.name} and ${two.name} change, lose and repeat nothing with ${path.about}`,
      [one.needs, two.needs],
      () => exercise([one, two], path),
      LIMIT,
    );
  }
}

async function exercise(implementations: readonly [Implementation, Implementation], path: Path): Promise<void> {
  await using lab = new Lab();
  const tunnel = await openTunnel(lab, implementations);
  try {
    for (const end of tunnel.ends) await shape(end, other(tunnel, end), path);
    await untilReachable(tunnel.ends[0].host, inner(2));
    await checkStream(tunnel, path);
    for (const family of [4, 6] as const) {
      for (const end of tunnel.ends) await checkDatagrams(end, other(tunnel, end), family, path.mtu);
    }
  } catch (error) {
    throw new Error((await Promise.all(tunnel.ends.map(describeDrops))).join("\n"), { cause: error });
  }
}

/** Who has dropped something: the daemon with its reasons, the sockets of its host, or its interface. */
async function describeDrops({ host, side, daemon }: End): Promise<string> {
  const reasons = (await daemon.uapi("get=1\n\n")).split("\n").filter((line) => line.startsWith("culvert_drop_"));
  const [names, values] = (await host.must(["cat", "/proc/net/snmp"])).match(/^Udp: .*$/gm) ?? ["", ""];
  const counters = values.split(" ").map((value, i) => `${names.split(" ")[i]} ${value}`).slice(1, 7);
  const folder = `/sys/class/net/${daemon.interfaceName}/statistics`;
  const dropped = await host.must(["sh", "-c", `cat ${folder}/tx_dropped ${folder}/rx_dropped`]);
  const lines = [
    `end ${side}:`,
    ...reasons,
    counters.join(", "),
    `interface drops ${dropped.trim().replace("\n", ", ")}`,
  ];
  return [...lines, daemon.log()].join("\n");
}

/** Gives an end the MTUs of the path, and the segment size to what it advertises. */
async function shape(end: End, peer: End, { mtu, outerMtu, segment }: Path): Promise<void> {
  await end.daemon.ip("link", "set", "dev", end.device, "mtu", `${outerMtu}`);
  await end.daemon.link("mtu", `${mtu}`);
  if (segment === undefined) return;
  const device = ["dev", end.daemon.interfaceName];
  await end.daemon.ip("route", "replace", `${inner(peer.side)}/32`, ...device, "advmss", `${segment}`);
}

async function checkStream({ ends: [near, far] }: Tunnel, { segment }: Path): Promise<void> {
  const script = [Deno.execPath(), "run", "-A", "--no-lock", "--cached-only", PEER_SCRIPT];
  const server = far.host.spawn([...script, "serve", inner(2), TCP_PORT, `${BYTES}`]);
  await waitFor("the TCP server", () => server.output().includes("listening"), 20_000);
  const client = near.host.spawn([...script, "connect", inner(2), TCP_PORT, `${BYTES}`]);
  if (segment !== undefined) await waitFor(`segments of ${segment}`, () => hasSegments(near, segment), 10_000);
  for (const process of [client, server]) {
    const code = await process.end(LIMIT);
    if (code !== 0) throw new Error(`A TCP peer failed: ${client.output()} ${server.output()}`);
  }
  const [there, back] = [client, server].map((process) => JSON.parse(process.output().trim().split("\n").at(-1)!));
  equal(back.received, there.sent);
  equal(there.received, back.sent);
}

/** Whether the connection uses this segment size, less what its options take: else the test would show nothing. */
async function hasSegments({ host }: End, segment: number): Promise<boolean> {
  const text = await must(host.inside(["ss", "-tinH", "dport", "=", `:${TCP_PORT}`]));
  const size = Number(text.match(/ mss:(\d+)/)?.[1] ?? 0);
  return size > 0 && size <= segment;
}

async function checkDatagrams(from: End, to: End, family: 4 | 6, mtu: number): Promise<void> {
  const result = await runCourse(from.host, to.host, inner(to.side, family), DATAGRAMS, mtu);
  const where = `end ${from.side} to end ${to.side} over IPv${family}: ${JSON.stringify(result)}`;
  deepEqual(result, { sent: DATAGRAMS, received: DATAGRAMS, repeated: [], lost: [], changed: [] }, where);
}
