/** Peers that come and go leave nothing behind. */
import assert from "node:assert/strict";
import { cheapSuite } from "./cheap_suite.ts";
import { liveMemory } from "./heap.ts";
import { Host } from "./host.ts";
import { Network, perfectLink } from "./network.ts";
import { innerAddress } from "./packets.ts";

const ROUNDS = 10_000;
/** Peers that the hub keeps while others come and go. */
const SLOTS = 4;

Deno.test("Device returns to where it started after 10,000 peers have come and gone", () => {
  const network = new Network(1);
  const hub = new Host(network, { suite: cheapSuite, capacity: { peers: SLOTS, keypairs: 4 * SLOTS } });
  hub.up();
  const guest = new Host(network, { suite: cheapSuite });
  guest.uplink = perfectLink(1);
  hub.uplink = perfectLink(1);
  guest.up();
  const start = hub.device.stats;
  let heap = 0;
  for (let round = 0; round < ROUNDS; round++) {
    if (round === 2_000) heap = liveMemory();
    const slot = hub.addPeer(guest, { endpoint: round % 3 !== 0, keepalive: round % 5 === 0 ? 25 : 0 });
    const back = guest.addPeer(hub);
    guest.send(hub, 100);
    network.run(3);
    hub.send(guest, 100);
    network.run(round % 4);
    if (round % 7 === 0) hub.send(guest, 100);
    hub.removePeer(slot);
    // What is under way towards the removed peer arrives at a hub that knows it no more.
    guest.send(hub, 100);
    guest.removePeer(back);
    network.run(2);
    if (round % 100 === 0) {
      assert.deepEqual(hub.device.stats, start, `round ${round}`);
      assert.ok(hub.tables.keypairKeys.every((byte) => byte === 0), `round ${round} leaves key bytes`);
      assert.ok(hub.tables.deadlines.every((at) => at === 0 || at === Infinity), `round ${round} leaves a timer`);
    }
    // Past the spacing of initiations.
    network.run(30);
    network.packets.records.length = 0;
  }
  assert.deepEqual(hub.device.stats, start);
  network.run(600_000);
  assert.equal(hub.device.nextDeadline(), Infinity);
  assert.ok(network.packets.delivered > ROUNDS, `${network.packets.delivered} packets were delivered`);
  const grown = liveMemory() - heap;
  assert.ok(grown < 1_000_000, `the heap has grown by ${grown} bytes`);
});

Deno.test("Device frees everything of 1,000 peers that never answer when they are removed", () => {
  const network = new Network(2);
  const hub = new Host(network, { capacity: { peers: 1_000, keypairs: 4_000 } });
  hub.up();
  const start = hub.device.stats;
  for (let round = 0; round < 10; round++) {
    for (let peer = 0; peer < 1_000; peer++) {
      const publicKey = hub.random.bytes(32);
      const record = hub.record.slice();
      record[2] ^= 1;
      hub.apply([
        { op: "add-peer", peer, publicKey },
        { op: "endpoint", peer, record },
        { op: "keepalive", peer, seconds: 25 },
        { op: "allowed-ip", peer, address: innerAddress(4, peer), cidr: 32 },
        { op: "peer-configured", peer },
      ]);
    }
    assert.equal(hub.device.stats.indices, 1_000);
    network.run(6_000);
    assert.equal(hub.device.stats.indices, 1_000, "a retry takes no second index");
    for (let peer = 0; peer < 1_000; peer++) hub.apply([{ op: "remove-peer", peer }]);
    assert.deepEqual(hub.device.stats, start);
  }
  network.run(600_000);
  assert.equal(hub.device.nextDeadline(), Infinity);
});
