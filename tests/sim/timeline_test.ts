/** Reference timelines of a session: what an eavesdropper sees of two devices 10 ms apart, event by event. */
import assert from "node:assert/strict";
import { KEYPAIR_EXPIRED } from "../../tunnel/reasons.ts";
import { ENDPOINT_BYTES, ENDPOINT_SOURCE_IFINDEX } from "../../tunnel/endpoint.ts";
import { acquaintances, strangers } from "./scene.ts";
import { underSeeds } from "./seeds.ts";
import type { Expected } from "./trace.ts";

const JITTER = 333;

Deno.test("Device starts cold with staged packets: initiation, response, data in order", () => {
  const { network, a, b, trace } = strangers(1);
  a.send(b, 100);
  network.runUntil(5);
  a.send(b, 200);
  assert.equal(a.device.stats.staged, 2);
  network.runUntil(9_000);
  trace.expect([
    [0, "A", "initiation", 148],
    [10, "B", "response", 92],
    [20, "A", "data", 112 + 32],
    [20, "A", "data", 208 + 32],
    [30, "B", "deliver", 100],
    [30, "B", "deliver", 200],
  ]);
  assert.equal(a.device.stats.staged, 0);
});

Deno.test("Device confirms a session with an empty packet when nothing is staged", () => {
  const { network, trace } = strangers(1, { keepalive: 25 });
  network.runUntil(9_000);
  trace.expect([
    [0, "A", "initiation", 148],
    [10, "B", "response", 92],
    [20, "A", "keepalive", 32],
  ]);
});

Deno.test("Device answers 10 s of one-way data with one keepalive, which is not answered", () => {
  const { network, trace } = acquaintances(2);
  network.runUntil(179_000);
  trace.expect([[10_030, "B", "keepalive", 32]]);
});

Deno.test("Device sends a second keepalive for data that came after the first data packet", () => {
  const { network, a, b, trace } = acquaintances(2);
  network.runUntil(5_000);
  a.send(b, 100);
  network.runUntil(100_000);
  trace.expect([
    [5_000, "A", "data", 144],
    [5_010, "B", "deliver", 100],
    [10_030, "B", "keepalive", 32],
    [20_030, "B", "keepalive", 32],
  ]);
});

Deno.test("Device that has answered data with data sends no keepalive; the other side sends the only one", () => {
  const { network, a, b, trace } = acquaintances(3);
  b.send(a, 100);
  network.runUntil(100_000);
  trace.expect([
    [1_000, "B", "data", 144],
    [1_010, "A", "deliver", 100],
    [11_010, "A", "keepalive", 32],
  ]);
});

Deno.test("Device starts a handshake 15 s after data that nobody answered, and forgets its source address", () => {
  underSeeds(20, (seed) => {
    const { network, a, b, trace } = acquaintances(seed);
    b.send(a, 100);
    network.runUntil(2_000);
    trace.clear();
    const source = ENDPOINT_BYTES * a.slotOf(b) + ENDPOINT_SOURCE_IFINDEX;
    assert.equal(a.tables.endpointView.getUint32(source, true), 2, "the source interface is remembered");
    b.uplink.outage = true;
    a.send(b, 100);
    network.runUntil(16_000);
    a.send(b, 100);
    network.runUntil(16_999);
    trace.expect([
      [2_000, "A", "data", 144],
      [2_010, "B", "deliver", 100],
      [12_010, "B", "keepalive", 32],
      [16_000, "A", "data", 144],
      [16_010, "B", "deliver", 100],
    ]);
    network.runUntil(17_400);
    assert.equal(a.tables.endpointView.getUint32(source, true), 0, "the source interface is forgotten");
    trace.expect([[[17_000, 17_000 + JITTER], "A", "initiation", 148], [
      [17_010, 17_010 + JITTER],
      "B",
      "response",
      92,
    ]]);
  });
});

Deno.test("Device that initiated rekeys when it sends after 120 s, not before, and loses no packet", () => {
  const { network, a, b, trace } = acquaintances(4);
  network.runUntil(110_000);
  trace.clear();
  network.runUntil(120_019);
  a.send(b, 100);
  network.runUntil(120_021);
  a.send(b, 200);
  network.runUntil(120_030);
  a.send(b, 300);
  network.runUntil(120_045);
  a.send(b, 400);
  network.runUntil(130_000);
  trace.expect([
    [120_019, "A", "data", 144],
    [120_021, "A", "data", 240],
    [120_021, "A", "initiation", 148],
    [120_029, "B", "deliver", 100],
    [120_030, "A", "data", 336],
    [120_031, "B", "deliver", 200],
    [120_031, "B", "response", 92],
    [120_040, "B", "deliver", 300],
    [120_041, "A", "keepalive", 32],
    [120_045, "A", "data", 432],
    [120_055, "B", "deliver", 400],
  ]);
});

Deno.test("Device that responded does not rekey when it sends after 120 s", () => {
  const { network, a, b, trace } = acquaintances(5);
  const expected: Expected[] = [[10_030, "B", "keepalive", 32]];
  for (let time = 121_000; time < 160_000; time += 3_000) {
    network.runUntil(time);
    b.send(a, 100);
    expected.push([time, "B", "data", 144], [time + 10, "A", "deliver", 100]);
  }
  network.runUntil(160_000);
  // A only listens: its keepalives are sends of the initiator after 120 s, and the first of them rekeys.
  const keepalive = 121_010 + 10_000;
  const seen = trace.events.filter((event) => event.time < keepalive);
  assert.ok(seen.every((event) => event.event !== "initiation"));
  assert.deepEqual(trace.times("initiation"), [keepalive]);
  assert.deepEqual(trace.times("initiation", b), []);
  assert.equal(expected.filter((line) => line[2] === "deliver").length, trace.times("deliver", a).length);
});

