/** The protocol of a device whose packets pass through several threads: the same claims as for one. */
import assert from "node:assert/strict";
import { TYPE_DATA, TYPE_INITIATION } from "../../tunnel/messages.ts";
import { REPLAYED, UNKNOWN_INDEX } from "../../tunnel/reasons.ts";
import { UnfoldedBytes } from "../../tunnel/threads/peer_events.ts";
import { ENDPOINT_BYTES } from "../../tunnel/endpoint.ts";
import { KEYPAIR_KEY_BYTES } from "../../tunnel/tables.ts";
import { ENGINE_BYTES } from "../../crypto/aead.ts";
import { DEVICE_SCRATCH_BYTES } from "../../tunnel/device.ts";
import { ipv4, Pair, peerCommands, Team } from "./team.ts";

const SECOND = 1000;

/** A pair with a session that the team's helper 1 asked for. */
function connected(helpers = 2): Pair {
  const pair = new Pair(helpers);
  pair.team.send(1, ipv4(1, 2));
  pair.exchange();
  return pair;
}

Deno.test("a packet at a helper without a session makes one and gets through", () => {
  const pair = connected();
  assert.deepEqual(pair.peer.packets, [ipv4(1, 2)]);
  assert.equal(pair.count("team", TYPE_INITIATION), 1);
  assert.equal(pair.team.device.stats.staged, 0);
});

Deno.test("every thread sends and receives under the one session", () => {
  const pair = connected();
  for (let i = 0; i < 30; i++) {
    assert.equal(pair.team.send(i % 3, ipv4(1, 2, 100 + i)), 0);
    assert.equal(pair.peer.send(0, ipv4(2, 1, 100 + i)), 0);
    pair.exchange();
  }
  assert.equal(pair.peer.packets.length, 31);
  assert.equal(pair.team.packets.length, 30);
  assert.equal(pair.count("team", TYPE_INITIATION), 1);
});

Deno.test("a datagram is accepted by one thread only", () => {
  const pair = connected();
  pair.peer.send(0, ipv4(2, 1));
  const [datagram] = pair.peer.datagrams.splice(0);
  for (const [first, second] of [[1, 2], [2, 1], [1, 0]]) {
    const copy = datagram.slice();
    pair.team.receive(first, copy);
    assert.equal(pair.team.receive(second, copy), -REPLAYED);
  }
  assert.deepEqual(pair.team.packets, [ipv4(2, 1)]);
});

Deno.test("bytes of all threads are counted once", () => {
  const pair = connected();
  for (let i = 0; i < 30; i++) {
    pair.team.send(i % 3, ipv4(1, 2));
    pair.peer.send(0, ipv4(2, 1));
    pair.exchange();
  }
  const untold = new UnfoldedBytes(pair.team.threads);
  assert.equal(pair.team.tables.txBytes[0] + untold.sent(0), pair.peer.tables.rxBytes[0]);
  assert.equal(pair.team.tables.rxBytes[0] + untold.received(0), pair.peer.tables.txBytes[0]);
  pair.pass(SECOND);
  assert.equal(pair.team.tables.txBytes[0], pair.peer.tables.rxBytes[0]);
  assert.equal(pair.team.tables.rxBytes[0], pair.peer.tables.txBytes[0]);
});

Deno.test("the initiator rekeys after 120 s of sending although only helpers send", () => {
  const pair = connected();
  const began = pair.clock.now;
  for (let second = 0; second < 119; second++) {
    pair.pass(SECOND);
    pair.team.send(1 + second % 2, ipv4(1, 2));
    pair.exchange();
  }
  assert.equal(pair.count("team", TYPE_INITIATION), 1);
  pair.pass(2 * SECOND);
  pair.team.send(1, ipv4(1, 2));
  pair.exchange();
  assert.equal(pair.count("team", TYPE_INITIATION), 2);
  assert.equal(pair.team.tables.createdAt[pair.team.tables.currentKeypair[0]], began + 121 * SECOND);
  for (let thread = 0; thread < 3; thread++) {
    assert.equal(pair.team.send(thread, ipv4(1, 2)), 0);
    pair.exchange();
  }
  assert.equal(pair.peer.packets.length, 119 + 5);
});

Deno.test("the initiator rekeys before 180 s although helpers only receive, once", () => {
  const pair = connected();
  pair.nextThread = (): number => 2;
  const began = pair.clock.now;
  for (let second = 0; second < 200; second++) {
    pair.pass(SECOND);
    pair.peer.send(0, ipv4(2, 1));
    pair.exchange();
  }
  const initiations = pair.sent.filter(({ from, type }) => from === "team" && type === TYPE_INITIATION);
  // Passive keepalives make it a sender every 10 s, so the sender's 120 s come first.
  assert.equal(initiations.length, 2);
  assert.ok(initiations[1].at - began >= 120 * SECOND && initiations[1].at - began < 131 * SECOND);
});

