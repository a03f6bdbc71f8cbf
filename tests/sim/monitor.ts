/**
 * Watches a simulation and fails at the first moment that a promise of the protocol is broken. What it knows it has from
 * the wire and from the tables that the control side reads too.
 *
 * Spec: WireGuard paper §6; the promises are those of the constants in limits.ts.
 */
import assert from "node:assert/strict";
import {
  KEEPALIVE_TIMEOUT,
  REJECT_AFTER_TIME,
  REKEY_AFTER_TIME,
  REKEY_ON_RECEIVE_TIME,
  REKEY_TIMEOUT,
  REKEY_TIMEOUT_JITTER,
} from "../../tunnel/limits.ts";
import { DATA_OVERHEAD, DATA_RECEIVER, TYPE_DATA, TYPE_INITIATION, TYPE_RESPONSE } from "../../tunnel/messages.ts";
import { NONE, TIMERS_PER_PEER } from "../../tunnel/tables.ts";
import { PERSISTENT_KEEPALIVE } from "../../tunnel/timers.ts";
import type { Host } from "./host.ts";
import type { Network, Observer } from "./network.ts";

/** Initiations of one attempt: the first and 19 retries. */
const INITIATIONS_PER_ATTEMPT = 20;
/** Data without an answer for this long asks for a handshake. */
const SILENCE = KEEPALIVE_TIMEOUT + REKEY_TIMEOUT;
/** Rounding of virtual times. */
const EPSILON = 0.01;

/** One direction between two hosts, seen from the sender; all times are the network's. */
interface Direction {
  lastInitiation: number;
  /** When it last sent an initiation or a response: the next one keeps its distance from either. */
  lastHandshakeSent: number;
  /** Initiations since something other than a retry asked for a handshake. */
  initiations: number;
  /** When data went out that nothing authenticated has come back for, Infinity if none. */
  unheardSince: number;
  /** Times of the data sent in the last half minute. */
  dataSent: number[];
  /** When we last sent or received a handshake message that counts. */
  lastHandshake: number;
  rxBytes: number;
}

export class Monitor implements Observer {
  /** How often each kind of event was checked, so that a test can tell that it checked anything. */
  readonly checked = { initiations: 0, rekeys: 0, data: 0, received: 0, delivered: 0 };
  readonly #network: Network;
  readonly #directions = new Map<number, Direction>();
  /** Receiver index of the datagram that is being opened, NONE between datagrams. */
  #opening: number = NONE;
  #isArriving = false;
  /** Data went out while a datagram was taken in: it completed a handshake and what was staged followed. */
  #flushed = false;

  constructor(network: Network) {
    this.#network = network;
    network.observers.push(this);
  }

