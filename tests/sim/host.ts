/**
 * One simulated host: a device over its own WebAssembly memory, with small tables, its own clock and a configuration.
 *
 * ```
 * engine 2048 | scratch 128 | received datagram 64 KiB | datagram to send 64 KiB | packet from the TUN 64 KiB
 * ```
 */
import assert from "node:assert/strict";
import { ENGINE_BYTES } from "../../crypto/aead.ts";
import type { CryptoSuite } from "../../crypto/suite.ts";
import { Device, DEVICE_SCRATCH_BYTES } from "../../tunnel/device.ts";
import type { DeviceCommand } from "../../tunnel/commands.ts";
import { ENDPOINT_BYTES, ENDPOINT_SOURCE, ENDPOINT_SOURCE_IFINDEX, endpointRecord } from "../../tunnel/endpoint.ts";
import type { DatagramSink, PacketSink } from "../../tunnel/ports.ts";
import { type Capacity, DeviceTables } from "../../tunnel/tables.ts";
import { cheapSuite } from "./cheap_suite.ts";
import { type Faults, type Network, perfectLink } from "./network.ts";
import { innerAddress } from "./packets.ts";
import { Random } from "./random.ts";

const PAGE = 65_536;
const RECEIVE_AT = ENGINE_BYTES + DEVICE_SCRATCH_BYTES;
const SEND_AT = RECEIVE_AT + PAGE + 64;
const TUNNEL_AT = SEND_AT + PAGE + 256;
const MEMORY_PAGES = 4;
const WALL_CLOCK = Date.UTC(2026, 0, 1);

export interface HostOptions {
  readonly suite?: CryptoSuite;
  readonly capacity?: Capacity;
  readonly family?: 4 | 6;
  readonly onRandom?: (out: Uint8Array) => void;
  readonly onEphemeral?: (privateKey: Uint8Array) => void;
}

export interface PeerOptions {
  readonly presharedKey?: Uint8Array;
  readonly keepalive?: number;
  /** Whether the peer's address is known from the start; default true. */
  readonly endpoint?: boolean;
}

export class Host implements DatagramSink, PacketSink {
  readonly network: Network;
  readonly number: number;
  readonly name: string;
  readonly suite: CryptoSuite;
  readonly random: Random;
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly memory: WebAssembly.Memory = new WebAssembly.Memory({ initial: MEMORY_PAGES, maximum: MEMORY_PAGES });
  readonly bytes: Uint8Array = new Uint8Array(this.memory.buffer);
  readonly tables: DeviceTables;
  readonly device: Device;
  /** Peers by their slot in the device. */
  readonly peers: (Host | null)[] = [];
  /** The way out. */
  uplink: Faults = perfectLink();
  /** The address on the simulated internet. */
  record: Uint8Array;
  /** Handshake messages wait in the device's queue until this is false again. */
  isBusy = false;
  /** The host's clock runs this much ahead of the network's. */
  readonly epoch: number;
  #reserved = 0;

  constructor(network: Network, options: HostOptions = {}) {
    this.network = network;
    this.number = network.hosts.length + 1;
    this.name = String.fromCharCode(64 + this.number);
    this.suite = options.suite ?? cheapSuite;
    this.random = new Random(network.random.word());
    this.privateKey = this.random.bytes(32);
    this.privateKey[0] &= 248;
    this.privateKey[31] = (this.privateKey[31] & 127) | 64;
    this.publicKey = this.suite.publicKey(this.privateKey);
    this.record = this.#address(options.family ?? 4, this.number, 51_820);
    // The first host was booted this very moment, the others long ago.
    this.epoch = (this.number - 1) * 1_234_567;
    this.tables = DeviceTables.create(options.capacity ?? { peers: 4, keypairs: 16 });
    this.device = new Device({
      suite: this.suite,
      memory: this.memory,
      aead: this.suite.packetAead(this.memory),
      scratch: ENGINE_BYTES,
      tables: this.tables,
      random: (out) => {
        this.random.fill(out);
        options.onRandom?.(out);
      },
      wallClock: () => WALL_CLOCK + network.now,
      network: this,
      tunnel: this,
      onHandshakeSecrets: ({ ephemeralPrivate }) => options.onEphemeral?.(ephemeralPrivate),
    });
    network.hosts.push(this);
    network.register(this, null);
    this.apply([{ op: "private-key", key: this.privateKey }]);
  }

  /** The host's own clock. */
  get now(): number {
    return this.network.now + this.epoch;
  }

  /** The device's next deadline on the network's clock. */
  nextDeadline(): number {
    return this.device.nextDeadline() - this.epoch;
  }

  tick(): void {
    this.device.tick(this.now);
    this.#processHandshakes();
  }

  up(): void {
    this.device.up(this.now);
  }

  down(): void {
    this.device.down();
  }

  apply(commands: DeviceCommand[]): void {
    for (const command of commands) this.device.apply(command, this.now);
  }

  /** Configures another host as a peer; returns its slot. */
  addPeer(peer: Host, options: PeerOptions = {}): number {
    let slot = this.peers.indexOf(null);
    if (slot < 0) slot = this.peers.length;
    this.peers[slot] = peer;
    this.apply([{ op: "add-peer", peer: slot, publicKey: peer.publicKey }]);
    if (options.presharedKey) this.apply([{ op: "preshared-key", peer: slot, key: options.presharedKey }]);
    if (options.endpoint ?? true) this.apply([{ op: "endpoint", peer: slot, record: peer.record.slice() }]);
    if (options.keepalive) this.apply([{ op: "keepalive", peer: slot, seconds: options.keepalive }]);
    this.apply([
      { op: "allowed-ip", peer: slot, address: innerAddress(4, peer.number), cidr: 32 },
      { op: "allowed-ip", peer: slot, address: innerAddress(6, peer.number), cidr: 128 },
      { op: "peer-configured", peer: slot },
    ]);
    return slot;
  }