Deno.test("data received by a helper is answered by a keepalive after 10 s, data it sends instead stops that", () => {
  const pair = connected();
  pair.pass(20 * SECOND);
  const quiet = pair.clock.now;
  pair.peer.send(0, ipv4(2, 1));
  pair.nextThread = (): number => 1;
  pair.pass(9.9 * SECOND);
  assert.equal(pair.count("team", TYPE_DATA, quiet), 0);
  pair.pass(0.2 * SECOND);
  assert.equal(pair.count("team", TYPE_DATA, quiet), 1);

  const answered = pair.clock.now;
  pair.peer.send(0, ipv4(2, 1));
  pair.exchange();
  pair.team.send(2, ipv4(1, 2));
  pair.pass(12 * SECOND);
  assert.equal(pair.count("team", TYPE_DATA, answered), 1);
});

Deno.test("data sent by a helper into silence starts a handshake after 15 s", () => {
  const pair = connected();
  pair.pass(30 * SECOND);
  pair.isCut = true;
  const cut = pair.clock.now;
  pair.team.send(1, ipv4(1, 2));
  pair.pass(14.9 * SECOND);
  assert.equal(pair.count("team", TYPE_INITIATION, cut), 0);
  pair.pass(0.6 * SECOND);
  assert.equal(pair.count("team", TYPE_INITIATION, cut), 1);
});

Deno.test("an answer that another thread hears within the same moment stops the wish for a handshake", () => {
  for (const [sender, hearer] of [[1, 2], [2, 1], [0, 1], [1, 0], [0, 2]]) {
    const pair = connected();
    pair.pass(30 * SECOND);
    pair.nextThread = (): number => hearer;
    const asked = pair.clock.now;
    // Out and back before the owner's timers hear of either, as on a fast path.
    pair.team.send(sender, ipv4(1, 2));
    for (const datagram of pair.team.datagrams.splice(0)) pair.peer.receive(0, datagram);
    pair.peer.send(0, ipv4(2, 1));
    for (const datagram of pair.peer.datagrams.splice(0)) pair.team.receive(hearer, datagram);
    pair.pass(60 * SECOND);
    assert.equal(pair.count("team", TYPE_INITIATION, asked), 0, `sent by ${sender}, heard by ${hearer}`);
  }
});

Deno.test("the first packet under a key that the team responded with confirms it, whichever thread hears it", () => {
  for (const hearer of [0, 1, 2]) {
    const pair = new Pair(2);
    pair.nextThread = (): number => hearer;
    pair.peer.send(0, ipv4(2, 1));
    pair.exchange();
    assert.deepEqual(pair.team.packets, [ipv4(2, 1)]);
    assert.ok(pair.team.tables.lastHandshake[0] > 0);
    assert.equal(pair.team.send(2, ipv4(1, 2)), 0);
    pair.exchange();
    assert.deepEqual(pair.peer.packets, [ipv4(1, 2)]);
    assert.equal(pair.count("team", TYPE_INITIATION), 0);
  }
});

Deno.test("persistent keepalives wait for the interval since the last packet of any thread", () => {
  const pair = connected();
  pair.team.apply({ op: "keepalive", peer: 0, seconds: 25 }, { op: "peer-configured", peer: 0 });
  pair.pass(20 * SECOND);
  pair.team.send(1, ipv4(1, 2));
  pair.exchange();
  const sent = pair.clock.now;
  // The peer's own keepalive after 10 s is a packet too.
  pair.pass(34.9 * SECOND);
  assert.equal(pair.count("peer", TYPE_DATA, sent), 1);
  assert.equal(pair.count("team", TYPE_DATA, sent), 1);
  pair.pass(0.3 * SECOND);
  assert.equal(pair.count("team", TYPE_DATA, sent), 2);
});

Deno.test("the endpoint follows an authenticated packet that a helper received", () => {
  const pair = connected();
  pair.peer.send(0, ipv4(2, 1));
  const [datagram] = pair.peer.datagrams.splice(0);
  pair.team.receive(1, datagram, 77);
  const record = new Uint8Array(ENDPOINT_BYTES);
  pair.team.tables.readEndpoint(0, record);
  assert.deepEqual([...record.subarray(8, 12)], [127, 0, 0, 77]);
});

