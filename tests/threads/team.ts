/**
 * A device with helpers, all driven from one thread under a virtual clock, and a plain device as its peer: what happens
 * between the threads of a device is then a matter of the order of calls, and every order can be tried.
 */
import { randomBytes } from "node:crypto";
import { ENGINE_BYTES } from "../../crypto/aead.ts";
import { realSuite } from "../../crypto/real_suite.ts";
import type { DeviceCommand } from "../../tunnel/commands.ts";
import { Device, type DeviceOptions } from "../../tunnel/device.ts";
import { ENDPOINT_BYTES, endpointRecord } from "../../tunnel/endpoint.ts";
import { DeviceTables } from "../../tunnel/tables.ts";
import { Helper } from "../../tunnel/threads/helper.ts";
import { ThreadTables } from "../../tunnel/threads/thread_tables.ts";

const INPUT = 4096;
const OUTPUT = 131_072;
const ROOM = 262_144;
const CAPACITY = { peers: 8, keypairs: 16 };

/** A memory, what is written to the network from it, and what is delivered from it. */
class Desk {
  readonly memory: WebAssembly.Memory = new WebAssembly.Memory({ initial: 8, maximum: 8 });
  readonly bytes: Uint8Array = new Uint8Array(this.memory.buffer);
  readonly datagrams: Uint8Array[];
  readonly packets: Uint8Array[];
  readonly network = {
    reserve: (): number => OUTPUT,
    commit: (length: number): void => void this.datagrams.push(this.bytes.slice(OUTPUT, OUTPUT + length)),
  };
  readonly tunnel = {
    deliver: (offset: number, length: number): void =>
      void this.packets.push(this.bytes.slice(offset, offset + length)),
  };

  constructor(datagrams: Uint8Array[], packets: Uint8Array[]) {
    this.datagrams = datagrams;
    this.packets = packets;
  }
}

/** A device, with helpers or without. Thread 0 is the owner. */
export class Team {
  readonly tables: DeviceTables = DeviceTables.create(CAPACITY);
  readonly privateKey: Uint8Array = new Uint8Array(randomBytes(32));
  readonly publicKey: Uint8Array = realSuite.publicKey(this.privateKey);
  readonly datagrams: Uint8Array[] = [];
  readonly packets: Uint8Array[] = [];
  readonly device: Device;
  readonly threads: ThreadTables;
  readonly helpers: Helper[] = [];
  readonly desks: Desk[] = [];
  readonly #clock: Clock;
  #isWoken = false;