  removePeer(slot: number): void {
    this.apply([{ op: "remove-peer", peer: slot }]);
    this.peers[slot] = null;
  }

  slotOf(peer: Host): number {
    return this.peers.indexOf(peer);
  }

  /** Sends a packet of `length` bytes to another host through the tunnel; returns its number. */
  send(to: Host, length = 64, version: 4 | 6 = 4): number {
    const { network } = this;
    const id = network.packets.write(this.bytes, TUNNEL_AT, this.number, to.number, length, version, network.now);
    for (const observer of network.observers) observer.asked?.(this, to);
    const result = this.device.send(TUNNEL_AT, network.packets.records[id].length, this.now);
    if (!Number.isInteger(result) || result > 0) assert.fail(`send() returns ${result}`);
    return id;
  }

  /** A datagram from `source` reaches the host; returns what the device said. */
  arrive(datagram: Uint8Array, source: Uint8Array): number {
    const { observers } = this.network;
    for (const observer of observers) observer.arriving?.(this, datagram);
    const result = this.receive(datagram, source);
    if (!this.isBusy) this.#processHandshakes();
    for (const observer of observers) observer.arrived?.(this, datagram, result);
    return result;
  }

  /** Hands a datagram to the device and nothing else. */
  receive(datagram: Uint8Array, source: Uint8Array): number {
    this.bytes.set(datagram, RECEIVE_AT);
    const slot = this.tables.capacity.peers;
    const at = slot * ENDPOINT_BYTES;
    this.tables.endpoints.set(source, at);
    // The address that it was sent to, as a carrier with packet information reports it.
    this.tables.endpointView.setUint32(at + ENDPOINT_SOURCE_IFINDEX, 2, true);
    this.tables.endpoints.set(this.record.subarray(8, 24), at + ENDPOINT_SOURCE);
    return this.device.receive(RECEIVE_AT, datagram.length, slot, this.now);
  }

  /** Changes the host's own address, as a phone does; `keepsOld` lets datagrams to the old one arrive as well. */
  move(family: 4 | 6, host: number, port: number, keepsOld = false): void {
    const old = this.record;
    this.record = this.#address(family, host, port);
    this.network.register(this, keepsOld ? null : old);
  }

  /** The endpoint that the device believes a peer has: 48 bytes without our own source address. */
  endpointOf(peer: Host): Uint8Array {
    const record = new Uint8Array(ENDPOINT_BYTES);
    this.tables.readEndpoint(this.slotOf(peer), record);
    record.fill(0, ENDPOINT_SOURCE_IFINDEX);
    return record;
  }

  // ── DatagramSink ───────────────────────────────────────────────────────────

  reserve(bytes: number): number {
    if (bytes <= 0 || bytes > PAGE + 128) assert.fail(`reserve() is asked for ${bytes} bytes`);
    if (this.#reserved !== 0) assert.fail("reserve() is called before commit()");
    this.#reserved = bytes;
    return SEND_AT;
  }

  commit(length: number, endpoint: number, peer: number): void {
    if (length <= 0 || length > this.#reserved) assert.fail("commit() takes at most what was reserved");
    this.#reserved = 0;
    const datagram = this.bytes.slice(SEND_AT, SEND_AT + length);
    const at = endpoint * ENDPOINT_BYTES;
    const destination = this.tables.endpoints.slice(at, at + ENDPOINT_BYTES);
    for (const observer of this.network.observers) observer.sent?.(this, datagram, peer);
    this.network.transmit(this, datagram, destination);
  }

  // ── PacketSink ─────────────────────────────────────────────────────────────

  deliver(offset: number, length: number, peer: number): void {
    const { network } = this;
    const from = this.peers[peer];
    if (!from) assert.fail(`a packet is delivered from the empty slot ${peer}`);
    const id = network.packets.accept(this.bytes, offset, length, from.number, this.number, network.now);
    for (const observer of network.observers) observer.delivered?.(this, id, peer);
  }

  #processHandshakes(): void {
    if (this.isBusy) return;
    while (this.device.processHandshakes(16, this.now) > 0);
  }

  #address(family: 4 | 6, host: number, port: number): Uint8Array {
    const address = new Uint8Array(family === 4 ? 4 : 16);
    address[0] = family === 4 ? 203 : 0x20;
    address[1] = family === 4 ? 0 : 0x01;
    address[address.length - 2] = host >> 8;
    address[address.length - 1] = host & 255;
    return endpointRecord(address, port);
  }
}

/** Two hosts that know each other, both up. */
export interface Pair {
  readonly network: Network;
  readonly a: Host;
  readonly b: Host;
}

export interface PairOptions extends HostOptions {
  readonly presharedKey?: Uint8Array;
  /** Seconds, of the first host. */
  readonly keepalive?: number;
  readonly latency?: number;
}

/** Makes a pair over a perfect link. */
export function createPair(network: Network, options: PairOptions = {}): Pair {
  const a = new Host(network, options);
  const b = new Host(network, options);
  a.uplink = perfectLink(options.latency ?? 10);
  b.uplink = perfectLink(options.latency ?? 10);
  a.up();
  b.up();
  b.addPeer(a, { presharedKey: options.presharedKey });
  a.addPeer(b, { presharedKey: options.presharedKey, keepalive: options.keepalive });
  return { network, a, b };
}