  /** The latest handshake message of a host to or from anyone. */
  lastHandshake(host: Host): number {
    let last = -Infinity;
    for (let slot = 0; slot < host.peers.length; slot++) last = Math.max(last, this.#of(host, slot).lastHandshake);
    return last;
  }

  /** A device's sessions were ended from outside: what was promised about the old ones no longer binds. */
  restarted(host: Host): void {
    for (let slot = 0; slot < host.peers.length; slot++) this.#directions.delete(host.number * 65_536 + slot);
  }

  asked(host: Host, to: Host): void {
    this.#of(host, host.slotOf(to)).initiations = 0;
  }

  sent(host: Host, datagram: Uint8Array, peer: number): void {
    if (peer === NONE) return;
    const direction = this.#of(host, peer);
    switch (datagram[0]) {
      case TYPE_INITIATION:
        return this.#initiated(host, peer, direction);
      case TYPE_RESPONSE:
        direction.lastHandshake = this.#network.now;
        direction.lastHandshakeSent = this.#network.now;
        return;
      case TYPE_DATA:
        return this.#sentData(host, peer, datagram, direction);
    }
  }

  arriving(host: Host, datagram: Uint8Array): void {
    // What is authenticated shows in the byte counters; remember them to see it.
    for (let slot = 0; slot < host.peers.length; slot++) this.#of(host, slot).rxBytes = host.tables.rxBytes[slot];
    if (datagram[0] === TYPE_DATA && datagram.length >= DATA_OVERHEAD) {
      this.#opening = new DataView(datagram.buffer, datagram.byteOffset).getUint32(DATA_RECEIVER, true);
    }
    this.#isArriving = true;
  }

  arrived(host: Host, _datagram: Uint8Array, result: number): void {
    for (let slot = 0; slot < host.peers.length; slot++) {
      const direction = this.#of(host, slot);
      if (host.tables.rxBytes[slot] === direction.rxBytes) continue;
      direction.rxBytes = host.tables.rxBytes[slot];
      direction.initiations = 0;
      if (!this.#flushed) direction.unheardSince = Infinity;
      if (this.#opening === NONE) direction.lastHandshake = this.#network.now;
    }
    if (this.#opening !== NONE && result === 0) {
      this.checked.received++;
      const keypair = keypairOf(host, this.#opening);
      if (keypair !== NONE) this.#assertAge(host, keypair, "receives");
    }
    this.#opening = NONE;
    this.#isArriving = false;
    this.#flushed = false;
    assertBounds(host);
  }

  delivered(host: Host, _id: number, peer: number): void {
    this.checked.delivered++;
    const keypair = keypairOf(host, this.#opening);
    if (keypair === NONE) assert.fail("a packet is delivered under a keypair that is gone");
    if (host.tables.keypairPeer[keypair] !== peer) {
      assert.fail("a packet is delivered from the peer of another keypair");
    }
    this.#assertAge(host, keypair, "delivers");
  }

  #initiated(host: Host, peer: number, direction: Direction): void {
    const { now } = this.#network;
    const gap = now - direction.lastInitiation;
    assert.ok(gap >= REKEY_TIMEOUT - EPSILON, `${host.name} initiates ${gap} ms after its last initiation at ${now}`);
    // An attempt is a row of retries; a session since the last one, a persistent keepalive, or a peer that has been
    // silent for too long has begun a new one.
    const isRetry = now - direction.lastHandshakeSent <= REKEY_TIMEOUT + REKEY_TIMEOUT_JITTER + EPSILON;
    const { tables } = host;
    const keypair = tables.currentKeypair[peer];
    const hasNewSession = keypair !== NONE && host.now - tables.createdAt[keypair] < gap;
    const isKeptAlive = tables.deadlines[peer * TIMERS_PER_PEER + PERSISTENT_KEEPALIVE] !== Infinity;
    const isSilent = direction.dataSent.some((at) =>
      at <= now - SILENCE + EPSILON && at >= direction.lastInitiation - SILENCE - REKEY_TIMEOUT_JITTER - EPSILON
    );
    const isNew = !isRetry || hasNewSession || isKeptAlive || isSilent;
    direction.initiations = isNew ? 1 : direction.initiations + 1;
    assert.ok(
      direction.initiations <= INITIATIONS_PER_ATTEMPT + 1,
      `${host.name} sends initiation ${direction.initiations} of one attempt at ${now}`,
    );
    this.#assertReason(host, peer, direction, gap);
    direction.lastInitiation = now;
    direction.lastHandshake = now;
    direction.lastHandshakeSent = now;
    this.checked.initiations++;
  }

  /** An initiation needs a reason: no session, an old one of ours, a silent peer, or a retry in its time. */
  #assertReason(host: Host, peer: number, direction: Direction, gap: number): void {
    const { tables } = host;
    const keypair = tables.currentKeypair[peer];
    if (keypair === NONE) return;
    const age = host.now - tables.createdAt[keypair];
    if (age >= REJECT_AFTER_TIME) return;
    if (tables.isInitiator[keypair] === 1 && age >= REKEY_AFTER_TIME) {
      this.checked.rekeys++;
      const receiving = this.#opening !== NONE;
      assert.ok(!receiving || age >= REKEY_ON_RECEIVE_TIME || this.#flushed, `rekeys on receiving at ${age}`);
      return;
    }
    const { now } = this.#network;
    if (now - direction.unheardSince >= SILENCE - EPSILON) return;
    const sinceSent = now - direction.lastHandshakeSent;
    const retry = sinceSent <= REKEY_TIMEOUT + REKEY_TIMEOUT_JITTER + EPSILON && age >= gap;
    assert.ok(
      retry,
      `${host.name} initiates at ${now} without a reason: initiator ${
        tables.isInitiator[keypair]
      }, key of ${age} ms, ` +
        `last initiation ${gap} ms ago, nothing heard since ${direction.unheardSince}`,
    );
  }

  #sentData(host: Host, peer: number, datagram: Uint8Array, direction: Direction): void {
    const keypair = host.tables.currentKeypair[peer];
    if (keypair === NONE) assert.fail(`${host.name} sends data without a current keypair`);
    const receiver = new DataView(datagram.buffer, datagram.byteOffset).getUint32(DATA_RECEIVER, true);
    if (receiver !== host.tables.remoteIndex[keypair]) assert.fail(`${host.name} sends under a keypair not current`);
    this.#assertAge(host, keypair, "sends");
    this.checked.data++;
    if (datagram.length === DATA_OVERHEAD) return;
    const { now } = this.#network;
    if (direction.dataSent.length > 0 && direction.dataSent[0] < now - 2 * SILENCE) {
      direction.dataSent = direction.dataSent.filter((at) => at >= now - 2 * SILENCE);
    }
    direction.dataSent.push(now);
    if (this.#isArriving) {
      // Only an authentic datagram makes a device send data: the silence before it is over, a new one begins.
      direction.unheardSince = now;
      this.#flushed = true;
    } else {
      direction.unheardSince = Math.min(direction.unheardSince, now);
    }
  }

  #assertAge(host: Host, keypair: number, verb: string): void {
    const age = host.now - host.tables.createdAt[keypair];
    if (age < 0 || age >= REJECT_AFTER_TIME) assert.fail(`${host.name} ${verb} data under a key of ${age} ms`);
  }

  #of(host: Host, peer: number): Direction {
    const key = host.number * 65_536 + peer;
    let direction = this.#directions.get(key);
    if (direction === undefined) {
      direction = {
        lastInitiation: -Infinity,
        lastHandshakeSent: -Infinity,
        initiations: 0,
        unheardSince: Infinity,
        dataSent: [],
        lastHandshake: -Infinity,
        rxBytes: 0,
      };
      this.#directions.set(key, direction);
    }
    return direction;
  }
}

/** The keypair that answers to a local index, NONE if there is none. */
function keypairOf(host: Host, index: number): number {
  const { tables } = host;
  for (let slot = 0; slot < host.peers.length; slot++) {
    for (const column of [tables.currentKeypair, tables.previousKeypair, tables.nextKeypair]) {
      const keypair = column[slot];
      if (keypair !== NONE && tables.localIndex[keypair] === index) return keypair;
    }
  }
  return NONE;
}

/** At most three keypairs per peer, one index for each and one for a waiting initiation. */
function assertBounds(host: Host): void {
  const { peers, keypairs, indices, staged, handshakesQueued } = host.device.stats;
  if (keypairs > 3 * peers) assert.fail(`${host.name} holds ${keypairs} keypairs`);
  if (indices > 4 * peers) assert.fail(`${host.name} holds ${indices} indices`);
  if (staged > 128 * peers) assert.fail(`${host.name} holds ${staged} staged packets`);
  if (handshakesQueued > 0 && !host.isBusy) assert.fail(`${host.name} leaves handshakes in the queue`);
}
