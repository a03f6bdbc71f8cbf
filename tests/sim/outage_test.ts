/** How long it takes until traffic flows again after an outage: 0.3 s while keys live, 6 s after they have expired. */
import assert from "node:assert/strict";
import { createPair, type Host } from "./host.ts";
import { Monitor } from "./monitor.ts";
import { Network } from "./network.ts";
import { Random } from "./random.ts";
import { underSeeds } from "./seeds.ts";

const INTERVAL = 100;

/** Ten packets a second each way until both have heard from the other since `since`; returns the time that took. */
function recover(network: Network, a: Host, b: Host, limit: number): number {
  const began = network.now;
  const start = network.packets.records.length;
  const { records } = network.packets;
  const last = { a: -1, b: -1 };
  while (last.a < 0 || last.b < 0) {
    assert.ok(network.now - began <= limit, `no traffic both ways ${network.now - began} ms after the outage`);
    a.send(b, 100);
    b.send(a, 100);
    network.run(INTERVAL);
    for (let id = start; id < records.length; id++) {
      const { to, deliveredAt } = records[id];
      if (deliveredAt < 0) continue;
      if (to === a.number && last.a < 0) last.a = deliveredAt;
      if (to === b.number && last.b < 0) last.b = deliveredAt;
    }
  }
  return Math.max(last.a, last.b) - began;
}

function outage(seed: number, seconds: number): number {
  const network = new Network(seed);
  const random = new Random(seed);
  const { a, b } = createPair(network, { latency: random.between(1, 50) });
  new Monitor(network);
  const cut = random.pick([[a, b], [a], [b]]);
  const start = random.between(200, 240_000);
  while (network.now < start) {
    a.send(b, 100);
    b.send(a, 100);
    network.run(INTERVAL * 5);
  }
  for (const host of cut) host.uplink.outage = true;
  const end = network.now + seconds * 1_000;
  while (network.now < end) {
    a.send(b, 100);
    b.send(a, 100);
    network.run(Math.min(INTERVAL * 5, end - network.now));
  }
  for (const host of cut) host.uplink.outage = false;
  const live = [a, b].every((host) => host.now - host.tables.createdAt[host.tables.currentKeypair[0]] < 179_000) &&
    a.tables.remoteIndex[a.tables.currentKeypair[0]] === b.tables.localIndex[b.tables.currentKeypair[0]];
  return recover(network, a, b, live ? 300 : 6_000);
}

for (const seconds of [3, 10, 60, 130, 200, 600]) {
  Deno.test(`Device is back after an outage of ${seconds} s: in 0.3 s while keys live, in 6 s when they have expired`, () => {
    underSeeds(30, (seed) => void outage(seed, seconds));
  });
}

Deno.test("Device is back within 6 s after the other side has lost its memory", () => {
  underSeeds(30, (seed) => {
    const network = new Network(seed);
    const random = new Random(seed);
    const { a, b } = createPair(network);
    new Monitor(network);
    a.send(b, 100);
    network.run(random.between(100, 100_000));
    b.down();
    b.up();
    // The one who has lost its memory speaks first: at once. A's own initiation may just have been sent.
    b.send(a, 100);
    recover(network, a, b, 300);
  });
});

Deno.test("Device finds out within 16 s that the other side has lost its memory, when only it speaks", () => {
  underSeeds(30, (seed) => {
    const network = new Network(seed);
    const random = new Random(seed);
    const { a, b } = createPair(network);
    new Monitor(network);
    a.send(b, 100);
    network.run(random.between(100, 100_000));
    b.down();
    b.up();
    const began = network.now;
    const { delivered } = network.packets;
    while (network.packets.delivered === delivered) {
      assert.ok(network.now - began < 16_000, "A has not noticed within 16 s");
      a.send(b, 100);
      network.run(INTERVAL);
    }
  });
});