Deno.test("Device that initiated rekeys when it only receives after 165 s, not at 164 s", () => {
  const { network, a, b, trace } = acquaintances(6);
  network.runUntil(164_000);
  b.send(a, 100);
  network.runUntil(165_009);
  trace.expect([
    [10_030, "B", "keepalive", 32],
    [164_000, "B", "data", 144],
    [164_010, "A", "deliver", 100],
  ]);
  network.runUntil(165_011);
  b.send(a, 200);
  b.send(a, 300);
  network.runUntil(166_000);
  trace.expect([
    [165_011, "B", "data", 240],
    [165_011, "B", "data", 336],
    [165_021, "A", "initiation", 148],
    [165_021, "A", "deliver", 200],
    [165_021, "A", "deliver", 300],
    [165_031, "B", "response", 92],
    [165_041, "A", "keepalive", 32],
  ]);
});

Deno.test("Device sends nothing under a key of 180 s: the packet waits for a new session", () => {
  const { network, a, b, trace } = acquaintances(7);
  network.runUntil(180_005);
  trace.clear();
  b.send(a, 100);
  network.runUntil(180_021);
  a.send(b, 200);
  network.runUntil(181_000);
  trace.expect([
    [180_005, "B", "data", 144],
    // Heard at an age of 179,995: the receiving initiator's last chance.
    [180_015, "A", "initiation", 148],
    [180_015, "A", "deliver", 100],
    [180_025, "B", "response", 92],
    [180_035, "A", "data", 240],
    [180_045, "B", "deliver", 200],
  ]);
});

Deno.test("Device refuses a packet that arrives under a key of 180 s", () => {
  const { network, a, b, trace } = acquaintances(8);
  network.runUntil(179_900);
  trace.clear();
  b.uplink.latency = 121;
  b.send(a, 100);
  network.runUntil(181_000);
  trace.expect([[179_900, "B", "data", 144]]);
  assert.equal(a.tables.deviceDrops[KEYPAIR_EXPIRED], 1);
});

Deno.test("Device erases everything 540 s after its last session began, and not before", () => {
  const { network, a, b } = acquaintances(9);
  network.runUntil(540_009);
  assert.deepEqual([a.device.stats.keypairs, b.device.stats.keypairs], [1, 1]);
  network.runUntil(540_011);
  assert.deepEqual([a.device.stats.keypairs, b.device.stats.keypairs], [1, 0]);
  assert.ok(b.tables.keypairKeys.every((byte) => byte === 0));
  assert.ok(a.tables.keypairKeys.some((byte) => byte !== 0));
  network.runUntil(540_021);
  assert.deepEqual([a.device.stats.keypairs, a.device.stats.indices, b.device.stats.indices], [0, 0, 0]);
  assert.ok(a.tables.keypairKeys.every((byte) => byte === 0));
});

Deno.test("Device sends persistent keepalives, put off by any authenticated packet", () => {
  const { network, a, b, trace } = strangers(10, { keepalive: 25 });
  network.runUntil(30_000);
  b.send(a, 100);
  network.runUntil(121_000);
  trace.expect([
    [0, "A", "initiation", 148],
    [10, "B", "response", 92],
    [20, "A", "keepalive", 32],
    [25_020, "A", "keepalive", 32],
    [30_000, "B", "data", 144],
    [30_010, "A", "deliver", 100],
    // The answer to data that nothing else answers, and 25 s later on from there.
    [40_010, "A", "keepalive", 32],
    [65_010, "A", "keepalive", 32],
    [90_010, "A", "keepalive", 32],
    [115_010, "A", "keepalive", 32],
  ]);
  network.runUntil(141_000);
  trace.expect([
    [140_010, "A", "keepalive", 32],
    [140_010, "A", "initiation", 148],
    [140_020, "B", "response", 92],
    [140_030, "A", "keepalive", 32],
  ]);
});

Deno.test("Device that responded sends nothing under the new key before it is confirmed", () => {
  const { network, a, b, trace } = strangers(11);
  a.send(b, 100);
  network.runUntil(15);
  b.send(a, 200);
  assert.equal(b.device.stats.staged, 1);
  network.runUntil(1_000);
  trace.expect([
    [0, "A", "initiation", 148],
    [10, "B", "response", 92],
    [20, "A", "data", 144],
    [30, "B", "data", 240],
    [30, "B", "deliver", 100],
    [40, "A", "deliver", 200],
  ]);
});

Deno.test("Device that responded stays on the old key while the confirmation is lost", () => {
  const { network, a, b, trace } = acquaintances(12);
  network.runUntil(121_000);
  trace.clear();
  const oldIndex = a.tables.localIndex[a.tables.currentKeypair[0]];
  a.uplink.filter = (datagram) => datagram[0] === 4 && network.now > 121_010;
  a.send(b, 100);
  network.runUntil(122_000);
  b.send(a, 200);
  network.runUntil(122_100);
  trace.expect([
    [121_000, "A", "data", 144],
    [121_000, "A", "initiation", 148],
    [121_010, "B", "deliver", 100],
    [121_010, "B", "response", 92],
    [121_020, "A", "keepalive", 32],
    [122_000, "B", "data", 240],
    [122_010, "A", "deliver", 200],
  ]);
  assert.notEqual(a.tables.localIndex[a.tables.currentKeypair[0]], oldIndex);
  assert.equal(a.tables.localIndex[a.tables.previousKeypair[0]], oldIndex);
  assert.notEqual(b.tables.nextKeypair[0], -1);
});
