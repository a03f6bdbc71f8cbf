/** Timelines of handshakes that fail: retries, giving up, and the loss of one message type alone. */
import assert from "node:assert/strict";
import { TYPE_COOKIE_REPLY, TYPE_DATA, TYPE_INITIATION, TYPE_RESPONSE } from "../../tunnel/messages.ts";
import { BAD_HANDSHAKE, REASON_SLOTS, STAGING_EXPIRED, STAGING_FULL } from "../../tunnel/reasons.ts";
import type { Host } from "./host.ts";
import { Random } from "./random.ts";
import { acquaintances, strangers } from "./scene.ts";
import { underSeeds } from "./seeds.ts";
import { ROUNDING } from "./trace.ts";

/** 20 initiations, each 5 s + 0–333 ms after the one before. */
function assertAttempt(times: number[], start: number): void {
  assert.equal(times.length, 20, `initiations at ${times.join(" ")}`);
  assert.ok(Math.abs(times[0] - start) <= ROUNDING, `the first initiation is at ${times[0]}, not ${start}`);
  for (let i = 1; i < times.length; i++) {
    const gap = times[i] - times[i - 1];
    assert.ok(gap >= 5_000 && gap <= 5_333 + ROUNDING, `initiation ${i + 1} comes ${gap} ms after the last one`);
  }
}

/** Loses one type of message, both ways. */
function lose(type: number, ...hosts: Host[]): void {
  for (const host of hosts) host.uplink.filter = (datagram): boolean => datagram[0] === type;
}

Deno.test("Device sends 20 initiations 5 s + 0–333 ms apart, then drops what is staged", () => {
  const gaps: number[] = [];
  underSeeds(50, (seed) => {
    const { network, a, b, trace } = strangers(seed);
    b.uplink.outage = true;
    a.uplink.outage = true;
    for (let i = 0; i < 3; i++) a.send(b, 100);
    network.runUntil(95_000);
    assert.equal(a.device.stats.staged, 3);
    const gaveUp = network.runWhile(() => a.device.stats.staged > 0, 20_000, "dropping staged packets") + 95_000;
    assert.ok(gaveUp >= 100_000 && gaveUp <= 106_660 + 1, `gave up after ${gaveUp} ms`);
    assert.equal(a.tables.peerDrops[a.slotOf(b) * REASON_SLOTS + STAGING_EXPIRED], 3);
    network.run(500_000);
    const times = trace.times("initiation");
    assertAttempt(times, 0);
    assert.equal(trace.events.length, 20);
    for (let i = 1; i < 20; i++) gaps.push(times[i] - times[i - 1] - 5_000);
  });
  // The jitter is spread over its whole range.
  if (gaps.length > 500) {
    assert.ok(Math.min(...gaps) < 10 && Math.max(...gaps) > 323);
    const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
    assert.ok(mean > 140 && mean < 190, `the mean jitter is ${mean} ms`);
  }
});

Deno.test("Device starts again with the next packet after it has given up", () => {
  const { network, a, b, trace } = strangers(3);
  a.uplink.outage = true;
  a.send(b, 100);
  network.runUntil(200_000);
  trace.clear();
  a.uplink.outage = false;
  a.send(b, 200);
  network.run(1_000);
  trace.expect([
    [200_000, "A", "initiation", 148],
    [200_010, "B", "response", 92],
    [200_020, "A", "data", 240],
    [200_030, "B", "deliver", 200],
  ]);
});

Deno.test("Device never sends two initiations within 5 s, however often it is asked", () => {
  underSeeds(20, (seed) => {
    const { network, a, b, trace } = strangers(seed);
    const random = new Random(seed);
    a.uplink.outage = true;
    while (network.now < 300_000) {
      a.send(b, 100);
      network.run(random.exponential(700));
    }
    const times = trace.times("initiation");
    assert.ok(times.length >= 55 && times.length <= 60, `${times.length} initiations in 300 s`);
    for (let i = 1; i < times.length; i++) assert.ok(times[i] - times[i - 1] >= 5_000);
    assert.ok(a.device.stats.staged <= 128);
  });
});

Deno.test("Device erases the ephemeral key and the index of a vain attempt 540 s after giving up", () => {
  const { network, a, b } = strangers(4);
  a.uplink.outage = true;
  a.send(b, 100);
  network.runUntil(120_000);
  assert.equal(a.device.stats.indices, 1);
  network.runUntil(107_000 + 540_000);
  assert.equal(a.device.stats.indices, 0);
});

Deno.test("Device drops what is staged when all keys are erased", () => {
  const { network, a, b } = acquaintances(5);
  a.uplink.outage = true;
  while (network.now < 540_000) {
    a.send(b, 100);
    network.run(1_000);
  }
  assert.equal(a.device.stats.staged, 128);
  network.runUntil(540_100);
  assert.ok(a.device.stats.staged <= 1, `${a.device.stats.staged} packets are still staged`);
});

Deno.test("Device retries 20 times when only initiations are lost", () => {
  underSeeds(20, (seed) => {
    const { network, a, b, trace } = strangers(seed);
    lose(TYPE_INITIATION, a, b);
    a.send(b, 100);
    network.runUntil(300_000);
    assertAttempt(trace.times("initiation"), 0);
    assert.equal(trace.events.length, 20);
    assert.equal(a.device.stats.staged, 0);
  });
});

