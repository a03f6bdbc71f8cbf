/** Candidates for a peer's endpoint: raced with one initiation while it is silent, left alone while it answers. */
import assert from "node:assert/strict";
import { isInitiating, unansweredSince } from "../../tunnel/peer_health.ts";
import { OLD_TIMESTAMP } from "../../tunnel/reasons.ts";
import { ENDPOINT_BYTES, ENDPOINT_SOURCE_IFINDEX, endpointRecord } from "../../tunnel/endpoint.ts";
import type { Host } from "./host.ts";
import { addressKey } from "./network.ts";
import { acquaintances, type Scene, strangers } from "./scene.ts";

const NOBODY = endpointRecord(Uint8Array.of(203, 0, 99, 99), 9);

function tell(host: Host, peer: Host, records: readonly Uint8Array[], isSilent = false): void {
  const slot = host.slotOf(peer);
  host.apply([
    { op: "begin-candidates", peer: slot },
    ...records.map((record) => ({ op: "candidate", peer: slot, record } as const)),
    { op: "end-candidates", peer: slot, isSilent },
  ]);
}

/** Where initiations went, in order, and the bytes of each. */
function watchInitiations({ network, a }: Scene): { to: (string | number)[]; bytes: Set<string> } {
  const seen = { to: [] as (string | number)[], bytes: new Set<string>() };
  const { transmit } = network;
  network.transmit = (from, datagram, destination): void => {
    if (from === a && datagram[0] === 1) {
      seen.to.push(addressKey(destination));
      seen.bytes.add(datagram.join());
    }
    transmit.call(network, from, datagram, destination);
  };
  return seen;
}

function assertKnows(host: Host, peer: Host, record: Uint8Array): void {
  assert.equal(addressKey(host.endpointOf(peer)), addressKey(record));
}

Deno.test("Device sends the bytes of one initiation to the endpoint and all candidates, and follows the response", () => {
  const scene = strangers(1);
  const { network, a, b, trace } = scene;
  const seen = watchInitiations(scene);
  const old = b.record;
  b.move(4, 50, 1000);
  tell(a, b, [old, NOBODY, b.record]);
  a.send(b, 100);
  network.runUntil(1_000);
  trace.expect([
    [0, "A", "initiation", 148],
    [0, "A", "initiation", 148],
    [0, "A", "initiation", 148],
    [10, "B", "response", 92],
    [20, "A", "data", 144],
    [30, "B", "deliver", 100],
  ]);
  assert.deepEqual(seen.to, [old, NOBODY, b.record].map(addressKey));
  assert.equal(seen.bytes.size, 1);
  assertKnows(a, b, b.record);
  assert.equal(a.tables.txBytes[a.slotOf(b)], 3 * 148 + 144);
});

Deno.test("Device sends the waiting initiation to candidates that come later, and no second one within 5 s", () => {
  const scene = strangers(2);
  const { network, a, b, trace } = scene;
  const seen = watchInitiations(scene);
  b.move(6, 50, 1000);
  tell(a, b, []);
  a.send(b, 100);
  network.runUntil(1_000);
  assert.equal(seen.to.length, 1);
  tell(a, b, [NOBODY]);
  tell(a, b, [NOBODY, b.record]);
  network.runUntil(2_000);
  trace.expect([
    [0, "A", "initiation"],
    [1_000, "A", "initiation"],
    [1_000, "A", "initiation"],
    [1_010, "B", "response"],
    [1_020, "A", "data"],
    [1_030, "B", "deliver"],
  ]);
  assert.deepEqual(seen.to.slice(1), [NOBODY, b.record].map(addressKey));
  assert.equal(seen.bytes.size, 1);
});

