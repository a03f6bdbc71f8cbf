/** Roaming: the endpoint is where the newest authenticated initiation, response or data packet came from. */
import assert from "node:assert/strict";
import { INIT_MAC2, TYPE_DATA, TYPE_INITIATION, TYPE_RESPONSE } from "../../tunnel/messages.ts";
import { OLD_TIMESTAMP, REPLAYED } from "../../tunnel/reasons.ts";
import type { Host } from "./host.ts";
import { addressKey, type Network } from "./network.ts";
import { acquaintances, strangers } from "./scene.ts";
import { underLoad } from "./flood.ts";

function assertKnows(host: Host, peer: Host, record: Uint8Array, message: string): void {
  assert.equal(addressKey(host.endpointOf(peer)), addressKey(record), message);
}

/** Collects every datagram with its sender's record. */
function capture(network: Network): { from: Host; datagram: Uint8Array }[] {
  const captured: { from: Host; datagram: Uint8Array }[] = [];
  network.observers.push({ sent: (from, datagram) => void captured.push({ from, datagram }) });
  return captured;
}

Deno.test("Device follows a peer to the source of its initiation", () => {
  const { network, a, b } = strangers(1);
  a.move(6, 99, 1234);
  a.send(b, 100);
  network.runUntil(15);
  assertKnows(b, a, a.record, "B answers where A is now");
  network.runUntil(100);
  assert.equal(network.packets.delivered, 1);
});

Deno.test("Device follows a peer to the source of its response", () => {
  const { network, a, b, trace } = strangers(2);
  const old = b.record;
  a.send(b, 100);
  b.move(6, 77, 4321, true);
  network.runUntil(15);
  assertKnows(a, b, old, "A has not heard yet");
  network.runUntil(21);
  assertKnows(a, b, b.record, "A follows the response");
  network.runUntil(100);
  assert.equal(trace.times("deliver", b).length, 1);
});

Deno.test("Device follows a peer to the source of its data, and answers there", () => {
  const { network, a, b, trace } = acquaintances(3);
  const old = a.record;
  for (const [family, port] of [[4, 1111], [6, 2222], [4, 3333]] as const) {
    a.move(family, 40_000 + port, port);
    assertKnows(b, a, old, "B has not heard yet");
    a.send(b, 100);
    network.run(20);
    assertKnows(b, a, a.record, "B follows the data");
    b.send(a, 100);
    network.run(20);
    assert.equal(trace.times("deliver", a).length, 1, "A is reached at its new address");
    trace.clear();
    old.set(a.record);
  }
});

Deno.test("Device follows a peer to the source of its keepalive", () => {
  const { network, a, b } = acquaintances(4);
  b.move(4, 500, 500);
  network.runUntil(11_000);
  assertKnows(a, b, b.record, "A follows the keepalive of 10 s");
});

Deno.test("Device does not follow a cookie reply, and uses its cookie all the same", () => {
  const { network, a, b, trace } = strangers(5);
  const load = underLoad(b);
  const old = b.record;
  a.send(b, 100);
  b.move(4, 600, 600, true);
  network.runUntil(1_000);
  assert.equal(trace.times("cookie").length, 1);
  assertKnows(a, b, old, "A stays with the address it knows");
  load.stop();
  network.runUntil(7_000);
  const retry = trace.datagrams.filter((datagram) => datagram[0] === TYPE_INITIATION)[1];
  assert.ok(retry.subarray(INIT_MAC2).some((byte) => byte !== 0), "the retry carries mac2");
  assert.equal(trace.times("deliver", b).length, 1);
  assertKnows(a, b, b.record, "A follows the response that comes in the end");
});

Deno.test("Device follows no replayed initiation, response or data", () => {
  const { network, a, b } = strangers(6);
  const captured = capture(network);
  a.send(b, 100);
  network.runUntil(500);
  b.send(a, 100);
  network.runUntil(1_000);
  const stranger = b.record.slice();
  stranger[2] ^= 0x55;
  const types = new Set<number>();
  const delivered = network.packets.delivered;
  for (const { from, datagram } of captured.slice()) {
    const to = from === a ? b : a;
    types.add(datagram[0]);
    to.arrive(datagram, stranger);
    assertKnows(to, from, from.record, `${to.name} stays after a replay of type ${datagram[0]}`);
  }
  assert.deepEqual([...types].sort(), [TYPE_INITIATION, TYPE_RESPONSE, TYPE_DATA]);
  assert.equal(network.packets.delivered, delivered);
  assert.equal(b.tables.deviceDrops[OLD_TIMESTAMP], 1);
  assert.ok(a.tables.deviceDrops[REPLAYED] > 0 && b.tables.deviceDrops[REPLAYED] > 0);
});

Deno.test("Device delivers nothing of a whole replayed capture, and its endpoint stays", () => {
  const { network, a, b } = strangers(7);
  const captured = capture(network);
  while (network.now < 400_000) {
    a.send(b, 100);
    b.send(a, 200);
    network.run(997);
  }
  network.run(1_000);
  const delivered = network.packets.delivered;
  const keypairs = [a, b].map((host) => host.device.stats.keypairs);
  const indices = [a, b].map((host) => host.device.stats.indices);
  const stranger = a.record.slice();
  stranger[2] ^= 0xff;
  assert.ok(captured.length > 800);
  const sent = captured.length;
  for (const { from, datagram } of captured.slice()) (from === a ? b : a).arrive(datagram, stranger);
  assert.equal(network.packets.delivered, delivered, "a replayed packet was delivered");
  assertKnows(a, b, b.record, "A's endpoint of B has moved");
  assertKnows(b, a, a.record, "B's endpoint of A has moved");
  assert.equal(captured.length, sent, "a replayed message was answered");
  assert.deepEqual([a, b].map((host) => host.device.stats.keypairs), keypairs);
  assert.deepEqual([a, b].map((host) => host.device.stats.indices), indices);
});
