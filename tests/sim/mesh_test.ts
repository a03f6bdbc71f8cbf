/** Several devices that all know each other, over bad links. */
import assert from "node:assert/strict";
import { Host } from "./host.ts";
import { Monitor } from "./monitor.ts";
import { Network, perfectLink } from "./network.ts";
import { Random } from "./random.ts";
import { underSeeds } from "./seeds.ts";

const HOSTS = 6;
const HOUR = 3_600_000;

Deno.test("Device talks to five peers for an hour over bad links, and to all of them once the links are good", () => {
  underSeeds(10, (seed) => {
    const network = new Network(seed);
    const random = new Random(seed);
    const monitor = new Monitor(network);
    const capacity = { peers: HOSTS - 1, keypairs: 3 * (HOSTS - 1) };
    const hosts = Array.from({ length: HOSTS }, () => new Host(network, { capacity, family: random.pick([4, 6]) }));
    for (const host of hosts) {
      host.up();
      host.uplink = { ...perfectLink(random.between(1, 100)), loss: 0.1, duplication: 0.1, reordering: 0.1 };
      host.uplink.reorderDelay = 500;
      host.uplink.corruption = 0.02;
      for (const peer of hosts) if (peer !== host) host.addPeer(peer, { keepalive: random.chance(0.2) ? 25 : 0 });
    }
    while (network.now < HOUR) {
      const from = random.pick(hosts);
      const to = random.pick(hosts);
      if (from !== to) from.send(to, 28 + random.below(1_393), random.pick([4, 6]));
      network.run(random.exponential(400));
    }
    assert.ok(monitor.checked.delivered > 3_000);
    for (const host of hosts) host.uplink = perfectLink(20);
    network.run(20_000);
    // Nobody keeps a key that the other side does not have: the first packet may still have to find that out.
    for (let second = 0; second < 25; second++) {
      for (const from of hosts) for (const to of hosts) if (from !== to) from.send(to, 100);
      network.run(1_000);
    }
    const last = network.packets.records.slice(-HOSTS * (HOSTS - 1));
    assert.ok(last.every((record) => record.deliveredAt >= 0), "some pair cannot talk");
  });
});