Deno.test("Device retries with all candidates, 5 s + 0–333 ms apart", () => {
  const scene = strangers(3);
  const { network, a, b, trace } = scene;
  const seen = watchInitiations(scene);
  b.uplink.outage = true;
  tell(a, b, [NOBODY, b.record]);
  a.send(b, 100);
  network.runUntil(12_000);
  trace.expect([
    [0, "A", "initiation"],
    [0, "A", "initiation"],
    [10, "B", "response"],
    [[5_000, 5_333], "A", "initiation"],
    [[5_000, 5_333], "A", "initiation"],
    [[5_010, 5_343], "B", "response"],
    [[10_000, 10_666], "A", "initiation"],
    [[10_000, 10_666], "A", "initiation"],
    [[10_010, 10_676], "B", "response"],
  ]);
  assert.equal(seen.bytes.size, 3);
  assert.equal(isInitiating(a.tables, a.slotOf(b)), true);
});

Deno.test("Device is answered once by a peer that is at two of the addresses", () => {
  const scene = strangers(4);
  const { network, a, b, trace } = scene;
  const old = b.record;
  b.move(4, 50, 1000, true);
  tell(a, b, [old, b.record]);
  a.send(b, 100);
  network.runUntil(1_000);
  assert.equal(trace.times("initiation").length, 2);
  assert.equal(trace.times("response").length, 1);
  assert.equal(b.tables.deviceDrops[OLD_TIMESTAMP], 1);
});

Deno.test("Device does not move a peer that answers, neither at a rekey nor when it is said to be silent", () => {
  const scene = acquaintances(5);
  const { network, a, b, trace } = scene;
  const seen = watchInitiations(scene);
  const old = b.record;
  b.move(4, 50, 1000, true);
  // It answers from where it was.
  b.record = old;
  tell(a, b, [endpointRecord(Uint8Array.of(203, 0, 0, 50), 1000)]);
  for (let second = 0; second < 130; second++) {
    a.send(b, 100);
    network.run(500);
    b.send(a, 100);
    network.run(500);
  }
  assert.equal(trace.times("response").length, 1);
  assert.deepEqual(seen.to, [addressKey(old)]);
  tell(a, b, [endpointRecord(Uint8Array.of(203, 0, 0, 50), 1000)], true);
  network.run(1_000);
  assert.equal(seen.to.length, 1);
  assertKnows(a, b, old);
});

Deno.test("Device starts a handshake with the candidates of a peer that is silent", () => {
  const scene = acquaintances(6);
  const { network, a, b, trace } = scene;
  // B's keepalive is over.
  network.runUntil(10_500);
  const seen = watchInitiations(scene);
  const old = b.record;
  b.move(4, 50, 1000);
  a.send(b, 100);
  const slot = a.slotOf(b);
  assert.ok(unansweredSince(a.tables, slot) - a.now <= 333);
  network.run(3_000);
  trace.clear();
  tell(a, b, [b.record], true);
  network.run(1_000);
  assert.deepEqual(seen.to, [old, b.record].map(addressKey));
  assert.equal(seen.bytes.size, 1);
  trace.expect([
    [0, "A", "initiation"],
    [0, "A", "initiation"],
    [10, "B", "response"],
    [20, "A", "keepalive"],
  ], 13_500);
  assertKnows(a, b, b.record);
  assert.equal(unansweredSince(a.tables, slot), Infinity);
  const id = a.send(b, 100);
  network.run(100);
  assert.ok(network.packets.records[id] !== undefined && trace.times("deliver", b).length === 1);
});

Deno.test("Device tries the candidates by itself when data stays unanswered for 15 s", () => {
  const scene = acquaintances(7);
  const { network, a, b } = scene;
  network.runUntil(10_500);
  b.move(6, 50, 1000);
  tell(a, b, [b.record]);
  const seen = watchInitiations(scene);
  a.send(b, 100);
  network.run(14_900);
  assert.equal(seen.to.length, 0);
  network.run(600);
  assert.equal(seen.to.length, 2);
  assertKnows(a, b, b.record);
});

