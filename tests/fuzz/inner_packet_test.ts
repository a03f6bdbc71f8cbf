/** A peer that is authentic and hostile: malformed inner packets, spoofed sources, odd counters; and a hostile TUN. */
import assert from "node:assert/strict";
import { DATA_COUNTER, DATA_HEADER_BYTES, DATA_RECEIVER, TYPE_DATA } from "../../tunnel/messages.ts";
import { BAD_INNER_PACKET, NOT_ALLOWED_SOURCE, REPLAYED } from "../../tunnel/reasons.ts";
import { KEYPAIR_KEY_BYTES } from "../../tunnel/tables.ts";
import { createPair, type Host } from "../sim/host.ts";
import { Network } from "../sim/network.ts";
import { innerAddress } from "../sim/packets.ts";
import { Random } from "../sim/random.ts";
import { underSeeds } from "../sim/seeds.ts";

const KEY_BYTES = 32;

/** A data message as `from` could make it, around any plaintext. */
function seal(from: Host, plaintext: Uint8Array, counter: bigint): Uint8Array {
  const { tables, suite } = from;
  const keypair = tables.currentKeypair[0];
  const key = tables.keypairKeys.slice(keypair * KEYPAIR_KEY_BYTES, keypair * KEYPAIR_KEY_BYTES + KEY_BYTES);
  const sealed = suite.seal(key, Number(counter), plaintext, new Uint8Array(0));
  const message = new Uint8Array(DATA_HEADER_BYTES + sealed.length);
  const view = new DataView(message.buffer);
  view.setUint32(0, TYPE_DATA, true);
  view.setUint32(DATA_RECEIVER, tables.remoteIndex[keypair], true);
  view.setBigUint64(DATA_COUNTER, counter, true);
  message.set(sealed, DATA_HEADER_BYTES);
  return message;
}

interface Scene {
  readonly network: Network;
  readonly a: Host;
  readonly b: Host;
  /** The inner packets that came out of B, instead of the checks of the simulation. */
  readonly delivered: Uint8Array[];
}

function scene(seed: number): Scene {
  const network = new Network(seed);
  const { a, b } = createPair(network);
  a.send(b, 100);
  network.run(100);
  const delivered: Uint8Array[] = [];
  b.deliver = (offset: number, length: number): void => void delivered.push(b.bytes.slice(offset, offset + length));
  return { network, a, b, delivered };
}

/** A valid packet from A to B, 60 bytes. */
function validPacket(from: Host, to: Host, version: 4 | 6): Uint8Array {
  const packet = new Uint8Array(60);
  const size = version === 4 ? 4 : 16;
  packet[0] = version === 4 ? 0x45 : 0x60;
  if (version === 4) packet[3] = packet.length;
  else packet[5] = packet.length - 40;
  const at = version === 4 ? 12 : 8;
  packet.set(innerAddress(version, from.number), at);
  packet.set(innerAddress(version, to.number), at + size);
  return packet;
}

/** What the packet's own header says about its length, slowly: -1 if it is none. */
function declaredLength(packet: Uint8Array): number {
  const version = packet.length > 0 ? packet[0] >> 4 : 0;
  if (version === 4 && packet.length >= 20) {
    const total = packet[2] * 256 + packet[3];
    return total >= 20 && total <= packet.length ? total : -1;
  }
  if (version === 6 && packet.length >= 40) {
    const total = 40 + packet[4] * 256 + packet[5];
    return total <= packet.length ? total : -1;
  }
  return -1;
}

function hasSource(packet: Uint8Array, host: Host): boolean {
  const version = packet[0] >> 4 === 4 ? 4 : 6;
  const at = version === 4 ? 12 : 8;
  return innerAddress(version, host.number).every((byte, i) => packet[at + i] === byte);
}

