/**
 * Workers that break down for real, see fragile.ts: the tunnel is back without anybody's doing, on the same interface
 * and port, until it happens too often.
 */

import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { CULVERT_BATCH, CULVERT_FILE, type Implementation } from "./implementation.ts";
import { Lab } from "./lab.ts";
import { sleep, waitFor } from "./process.ts";
import { netnsTest } from "./requirements.ts";
import { type End, inner, openTunnel, PORTS, untilReachable } from "./tunnel.ts";

const SCRIPT = new URL("./fragile.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;
const MARK = "0x77";
/** The workers' start takes some 0.2 s here; the rest is for a busy machine. */
const LONGEST_OUTAGE = 5_000;

const KINDS: readonly (readonly string[])[] = [
  ["--carrier", "batch"],
  ["--carrier", "batch", "--threads", "3"],
  ["--carrier", "datagram"],
];

for (const args of KINDS) {
  netnsTest(
    `with ${args.join(" ")} the tunnel is back by itself after its workers broke down`,
    [CULVERT_FILE],
    async () => {
      await using lab = new Lab();
      const { ends: [near, far] } = await openTunnel(lab, [fragile(args), CULVERT_BATCH], { presharedKey: true });
      await near.daemon.set("fwmark", MARK);
      await untilReachable(far.host, inner(1));
      const before = await lookAt(near);
      for (let round = 1; round <= 2; round++) {
        await breakDown(near, round);
        const start = performance.now();
        // The far side goes first: it goes on under keys that nobody knows any more, and is called.
        await untilReachable(far.host, inner(1), LONGEST_OUTAGE);
        await untilReachable(near.host, inner(2, 6), LONGEST_OUTAGE);
        ok(performance.now() - start < LONGEST_OUTAGE);
        deepEqual(await lookAt(near), before);
        ok((await near.host.udpPorts()).includes(PORTS[0]));
      }
      // It still takes requests, and ends in order.
      await near.daemon.set("peer", far.keys.publicKey, "persistent-keepalive", "25");
      equal((await near.daemon.show()).peers[0].keepalive, "25");
      near.daemon.signal("SIGTERM");
      await near.daemon.gone();
    },
  );
}

netnsTest(
  "a request that comes while the workers start anew is carried out, on top of all the rest",
  [CULVERT_FILE],
  async () => {
    await using lab = new Lab();
    const { ends: [near, far] } = await openTunnel(lab, [fragile(KINDS[0]), CULVERT_BATCH]);
    await untilReachable(far.host, inner(1));
    await breakDown(near, 1);
    await near.daemon.set("peer", far.keys.publicKey, "persistent-keepalive", "25");
    const [peer] = (await near.daemon.show()).peers;
    deepEqual([peer.keepalive, peer.allowedIps.length], ["25", 2]);
    await untilReachable(far.host, inner(1), LONGEST_OUTAGE);
  },
);

netnsTest(
  "a port that was taken meanwhile is exchanged for another, and peers follow",
  [CULVERT_FILE, "ncat"],
  async () => {
    await using lab = new Lab();
    const { ends: [near, far] } = await openTunnel(lab, [fragile(KINDS[0]), CULVERT_BATCH]);
    await untilReachable(far.host, inner(1));
    // The first restart comes at once, the second after a pause that is long enough for a thief.
    await breakDown(near, 1);
    await untilReachable(far.host, inner(1), LONGEST_OUTAGE);
    await breakDown(near, 2);
    await near.host.takePort(PORTS[0]);
    await waitFor("the restart", () => near.daemon.log().includes("was taken by another program"));
    await untilReachable(far.host, inner(1), LONGEST_OUTAGE);
    ok((await near.daemon.show()).listenPort !== PORTS[0]);
  },
);

netnsTest("workers that break down again and again end the interface, with the reason", [CULVERT_FILE], async () => {
  await using lab = new Lab();
  const { ends: [near] } = await openTunnel(lab, [fragile(KINDS[0]), CULVERT_BATCH]);
  for (let round = 1; round <= 5; round++) {
    await breakDown(near, round);
    await waitFor("the next timer", () => hasTimer(near), 20_000);
  }
  near.daemon.signal("SIGUSR1");
  await near.daemon.gone();
  match(near.daemon.log(), /the data plane of \S+ broke down: .*(EBADF|EINVAL).*; start it again/);
});

function fragile(args: readonly string[]): Implementation {
  const script = [Deno.execPath(), "run", "-A", "--cached-only", "--config", CONFIG, SCRIPT];
  return { ...CULVERT_BATCH, name: "culvert with a saboteur", command: () => Promise.resolve([...script, ...args]) };
}

/** @param round counts the breakdowns of this process */
async function breakDown({ daemon }: End, round: number): Promise<void> {
  // What was started last may not have gone to sleep yet.
  await sleep(100);
  daemon.signal("SIGUSR1");
  await waitFor("the breakdown", () => daemon.log().split("starting it again").length > round);
}

function hasTimer({ daemon }: End): boolean {
  const folder = `/proc/${daemon.pid}/fd`;
  return [...Deno.readDirSync(folder)].some(({ name }) => {
    try {
      return Deno.readLinkSync(`${folder}/${name}`) === "anon_inode:[timerfd]";
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  });
}

/** What must be as it was: all but counters and handshakes. */
async function lookAt({ daemon }: End): Promise<unknown> {
  const { peers, ...device } = await daemon.show();
  const settled = peers.map(({ latestHandshake: _1, received: _2, sent: _3, ...peer }) => peer);
  return {
    ...device,
    peers: settled,
    addresses: await daemon.ip("-o", "address", "show", "dev", daemon.interfaceName),
  };
}
