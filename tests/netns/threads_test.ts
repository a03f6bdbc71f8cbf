/**
 * culvert with several threads against itself, with one, and against wireguard-go: many flows both ways, nothing lost
 * or changed, no counter taken twice.
 */

import { equal, match, ok } from "node:assert/strict";
import { Daemon } from "./daemon.ts";
import { culvert, type Implementation, WIREGUARD_GO } from "./implementation.ts";
import { Lab, uniqueInterface } from "./lab.ts";
import { waitFor } from "./process.ts";
import { netnsTest } from "./requirements.ts";
import { type End, inner, openTunnel, ping, transfer } from "./tunnel.ts";

const TWO = culvert("--carrier", "batch", "--threads", "2");
const FOUR = culvert("--carrier", "batch", "--threads", "4");
const ONE = culvert("--carrier", "batch", "--threads", "1");
const PINGS = 500;
const TRANSFER_BYTES = 50_000_000;

const PAIRS: readonly (readonly [Implementation, Implementation])[] = [
  [TWO, TWO],
  [TWO, WIREGUARD_GO],
  [WIREGUARD_GO, TWO],
  [FOUR, ONE],
];

for (const pair of PAIRS) {
  for (const family of [4, 6] as const) {
    const [initiator, responder] = pair;
    netnsTest(
      `${initiator.name} and ${responder.name} carry four TCP flows both ways over IPv${family}`,
      [initiator.needs, responder.needs, "ping", "iperf3"],
      () => exercise(pair, family),
    );
  }
}

netnsTest(`${TWO.name} does not join the queues of another program's interface`, [TWO.needs], async () => {
  await using lab = new Lab();
  const host = await lab.host();
  const daemon = await Daemon.foreground(host, TWO);
  for (const implementation of [TWO, ONE]) {
    const command = [...await implementation.command(), "-f", daemon.interfaceName];
    const { code, stderr } = await host.run(command, { timeout: 20_000 });
    equal(code, 1);
    match(stderr, /exists already/);
  }
  ok(daemon.isRunning);
});

netnsTest(`${TWO.name} takes a persistent device of one queue with one thread, and says so`, [TWO.needs], async () => {
  await using lab = new Lab();
  const host = await lab.host();
  const name = uniqueInterface();
  await host.run(["ip", "tuntap", "add", "dev", name, "mode", "tun"]);
  const daemon = await Daemon.foreground(host, TWO, { name, env: { LOG_LEVEL: "debug" } });
  match(daemon.log(), /single queue: 1 thread/);
  match(daemon.log(), /threads: 1/);
});

async function exercise(pair: readonly [Implementation, Implementation], family: 4 | 6): Promise<void> {
  await using lab = new Lab();
  const { ends: [near, far] } = await openTunnel(lab, pair, { family, knows: [1] });
  try {
    const flood = await ping(near.host, inner(2), ["-q", "-f", "-c", `${PINGS}`]);
    equal(flood.received, PINGS, flood.text);
    const back = await ping(far.host, inner(1, 6), ["-q", "-f", "-c", `${PINGS}`]);
    equal(back.received, PINGS, back.text);
    for (const way of [[], ["-R"], ["--bidir"]]) ok(await flows(near, far, way) > 10e6);
    for (const { sent, received } of await transfer(near, far, TRANSFER_BYTES)) equal(received, sent);
    for (const end of [near, far]) await checkDrops(end);
  } catch (error) {
    throw new Error(`${near.daemon.log()}\n${far.daemon.log()}`, { cause: error });
  }
}

/** Bits a second of four flows. */
async function flows(near: End, far: End, way: readonly string[]): Promise<number> {
  await using server = far.host.spawn(["iperf3", "-s", "-1", "-B", inner(2), "--forceflush"]);
  await waitFor("the iperf3 server", () => server.output().includes("listening"), 5_000);
  const args = ["iperf3", "-J", "-c", inner(2), "-P", "4", "-t", "2", ...way];
  const { code, stdout } = await near.host.run(args, { timeout: 20_000 });
  const report = JSON.parse(stdout);
  equal(code, 0, report.error);
  return report.end.sum_received.bits_per_second;
}

/** What would speak of a counter or a window used wrongly. */
async function checkDrops(end: End): Promise<void> {
  const reply = await end.daemon.uapi("get=1\n\n");
  for (const reason of ["bad_tag", "not_allowed_source", "bad_inner_packet", "replayed"]) {
    const count = Number(reply.match(new RegExp(`^culvert_drop_${reason}=(\\d+)$`, "m"))?.[1] ?? 0);
    equal(count, 0, `${end.daemon.interfaceName} dropped ${count}: ${reason}`);
  }
}