Deno.test("Device holds to 5 s between initiations also for silent peers, and then tries all of them", () => {
  const scene = acquaintances(8);
  const { network, a, b } = scene;
  const seen = watchInitiations(scene);
  b.move(4, 50, 1000);
  a.send(b, 100);
  network.runUntil(4_500);
  tell(a, b, [b.record], true);
  assert.equal(seen.to.length, 0);
  network.runUntil(5_400);
  assert.equal(seen.to.length, 2);
  assertKnows(a, b, b.record);
});

Deno.test("Device keeps 8 candidates and forgets them with the names", () => {
  const scene = strangers(9);
  const { network, a, b } = scene;
  const seen = watchInitiations(scene);
  const many = Array.from({ length: 12 }, (_, i) => endpointRecord(Uint8Array.of(203, 0, 9, i), 9));
  tell(a, b, [...many, ...many]);
  b.uplink.outage = true;
  a.send(b, 100);
  assert.equal(seen.to.length, 9);
  a.apply([{ op: "forget-candidates", peer: a.slotOf(b) }]);
  network.run(6_000);
  assert.equal(seen.to.length, 10);
});

Deno.test("Device puts a peer that was nowhere where its first candidate is, and says what waits", () => {
  const { network, a, b, trace } = strangers(10);
  a.removePeer(a.slotOf(b));
  a.addPeer(b, { endpoint: false, keepalive: 25 });
  network.run(1_000);
  assert.equal(trace.events.length, 0);
  tell(a, b, [b.record]);
  network.run(100);
  assert.deepEqual(trace.events.map(({ event }) => event), ["initiation", "response", "keepalive"]);
});

Deno.test("Device tells a peer with a session that the path has changed, once, from an address of the kernel's choice", () => {
  const { network, a, b, trace } = acquaintances(11);
  network.runUntil(11_000);
  trace.clear();
  const slot = a.slotOf(b);
  const at = slot * ENDPOINT_BYTES;
  const source = (): Uint8Array => a.tables.endpoints.slice(at + ENDPOINT_SOURCE_IFINDEX, at + ENDPOINT_BYTES);
  assert.ok(source().some((byte) => byte !== 0));
  a.move(4, 60, 2000);
  a.apply([{ op: "path-changed", peer: slot, keepsSource: true }]);
  assert.ok(source().some((byte) => byte !== 0));
  network.run(1_000);
  trace.expect([[11_000, "A", "keepalive"]]);
  trace.clear();
  a.apply([{ op: "path-changed", peer: slot, keepsSource: false }]);
  assert.ok(source().every((byte) => byte === 0));
  network.run(1_000);
  trace.expect([[12_000, "A", "keepalive"]]);
  assertKnows(b, a, a.record);
});

Deno.test("Device calls peers without a session after a change of path only if there is something to say", () => {
  const quiet = strangers(12);
  quiet.a.apply([{ op: "path-changed", peer: 0, keepsSource: false }]);
  quiet.network.run(1_000);
  assert.equal(quiet.trace.events.length, 0);
  const scene = strangers(13, { keepalive: 25 });
  const { network, a, b } = scene;
  network.runUntil(200);
  a.uplink.outage = true;
  network.runUntil(700_000);
  const seen = watchInitiations(scene);
  a.uplink.outage = false;
  tell(a, b, [b.record]);
  a.apply([{ op: "path-changed", peer: 0, keepsSource: false }]);
  // Another attempt may have begun just before.
  network.run(5_400);
  assert.ok(seen.to.length >= 1);
  assert.equal(seen.bytes.size, 1);
});

Deno.test("Device repeats the waiting initiation of a peer with names after a change of path", () => {
  const scene = strangers(14);
  const { network, a, b, trace } = scene;
  const seen = watchInitiations(scene);
  tell(a, b, [NOBODY]);
  a.uplink.outage = true;
  a.send(b, 100);
  network.runUntil(1_000);
  a.uplink.outage = false;
  a.apply([{ op: "path-changed", peer: 0, keepsSource: false }]);
  network.runUntil(1_100);
  assert.equal(seen.to.length, 4);
  assert.equal(seen.bytes.size, 1);
  assert.equal(trace.times("deliver", b).length, 1);
});
