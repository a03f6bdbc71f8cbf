import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { ENGINE_BYTES } from "../crypto/aead.ts";
import { realSuite } from "../crypto/real_suite.ts";
import type { DeviceCommand } from "./commands.ts";
import { Device, DEVICE_SCRATCH_BYTES } from "./device.ts";
import { ENDPOINT_BYTES, endpointRecord } from "./endpoint.ts";
import { DATA_OVERHEAD, INIT_MAC1, TYPE_COOKIE_REPLY, TYPE_DATA, TYPE_INITIATION, TYPE_RESPONSE } from "./messages.ts";
import {
  BAD_TAG,
  DEVICE_DOWN,
  NO_PEER_FOR_DESTINATION,
  NOT_ALLOWED_SOURCE,
  REPLAYED,
  SEND_FAILED,
  UNDER_LOAD,
} from "./reasons.ts";
import { DeviceTables } from "./tables.ts";

const INPUT = 4096;
const OUTPUT = 131_072;

/** A device over its own memory; what it emits is collected. */
class Host {
  readonly memory = new WebAssembly.Memory({ initial: 8, maximum: 8 });
  readonly bytes = new Uint8Array(this.memory.buffer);
  readonly tables = DeviceTables.create({ peers: 8, keypairs: 16 });
  readonly privateKey = new Uint8Array(randomBytes(32));
  readonly publicKey = realSuite.publicKey(this.privateKey);
  readonly datagrams: Uint8Array[] = [];
  readonly packets: Uint8Array[] = [];
  readonly device = new Device({
    suite: realSuite,
    memory: this.memory,
    aead: realSuite.packetAead(this.memory),
    scratch: ENGINE_BYTES,
    tables: this.tables,
    random: (out) => out.set(randomBytes(out.length)),
    wallClock: () => this.now + 1_700_000_000_000,
    network: {
      reserve: (): number => OUTPUT,
      commit: (length): void => void this.datagrams.push(this.bytes.slice(OUTPUT, OUTPUT + length)),
    },
    tunnel: {
      deliver: (offset, length): void => void this.packets.push(this.bytes.slice(offset, offset + length)),
    },
  });
  now = 1000;

  constructor() {
    this.device.apply({ op: "private-key", key: this.privateKey }, this.now);
    this.device.up(this.now);
  }

  addPeer(publicKey: Uint8Array, host: number, presharedKey: Uint8Array | null = null): void {
    const commands = [
      { op: "add-peer", peer: 0, publicKey },
      { op: "preshared-key", peer: 0, key: presharedKey },
      { op: "endpoint", peer: 0, record: endpointRecord(Uint8Array.of(127, 0, 0, host), 1000 + host) },
      { op: "allowed-ip", peer: 0, address: Uint8Array.of(10, 0, 0, host), cidr: 32 },
      { op: "peer-configured", peer: 0 },
    ] as const;
    for (const command of commands) this.device.apply(command, this.now);
  }

  send(packet: Uint8Array): number {
    this.bytes.set(packet, INPUT);
    return this.device.send(INPUT, packet.length, this.now);
  }

  receive(datagram: Uint8Array, fromPort = 7): number {
    this.bytes.set(datagram, INPUT);
    const slot = this.tables.capacity.peers;
    this.tables.endpoints.set(endpointRecord(Uint8Array.of(127, 0, 0, 9), fromPort), slot * ENDPOINT_BYTES);
    const result = this.device.receive(INPUT, datagram.length, slot, this.now);
    while (this.device.processHandshakes(1, this.now) > 0);
    return result;
  }
}

function pair(presharedKey: Uint8Array | null = null): [Host, Host] {
  const a = new Host();
  const b = new Host();
  a.addPeer(b.publicKey, 2, presharedKey);
  b.addPeer(a.publicKey, 1, presharedKey);
  return [a, b];
}

/** Carries datagrams both ways until none is left; returns their first bytes in order. */
function exchange(a: Host, b: Host): number[] {
  const types: number[] = [];
  while (a.datagrams.length + b.datagrams.length > 0) {
    for (const datagram of a.datagrams.splice(0)) types.push(datagram[0]), b.receive(datagram, 1);
    for (const datagram of b.datagrams.splice(0)) types.push(datagram[0]), a.receive(datagram, 2);
  }
  return types;
}