Deno.test("Device delivers of a hostile peer's packets those that are whole and its own, and counts the others", () => {
  underSeeds(10, (seed) => {
    const { a, b, delivered } = scene(seed);
    const random = new Random(seed);
    const { deviceDrops } = b.tables;
    const expected = { delivered: 0, bad: 0, foreign: 0, empty: 0 };
    for (let counter = 10; counter < 5_010; counter++) {
      let packet = validPacket(a, b, random.pick([4, 6] as const));
      const flips = random.below(4);
      for (let i = 0; i < flips; i++) packet[random.below(24)] ^= 1 << random.below(8);
      if (random.chance(0.2)) packet = packet.slice(0, random.below(packet.length));
      if (random.chance(0.1)) packet = random.bytes(random.below(200));
      const length = declaredLength(packet);
      if (packet.length === 0) expected.empty++;
      else if (length < 0) expected.bad++;
      else if (!hasSource(packet, a)) expected.foreign++;
      else expected.delivered++;
      b.arrive(seal(a, packet, BigInt(counter)), a.record);
      if (length >= 0 && hasSource(packet, a)) assert.deepEqual(delivered.at(-1), packet.slice(0, length));
    }
    assert.equal(delivered.length, expected.delivered);
    assert.equal(deviceDrops[BAD_INNER_PACKET], expected.bad);
    assert.equal(deviceDrops[NOT_ALLOWED_SOURCE], expected.foreign);
    assert.ok(expected.delivered > 100 && expected.bad > 100 && expected.foreign > 100);
  });
});

Deno.test("Device takes a packet from whoever the whole table gives its source to, not from others", () => {
  const { a, b, delivered } = scene(1);
  const address = new Uint8Array([10, 0, 0, 0]);
  // A covers all of 10/8, but its own address now belongs to somebody else more closely.
  b.apply([{ op: "allowed-ip", peer: 0, address, cidr: 8 }]);
  b.apply([{ op: "add-peer", peer: 1, publicKey: b.random.bytes(32) }]);
  b.apply([{ op: "allowed-ip", peer: 1, address: innerAddress(4, a.number), cidr: 32 }]);
  b.arrive(seal(a, validPacket(a, b, 4), 100n), a.record);
  assert.equal(delivered.length, 0);
  assert.equal(b.tables.deviceDrops[NOT_ALLOWED_SOURCE], 1);
  const other = validPacket(a, b, 4);
  other[15] = 77;
  b.arrive(seal(a, other, 101n), a.record);
  assert.equal(delivered.length, 1);
});

Deno.test("Device accepts counters in any order within the window, each once, and none at the end of the range", () => {
  const { a, b, delivered } = scene(2);
  const take = (counter: bigint): boolean => {
    const before = delivered.length;
    // The cheap suite seals with a number: 2^53 and more lose their low bits, so stay where they do not.
    b.arrive(seal(a, validPacket(a, b, 4), counter), a.record);
    return delivered.length > before;
  };
  assert.ok(take(9_000n) && !take(9_000n));
  assert.ok(take(9_001n - 8_128n) && !take(9_001n - 8_128n));
  assert.ok(!take(9_000n - 8_300n));
  assert.ok(take(2n ** 53n) && take(2n ** 53n - 100n) && !take(9_001n));
  assert.ok(b.tables.deviceDrops[REPLAYED] >= 4);
  const limit = 2n ** 64n - 2n ** 13n;
  assert.ok(!take(limit) && !take(limit + 4_096n), "a counter beyond the limit is accepted");
  assert.ok(take(2n ** 63n) && !take(2n ** 63n));
});

Deno.test("Device survives anything that comes from the TUN device, and sends none of it", () => {
  const { network, a } = scene(3);
  const random = new Random(3);
  const sent: number[] = [];
  network.observers.push({ sent: (_, datagram) => void sent.push(datagram.length) });
  const at = 140_000;
  for (let i = 0; i < 50_000; i++) {
    const length = random.chance(0.01) ? random.below(65_536) : random.below(120);
    if (length < 200) random.fill(a.bytes.subarray(at, at + length));
    const packet = a.bytes.subarray(at, at + length);
    const toB = declaredLength(packet) >= 0 && packet[0] >> 4 === 4 && packet[16] === 10;
    const result = a.device.send(at, length, a.now);
    assert.ok(Number.isInteger(result) && (result < 0 || toB), `noise of ${length} bytes is sent`);
  }
  assert.equal(sent.length, 0);
  assert.equal(a.device.stats.staged, 0);
});