  constructor(clock: Clock, helpers: number) {
    this.#clock = clock;
    const threads = this.threads = ThreadTables.create(CAPACITY, helpers);
    for (let thread = 0; thread <= helpers; thread++) this.desks.push(new Desk(this.datagrams, this.packets));
    this.device = new Device({
      ...this.#common(0),
      suite: realSuite,
      random: (out) => out.set(randomBytes(out.length)),
      wallClock: () => clock.now + 1_700_000_000_000,
      helpers: helpers === 0 ? undefined : { tables: threads, room: ROOM },
    });
    for (let number = 0; number < helpers; number++) {
      this.helpers.push(new Helper({ ...this.#common(number + 1), number, threads, wake: () => this.#isWoken = true }));
    }
    this.apply({ op: "private-key", key: this.privateKey });
    this.device.up(clock.now);
  }

  apply(...commands: DeviceCommand[]): void {
    for (const command of commands) this.device.apply(command, this.#clock.now);
    for (const helper of this.helpers) for (const command of commands) helper.apply(command);
  }

  addPeer(slot: number, publicKey: Uint8Array, host: number): void {
    this.apply(...peerCommands(slot, publicKey, host));
  }

  /** A packet from the TUN at a thread; the owner does not look before `serve`. */
  send(thread: number, packet: Uint8Array): number {
    this.desks[thread].bytes.set(packet, INPUT);
    return this.#at(thread, (device) => device.send(INPUT, packet.length, this.#clock.now));
  }

  /** A datagram from the network at a thread. */
  receive(thread: number, datagram: Uint8Array, host = 9): number {
    this.desks[thread].bytes.set(datagram, INPUT);
    const slot = this.tables.capacity.peers + 8 * thread;
    this.tables.endpoints.set(endpointRecord(Uint8Array.of(127, 0, 0, host), 7), slot * ENDPOINT_BYTES);
    return this.#at(thread, (device) => device.receive(INPUT, datagram.length, slot, this.#clock.now));
  }

  /** One pass of the owner, if it has anything to do: as its loop would. */
  serve(): void {
    const { now } = this.#clock;
    const { helpers } = this.device;
    if (helpers !== null) {
      const isDue = this.#isWoken || helpers.deadline <= now || !helpers.rest();
      helpers.wake();
      this.#isWoken = false;
      if (isDue) helpers.serve(now);
    }
    while (this.device.processHandshakes(4, now) > 0);
    if (this.device.nextDeadline() <= now) this.device.tick(now);
    helpers?.rest();
  }

  #common(thread: number): Pick<DeviceOptions, "memory" | "aead" | "scratch" | "tables" | "network" | "tunnel"> {
    const { memory, network, tunnel } = this.desks[thread];
    const { tables } = this;
    return { memory, aead: realSuite.packetAead(memory), scratch: ENGINE_BYTES, tables, network, tunnel };
  }

  #at(thread: number, action: (device: Device | Helper) => number): number {
    if (thread === 0) return action(this.device);
    const helper = this.helpers[thread - 1];
    helper.enter();
    try {
      return action(helper);
    } finally {
      helper.leave();
    }
  }
}

export class Clock {
  now = 1000;
}

/** A team and a plain device that know each other, on one clock. */
export class Pair {
  readonly clock: Clock = new Clock();
  readonly team: Team;
  readonly peer: Team;
  /** First bytes of all datagrams, and when they were sent. */
  readonly sent: { from: "team" | "peer"; type: number; at: number }[] = [];
  /** Which of the team's threads gets the next datagram. */
  nextThread: () => number;
  isCut = false;

  constructor(helpers: number) {
    this.team = new Team(this.clock, helpers);
    this.peer = new Team(this.clock, 0);
    this.team.addPeer(0, this.peer.publicKey, 2);
    this.peer.addPeer(0, this.team.publicKey, 1);
    let turn = 0;
    this.nextThread = (): number => turn++ % (helpers + 1);
  }

  /** Carries datagrams both ways until both are quiet. */
  exchange(): void {
    for (;;) {
      this.team.serve();
      this.peer.serve();
      const out = this.team.datagrams.splice(0);
      const back = this.peer.datagrams.splice(0);
      if (out.length + back.length === 0) return;
      for (const datagram of out) this.#carry("team", datagram, () => this.peer.receive(0, datagram, 1));
      for (const datagram of back) {
        this.#carry("peer", datagram, () => this.team.receive(this.nextThread(), datagram, 2));
      }
    }
  }

  /** Lets time pass, and timers with it. */
  pass(milliseconds: number): void {
    const end = this.clock.now + milliseconds;
    for (;;) {
      this.exchange();
      const due = Math.min(this.team.device.nextDeadline(), this.peer.device.nextDeadline());
      if (due > end) break;
      this.clock.now = Math.max(this.clock.now, due);
    }
    this.clock.now = end;
    this.exchange();
  }

  /** Datagrams of a type since a time. */
  count(from: "team" | "peer", type: number, since = 0): number {
    return this.sent.filter((datagram) => datagram.from === from && datagram.type === type && datagram.at >= since)
      .length;
  }

  #carry(from: "team" | "peer", datagram: Uint8Array, deliver: () => void): void {
    this.sent.push({ from, type: datagram[0], at: this.clock.now });
    if (!this.isCut) deliver();
  }
}

export function peerCommands(slot: number, publicKey: Uint8Array, host: number): DeviceCommand[] {
  return [
    { op: "add-peer", peer: slot, publicKey },
    { op: "endpoint", peer: slot, record: endpointRecord(Uint8Array.of(127, 0, 0, host), 1000 + host) },
    { op: "allowed-ip", peer: slot, address: Uint8Array.of(10, 0, 0, host), cidr: 32 },
    { op: "peer-configured", peer: slot },
  ];
}

export function ipv4(source: number, destination: number, length = 100): Uint8Array {
  const packet = new Uint8Array(length).map((_, i) => i);
  packet.set([0x45, 0, length >> 8, length & 255], 0);
  packet.set([10, 0, 0, source, 10, 0, 0, destination], 12);
  return packet;
}