function ipv4(source: number, destination: number, length = 100): Uint8Array {
  const packet = new Uint8Array(length).map((_, i) => i);
  packet.set([0x45, 0, length >> 8, length & 255], 0);
  packet.set([10, 0, 0, source, 10, 0, 0, destination], 12);
  return packet;
}

Deno.test("Device carries a staged packet once the handshake is done", () => {
  const [a, b] = pair();
  assert.equal(a.send(ipv4(1, 2)), 0);
  assert.deepEqual(exchange(a, b), [TYPE_INITIATION, TYPE_RESPONSE, TYPE_DATA]);
  assert.deepEqual(b.packets, [ipv4(1, 2)]);
  assert.equal(a.device.stats.staged, 0);
});

Deno.test("Device pads to 16 but not past the MTU", () => {
  const [a, b] = pair();
  a.send(ipv4(1, 2));
  exchange(a, b);
  a.send(ipv4(1, 2, 33));
  assert.equal(a.datagrams[0].length, 48 + DATA_OVERHEAD);
  a.device.mtu = 1420;
  a.send(ipv4(1, 2, 1420));
  assert.equal(a.datagrams[1].length, 1420 + DATA_OVERHEAD);
  exchange(a, b);
  assert.deepEqual(b.packets.slice(1), [ipv4(1, 2, 33), ipv4(1, 2, 1420)]);
});

Deno.test("Device accepts a peer only with the right preshared key", () => {
  const key = new Uint8Array(32).fill(7);
  const [a, b] = pair(key);
  a.send(ipv4(1, 2));
  exchange(a, b);
  assert.equal(b.packets.length, 1);
  const [c, d] = pair(key);
  d.device.apply({ op: "preshared-key", peer: 0, key: null }, d.now);
  c.send(ipv4(1, 2));
  assert.deepEqual(exchange(c, d), [TYPE_INITIATION, TYPE_RESPONSE]);
  assert.equal(d.packets.length, 0);
});

Deno.test("Device refuses replays, forgeries and foreign sources", () => {
  const [a, b] = pair();
  a.send(ipv4(1, 2));
  exchange(a, b);
  a.send(ipv4(1, 2));
  const [datagram] = a.datagrams.splice(0);
  const forged = datagram.slice();
  forged[20] ^= 1;
  assert.equal(b.receive(forged), -BAD_TAG);
  assert.equal(b.receive(datagram), 0);
  assert.equal(b.receive(datagram), -REPLAYED);
  a.send(ipv4(77, 2));
  assert.equal(b.receive(a.datagrams.splice(0)[0]), -NOT_ALLOWED_SOURCE);
  assert.equal(a.send(ipv4(1, 3)), -NO_PEER_FOR_DESTINATION);
});

Deno.test("Device.down() erases sessions and refuses packets", () => {
  const [a, b] = pair();
  a.send(ipv4(1, 2));
  exchange(a, b);
  assert.ok(a.tables.keypairKeys.some((byte) => byte !== 0));
  a.device.down();
  assert.ok(a.tables.keypairKeys.every((byte) => byte === 0));
  assert.ok(a.bytes.subarray(ENGINE_BYTES, ENGINE_BYTES + DEVICE_SCRATCH_BYTES).every((byte) => byte === 0));
  assert.equal(a.send(ipv4(1, 2)), -DEVICE_DOWN);
  assert.deepEqual(a.device.stats, { peers: 1, keypairs: 0, indices: 0, handshakesQueued: 0, staged: 0 });
});

Deno.test("Device.apply() sends the first persistent keepalive at the end of the block", () => {
  const [a, b] = pair();
  a.device.apply({ op: "keepalive", peer: 0, seconds: 25 }, a.now);
  assert.equal(a.datagrams.length, 0);
  a.device.apply({ op: "peer-configured", peer: 0 }, a.now);
  assert.deepEqual(exchange(a, b), [TYPE_INITIATION, TYPE_RESPONSE, TYPE_DATA]);
});