Deno.test("Device retries 20 times when only responses are lost, each answered", () => {
  underSeeds(20, (seed) => {
    const { network, a, b, trace } = strangers(seed);
    lose(TYPE_RESPONSE, a, b);
    a.send(b, 100);
    network.runUntil(300_000);
    const initiations = trace.times("initiation");
    assertAttempt(initiations, 0);
    const responses = trace.times("response");
    assert.deepEqual(responses.map((time) => time.toFixed(1)), initiations.map((time) => (time + 10).toFixed(1)));
    assert.equal(trace.events.length, 40);
    assert.equal(a.device.stats.staged, 0);
    assert.equal(b.device.stats.keypairs, 1, "only the newest unconfirmed keypair is kept");
  });
});

Deno.test("Device needs no cookie replies while nobody is under load", () => {
  const { network, a, b, trace } = strangers(8);
  lose(TYPE_COOKIE_REPLY, a, b);
  a.send(b, 100);
  network.runUntil(100_000);
  trace.expect([
    [0, "A", "initiation", 148],
    [10, "B", "response", 92],
    [20, "A", "data", 144],
    [30, "B", "deliver", 100],
    [10_030, "B", "keepalive", 32],
  ]);
});

Deno.test("Device starts one new handshake after 15 s when only data is lost", () => {
  underSeeds(20, (seed) => {
    const { network, a, b, trace } = strangers(seed);
    lose(TYPE_DATA, a, b);
    a.send(b, 100);
    network.runUntil(170_000);
    const again = trace.times("initiation")[1];
    trace.expect([
      [0, "A", "initiation", 148],
      [10, "B", "response", 92],
      [20, "A", "data", 144],
      [[15_020, 15_353], "A", "initiation", 148],
      [again + 10, "B", "response", 92],
      [again + 20, "A", "keepalive", 32],
    ]);
  });
});

Deno.test("Device refuses a response made with another preshared key, in silence", () => {
  const { network, a, b, trace } = strangers(9);
  a.apply([{ op: "preshared-key", peer: a.slotOf(b), key: a.random.bytes(32) }]);
  b.apply([{ op: "preshared-key", peer: b.slotOf(a), key: b.random.bytes(32) }]);
  a.send(b, 100);
  network.runUntil(300_000);
  assertAttempt(trace.times("initiation"), 0);
  assert.equal(trace.times("response", b).length, 20);
  assert.equal(trace.events.length, 40);
  assert.equal(a.tables.peerDrops[a.slotOf(b) * REASON_SLOTS + BAD_HANDSHAKE], 20);
  assert.equal(a.device.stats.keypairs, 0);
});

Deno.test("Device completes a handshake with equal preshared keys, and refuses one side without", () => {
  const presharedKey = new Random(77).bytes(32);
  const { network, a, b, trace } = strangers(10, { presharedKey });
  a.send(b, 100);
  network.runUntil(1_000);
  assert.deepEqual(trace.times("deliver"), [30]);
  b.apply([{ op: "preshared-key", peer: b.slotOf(a), key: null }]);
  network.runUntil(600_000);
  trace.clear();
  a.send(b, 100);
  network.run(1_000);
  trace.expect([[600_000, "A", "initiation", 148], [600_010, "B", "response", 92]]);
});

Deno.test("Device that responded starts a handshake after 15 s when its first data is lost", () => {
  underSeeds(20, (seed) => {
    const { network, a, b, trace } = strangers(seed, { keepalive: 25 });
    lose(TYPE_DATA, b);
    network.runUntil(15);
    b.send(a, 200);
    network.runUntil(15_500);
    const again = trace.times("initiation")[1];
    trace.expect([
      [0, "A", "initiation", 148],
      [10, "B", "response", 92],
      [20, "A", "keepalive", 32],
      [30, "B", "data", 240],
      [[15_030, 15_363], "B", "initiation", 148],
      [again + 10, "A", "response", 92],
      [again + 20, "B", "keepalive", 32],
    ]);
  });
});

Deno.test("Device whose response is never confirmed initiates itself for what it has staged", () => {
  underSeeds(20, (seed) => {
    const { network, a, b, trace } = strangers(seed);
    a.send(b, 100);
    network.runUntil(15);
    // A is gone for a while before it can confirm.
    a.uplink.outage = true;
    network.runUntil(100);
    b.send(a, 200);
    network.runUntil(6_000);
    const initiated = trace.times("initiation", b)[0];
    a.uplink.outage = false;
    trace.expect([
      [0, "A", "initiation", 148],
      [10, "B", "response", 92],
      [20, "A", "data", 144],
      [[5_010, 5_343], "B", "initiation", 148],
      [initiated + 10, "A", "response", 92],
    ]);
  });
});

Deno.test("Device keeps the newest 128 packets while there is no session", () => {
  const { network, a, b } = strangers(11);
  a.uplink.outage = true;
  for (let i = 0; i < 200; i++) a.send(b, 100);
  assert.equal(a.device.stats.staged, 128);
  assert.equal(a.tables.peerDrops[a.slotOf(b) * REASON_SLOTS + STAGING_FULL], 72);
  a.uplink.outage = false;
  network.runUntil(6_000);
  const { records } = network.packets;
  assert.deepEqual(records.map((record) => record.deliveredAt >= 0), records.map((_, id) => id >= 72));
});