Deno.test("after 540 s without a session no key is left in the tables or any thread's memory", () => {
  const pair = connected();
  const { tables, desks } = pair.team;
  const keys = tables.keypairKeys.slice(0, KEYPAIR_KEY_BYTES);
  assert.ok(keys.some((byte) => byte !== 0));
  for (const thread of [0, 1, 2]) pair.team.send(thread, ipv4(1, 2));
  pair.isCut = true;
  pair.pass(539 * SECOND);
  assert.deepEqual(tables.keypairKeys.slice(0, KEYPAIR_KEY_BYTES), keys);
  pair.pass(2 * SECOND);
  assert.ok(tables.keypairKeys.every((byte) => byte === 0));
  for (const { bytes } of desks) {
    assert.ok(bytes.subarray(ENGINE_BYTES, ENGINE_BYTES + DEVICE_SCRATCH_BYTES).every((byte) => byte === 0));
  }
  assert.equal(pair.team.device.stats.keypairs, 0);
});

Deno.test("a helper keeps no key between its passes", () => {
  const pair = connected();
  const scratch = pair.team.desks[1].bytes.subarray(ENGINE_BYTES, ENGINE_BYTES + DEVICE_SCRATCH_BYTES);
  pair.team.send(1, ipv4(1, 2));
  assert.ok(scratch.every((byte) => byte === 0));
});

Deno.test("keys that a helper may be using are erased when it is done, and their slot is not reused before", () => {
  const pair = connected();
  const { tables, device, helpers } = pair.team;
  pair.nextThread = (): number => 2;
  helpers[0].enter();
  const old = tables.currentKeypair[0];
  device.down();
  device.up(pair.clock.now);
  pair.pass(100);
  assert.equal(device.stats.keypairs, 1);
  assert.ok(tables.keypairKeys.subarray(0, KEYPAIR_KEY_BYTES).some((byte) => byte !== 0));
  pair.team.send(2, ipv4(1, 2));
  pair.exchange();
  assert.notEqual(tables.currentKeypair[0], old);
  assert.equal(device.stats.keypairs, 2);
  helpers[0].leave();
  pair.pass(10);
  assert.equal(device.stats.keypairs, 1);
  assert.ok(tables.keypairKeys.subarray(old * KEYPAIR_KEY_BYTES, (old + 1) * KEYPAIR_KEY_BYTES).every((b) => b === 0));
});

Deno.test("nothing for or from a peer that left goes through the one that got its slot, however late helpers learn", () => {
  const pair = connected();
  const { team, clock } = pair;
  const stranger = new Team(clock, 0);
  stranger.addPeer(0, team.publicKey, 1);
  // The owner has gone on, the helpers have not: slot 0 is the stranger's, at 10.0.0.3.
  const commands = [{ op: "remove-peer", peer: 0 } as const, ...peerCommands(0, stranger.publicKey, 3)];
  for (const command of commands) team.device.apply(command, clock.now);
  team.send(0, ipv4(1, 3));
  team.serve();
  for (const datagram of team.datagrams.splice(0)) stranger.receive(0, datagram);
  stranger.serve();
  for (const datagram of stranger.datagrams.splice(0)) team.receive(1, datagram);
  team.serve();
  for (const datagram of team.datagrams.splice(0)) stranger.receive(0, datagram);
  assert.deepEqual(stranger.packets, [ipv4(1, 3)]);

  // Helper 1 still thinks that 10.0.0.2 is slot 0: its packet must not reach the stranger, nor any of its be taken.
  team.send(1, ipv4(1, 2));
  team.serve();
  assert.equal(team.datagrams.length, 0);
  stranger.send(0, ipv4(2, 1));
  const [spoofed] = stranger.datagrams.splice(0);
  assert.equal(team.receive(1, spoofed), -UNKNOWN_INDEX);
  assert.deepEqual(team.packets, []);

  // When it has learnt, all is well.
  for (const helper of team.helpers) for (const command of commands) helper.apply(command);
  team.send(1, ipv4(1, 3));
  for (const datagram of team.datagrams.splice(0)) stranger.receive(0, datagram);
  assert.equal(stranger.packets.length, 2);
});

Deno.test("messages of a helper about a peer that has left do nothing", () => {
  const pair = connected();
  const { team, clock } = pair;
  pair.peer.send(0, ipv4(2, 1));
  const [datagram] = pair.peer.datagrams.splice(0);
  team.receive(1, datagram);
  team.send(2, ipv4(1, 2));
  clock.now += 130 * SECOND;
  team.send(1, ipv4(1, 2));
  team.datagrams.length = 0;
  team.device.apply({ op: "remove-peer", peer: 0 }, clock.now);
  pair.pass(600 * SECOND);
  assert.equal(team.datagrams.length, 0);
  assert.equal(team.device.nextDeadline(), Infinity);
  assert.deepEqual(team.device.stats, { peers: 0, keypairs: 0, indices: 0, handshakesQueued: 0, staged: 0 });
});

Deno.test("a team without traffic has nothing to wake up for", () => {
  const pair = connected();
  pair.pass(600 * SECOND);
  assert.equal(pair.team.device.nextDeadline(), Infinity);
});
