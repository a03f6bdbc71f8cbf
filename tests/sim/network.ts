/**
 * A simulated internet with a virtual clock: hosts that each run one device, and a way out of every host that delays,
 * loses, repeats, reorders, damages and interrupts. `step` jumps to the next arrival or deadline. Everything follows
 * from one seed.
 *
 * Times are virtual milliseconds since the start, in multiples of 1/1024, so that sums with a host's clock are exact.
 */
import assert from "node:assert/strict";
import { ENDPOINT_ADDRESS, ENDPOINT_FAMILY, ENDPOINT_PORT } from "../../tunnel/endpoint.ts";
import { Agenda } from "./agenda.ts";
import type { Host } from "./host.ts";
import { PacketLedger } from "./packets.ts";
import { Random } from "./random.ts";

/** What can happen to a datagram on its way out of a host. Probabilities in 0 … 1, times in milliseconds. */
export interface Faults {
  latency: number;
  /** Evenly distributed addition to the latency. */
  jitter: number;
  loss: number;
  duplication: number;
  corruption: number;
  /** Probability of an additional delay of at most `reorderDelay`, so that later datagrams overtake. */
  reordering: number;
  reorderDelay: number;
  /** Larger datagrams are lost. */
  mtu: number;
  /** Nothing passes. */
  outage: boolean;
  /** Drops what it says true to. */
  filter: ((datagram: Uint8Array) => boolean) | null;
}

/** A link that only takes its time. */
export function perfectLink(latency = 10): Faults {
  return {
    latency,
    jitter: 0,
    loss: 0,
    duplication: 0,
    corruption: 0,
    reordering: 0,
    reorderDelay: 0,
    mtu: 65_507,
    outage: false,
    filter: null,
  };
}

/** Whoever wants to know what happens; all calls are synchronous and in order. */
export interface Observer {
  /** A packet is about to be handed to a device for `to`. */
  asked?(host: Host, to: Host): void;
  /** A device has sent a datagram; `peer` is -1 for an answer to a stranger. */
  sent?(host: Host, datagram: Uint8Array, peer: number): void;
  /** A datagram is about to be handed to a device. */
  arriving?(host: Host, datagram: Uint8Array): void;
  /** It was, with this result, and its handshake messages were dealt with. */
  arrived?(host: Host, datagram: Uint8Array, result: number): void;
  /** An inner packet came out of a device and is what was sent. */
  delivered?(host: Host, id: number, peer: number): void;
}

/** Virtual times are rounded up to these parts of a millisecond. */
const TICKS_PER_MILLISECOND = 1024;
/** Deadlines at one moment, without anything happening in between, before it counts as a busy loop. */
const BUSY_LOOP = 1000;

export class Network {
  readonly random: Random;
  readonly agenda: Agenda = new Agenda();
  readonly packets: PacketLedger = new PacketLedger();
  readonly hosts: Host[] = [];
  readonly observers: Observer[] = [];
  now = 0;
  #idleTicks = 0;
  readonly #byAddress = new Map<string | number, Host>();

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  /** A host announces itself, or its new address. */
  register(host: Host, old: Uint8Array | null): void {
    if (old !== null) this.#byAddress.delete(addressKey(old));
    this.#byAddress.set(addressKey(host.record), host);
  }

  /** Runs something at a virtual time. */
  at(time: number, run: () => void): void {
    this.agenda.add(quantise(Math.max(time, this.now)), run);
  }

  after(delay: number, run: () => void): void {
    this.at(this.now + delay, run);
  }

  /** Puts a datagram on the wire. */
  transmit(from: Host, datagram: Uint8Array, destination: Uint8Array): void {
    const faults = from.uplink;
    const { random } = this;
    if (faults.outage || datagram.length > faults.mtu || faults.filter?.(datagram)) return;
    const copies = faults.duplication > 0 && random.chance(faults.duplication) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (faults.loss > 0 && random.chance(faults.loss)) continue;
      let delay = faults.latency + random.fraction() * faults.jitter;
      if (faults.reordering > 0 && random.chance(faults.reordering)) delay += random.fraction() * faults.reorderDelay;
      const damaged = faults.corruption > 0 && random.chance(faults.corruption);
      this.inject(damaged ? damage(datagram, random) : datagram, from.record, destination, delay);
    }
  }

  /** A datagram that anybody may have sent, with any sender's address. */
  inject(datagram: Uint8Array, source: Uint8Array, destination: Uint8Array, delay: number): void {
    const key = addressKey(destination);
    this.after(delay, () => this.#byAddress.get(key)?.arrive(datagram, source));
  }

  /** One jump to the next arrival or deadline, not past `limit`; false if nothing happens before it. */
  step(limit: number): boolean {
    let next = this.agenda.next;
    for (const host of this.hosts) next = Math.min(next, quantise(host.nextDeadline()));
    if (next > limit) {
      this.now = quantise(limit);
      return false;
    }
    if (next > this.now) {
      this.now = next;
      this.#idleTicks = 0;
    }
    if (this.agenda.next <= this.now) {
      this.#idleTicks = 0;
      while (this.agenda.next <= this.now) this.agenda.runNext();
    } else if (++this.#idleTicks > BUSY_LOOP) {
      assert.fail(`deadlines stay in the past at ${this.now}: a busy loop`);
    }
    for (const host of this.hosts) {
      if (quantise(host.nextDeadline()) <= this.now) host.tick();
    }
    return true;
  }

  /** Runs until a virtual time. */
  runUntil(time: number): void {
    while (this.step(time));
  }

  run(duration: number): void {
    this.runUntil(this.now + duration);
  }

  /** Runs until `condition` holds; fails after `limit` milliseconds. Returns how long it took. */
  runWhile(condition: () => boolean, limit: number, what: string): number {
    const start = this.now;
    while (condition()) {
      if (!this.step(start + limit)) assert.fail(`${what} did not happen within ${limit} ms`);
    }
    return this.now - start;
  }
}

function quantise(time: number): number {
  return Math.ceil(time * TICKS_PER_MILLISECOND) / TICKS_PER_MILLISECOND;
}

/** Bit flips, a cut, or added bytes. */
function damage(datagram: Uint8Array, random: Random): Uint8Array {
  if (datagram.length > 1 && random.chance(0.1)) return datagram.slice(0, random.below(datagram.length));
  if (random.chance(0.05)) {
    const longer = new Uint8Array(datagram.length + 1 + random.below(32));
    longer.set(datagram);
    return longer;
  }
  const damaged = datagram.slice();
  const flips = 1 + random.below(4);
  for (let i = 0; i < flips; i++) damaged[random.below(damaged.length)] ^= 1 << random.below(8);
  return damaged;
}

/** Family, port and address of a 48-byte record as a map key. */
export function addressKey(record: Uint8Array): string | number {
  const view = new DataView(record.buffer, record.byteOffset);
  const port = view.getUint16(ENDPOINT_PORT, true);
  if (view.getUint16(ENDPOINT_FAMILY, true) === 4) return view.getUint32(ENDPOINT_ADDRESS) * 65_536 + port;
  return `${port} ${record.subarray(ENDPOINT_ADDRESS, ENDPOINT_ADDRESS + 16).join()}`;
}
