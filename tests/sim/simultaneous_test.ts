/** Both sides initiate at once. */
import assert from "node:assert/strict";
import type { Host } from "./host.ts";
import { Monitor } from "./monitor.ts";
import { Network } from "./network.ts";
import { createPair } from "./host.ts";
import { Random } from "./random.ts";
import { underSeeds } from "./seeds.ts";
import { Trace } from "./trace.ts";

/** Sends a packet a second both ways. */
function chat(network: Network, a: Host, b: Host, until: number): void {
  while (network.now < until) {
    a.send(b, 64);
    b.send(a, 64);
    network.run(1_000);
  }
}

Deno.test("Device settles simultaneous initiations within a second, 1,000 times, and rests until 120 s", () => {
  underSeeds(1_000, (seed) => {
    const network = new Network(seed);
    const random = new Random(seed);
    const latency = random.between(0, 150);
    const { a, b } = createPair(network, { latency });
    b.uplink.latency = random.chance(0.5) ? latency : random.between(0, 150);
    new Monitor(network);
    const trace = new Trace(network);
    a.send(b, 64);
    // B begins before A's initiation can have arrived.
    network.run(random.fraction() * latency * 0.99);
    const first = b.send(a, 64);
    network.runUntil(1_000);
    const { records } = network.packets;
    assert.ok(records[0].deliveredAt >= 0 && records[0].deliveredAt <= 1_000, "A's packet is not there after 1 s");
    assert.ok(records[first].deliveredAt >= 0 && records[first].deliveredAt <= 1_000, "B's packet is not there");
    for (const host of [a, b]) assert.ok(host.device.stats.keypairs <= 3);
    const handshakes = (): number => trace.times("initiation").length;
    assert.equal(handshakes(), 2);
    chat(network, a, b, 119_000);
    assert.equal(handshakes(), 2, "a handshake follows although both sessions are young");
    chat(network, a, b, 125_000);
    assert.ok(handshakes() > 2, "nobody rekeys after 120 s");
    assert.ok(records.every((record) => record.deliveredAt >= 0), "a packet was lost on a perfect link");
  });
});

Deno.test("Device settles simultaneous initiations of which any message may be lost", () => {
  underSeeds(300, (seed) => {
    const network = new Network(seed);
    const random = new Random(seed);
    const { a, b } = createPair(network, { latency: random.between(0, 150) });
    new Monitor(network);
    for (const host of [a, b]) host.uplink.loss = 0.3;
    a.send(b, 64);
    b.send(a, 64);
    network.run(random.between(0, 15_000));
    for (const host of [a, b]) host.uplink.loss = 0;
    const start = network.packets.records.length;
    const began = network.now;
    const heard = (host: Host): boolean =>
      network.packets.records.some((r, id) => id >= start && r.to === host.number && r.deliveredAt >= 0);
    while (!heard(a) || !heard(b)) {
      // 15 s for what a lost message may leave unsaid, and a retry after that.
      assert.ok(network.now - began < 21_000, "no traffic both ways 21 s after the last loss");
      a.send(b, 64);
      b.send(a, 64);
      network.run(100);
    }
  });
});