Deno.test("Device keeps the first persistent keepalive until it knows where to send it", () => {
  const a = new Host();
  const b = new Host();
  b.addPeer(a.publicKey, 1);
  const configure = (...commands: DeviceCommand[]): void => {
    for (const command of commands) a.device.apply(command, a.now);
    a.device.apply({ op: "peer-configured", peer: 0 }, a.now);
  };
  configure({ op: "add-peer", peer: 0, publicKey: b.publicKey }, { op: "keepalive", peer: 0, seconds: 25 });
  a.device.down();
  a.device.up(a.now);
  assert.equal(a.datagrams.length, 0);
  const record = endpointRecord(Uint8Array.of(127, 0, 0, 2), 2);
  configure({ op: "endpoint", peer: 0, record });
  assert.deepEqual(exchange(a, b), [TYPE_INITIATION, TYPE_RESPONSE, TYPE_DATA]);
  configure({ op: "endpoint", peer: 0, record });
  assert.equal(a.datagrams.length, 0);
});

Deno.test("Device.processHandshakes() counts what it refuses at a glance as little work", () => {
  const [a, b] = pair();
  a.send(ipv4(1, 2));
  const [initiation] = a.datagrams.splice(0);
  const rubbish = initiation.slice();
  rubbish[INIT_MAC1] ^= 1;
  const enqueue = (message: Uint8Array, times: number): void => {
    b.bytes.set(message, INPUT);
    for (let i = 0; i < times; i++) b.device.receive(INPUT, message.length, b.tables.capacity.peers, b.now);
  };
  enqueue(rubbish, 100);
  enqueue(initiation, 3);
  assert.equal(b.device.processHandshakes(1, b.now), 39);
  assert.equal(b.device.processHandshakes(1, b.now), 2);
  assert.equal(b.device.processHandshakes(1, b.now), 1);
  assert.equal(b.device.processHandshakes(1, b.now), 0);
  assert.deepEqual(b.datagrams.map(([type]) => type), [TYPE_RESPONSE]);
});

Deno.test("Device.processHandshakes() under load bounds the cookie replies and refuses the rest of the callers", () => {
  const [a, b] = pair();
  a.send(ipv4(1, 2));
  const [initiation] = a.datagrams.splice(0);
  b.bytes.set(initiation, INPUT);
  for (let i = 0; i < 700; i++) b.device.receive(INPUT, initiation.length, b.tables.capacity.peers, b.now);
  const left = b.device.processHandshakes(1, b.now);
  assert.deepEqual(b.datagrams.map(([type]) => type), Array(4).fill(TYPE_COOKIE_REPLY));
  assert.equal(b.tables.deviceDrops[UNDER_LOAD], 700 - left);
  // Each costs one part of a handshake's 64, and each reply four more.
  assert.equal(left, 700 - (64 - 4 * 4));
});

Deno.test("Device follows a peer's authenticated datagrams to a new endpoint", () => {
  const [a, b] = pair();
  a.send(ipv4(1, 2));
  exchange(a, b);
  a.send(ipv4(1, 2));
  b.receive(a.datagrams.splice(0)[0], 4242);
  const record = new Uint8Array(ENDPOINT_BYTES);
  b.tables.readEndpoint(0, record);
  assert.deepEqual(record, endpointRecord(Uint8Array.of(127, 0, 0, 9), 4242));
});

Deno.test("Device.countUnsent() takes a datagram out of what its peer was sent, never below nothing", () => {
  const [a] = pair();
  a.send(ipv4(1, 2));
  const length = a.datagrams[0].length;
  assert.equal(a.tables.txBytes[0], length);
  a.device.countUnsent(length, 0);
  a.device.countUnsent(length, 0);
  a.device.countUnsent(length, -1);
  assert.equal(a.tables.txBytes[0], 0);
  assert.equal(a.tables.peerDrops[SEND_FAILED], 2);
  assert.equal(a.tables.deviceDrops[SEND_FAILED], 3);
});
