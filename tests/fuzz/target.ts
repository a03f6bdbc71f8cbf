/**
 * A device in the middle of everything: a session with one peer, an unanswered initiation to another, and genuine
 * messages of all four types that were made for it and have not arrived. Its clock stands still while it is attacked.
 */
import assert from "node:assert/strict";
import type { CryptoSuite } from "../../crypto/suite.ts";
import { ENDPOINT_BYTES } from "../../tunnel/endpoint.ts";
import { CookieGenerator } from "../../tunnel/cookie.ts";
import {
  INIT_BYTES,
  INIT_MAC1,
  INIT_SENDER,
  RESP_MAC1,
  TYPE_COOKIE_REPLY,
  TYPE_DATA,
  TYPE_INITIATION,
  TYPE_RESPONSE,
} from "../../tunnel/messages.ts";
import { NONE, TIMERS_PER_PEER } from "../../tunnel/tables.ts";
import { underLoad } from "../sim/flood.ts";
import { Host } from "../sim/host.ts";
import { Network } from "../sim/network.ts";

export const NAMES = ["", "initiation", "response", "cookie reply", "data"];
/** Where both handshake messages have the sender's index, which only the MACs cover. */
export const SENDER_INDEX = INIT_SENDER;
/** Where the attacked device keeps its peers. */
const FRIEND = 0;
const CALLED = 1;

export class Target {
  readonly network: Network;
  readonly host: Host;
  /** Has a session with the host. */
  readonly friend: Host;
  /** Has been called by the host and has answered; the answer is still on its way. */
  readonly called: Host;
  /** Genuine, fresh messages for the host, and where each comes from. */
  readonly genuine: { readonly datagram: Uint8Array; readonly source: Uint8Array }[] = [];
  /** What the host has sent and delivered since the attack began. */
  sent: Uint8Array[] = [];
  delivered = 0;
  readonly #macs: CookieGenerator;
  #isWatching = false;

  constructor(seed: number, suite: CryptoSuite) {
    this.network = new Network(seed);
    this.friend = new Host(this.network, { suite });
    this.host = new Host(this.network, { suite });
    this.called = new Host(this.network, { suite });
    this.#macs = new CookieGenerator(suite, this.host.publicKey);
    this.network.observers.push({
      sent: (from, datagram) => this.#sent(from, datagram),
      delivered: () => void this.delivered++,
    });
    this.#prepare();
    this.sent = [];
    this.delivered = 0;
    this.#isWatching = true;
  }

  /** Hands a datagram to the host, which deals with it at once; returns the result. */
  attack(datagram: Uint8Array, source: Uint8Array): number {
    const result = this.host.receive(datagram, source);
    while (this.host.device.processHandshakes(16, this.host.now) > 0);
    return result;
  }

  /** Replaces both MACs of a handshake message by valid ones (mac2 stays zero). */
  fixMacs(datagram: Uint8Array): void {
    this.#macs.addMacs(datagram, 0);
  }

  /**
   * True for a copy of a genuine message, and for a handshake message of which only the MACs or the sender index differ:
   * with new MACs, which need public knowledge only, it would be accepted as it should be.
   */
  isGenuine(datagram: Uint8Array): boolean {
    return this.genuine.some(({ datagram: original }) => {
      if (original.length !== datagram.length) return false;
      const length = bodyLength(original);
      const skipped = hasMacs(original) ? SENDER_INDEX : -1;
      for (let i = 0; i < length; i++) {
        if (original[i] !== datagram[i] && (i < skipped || i >= skipped + 4 || skipped < 0)) return false;
      }
      return true;
    });
  }

  /** Whether the last 32 bytes begin with a mac1 that is right. */
  hasValidMac1(datagram: Uint8Array): boolean {
    const copy = datagram.slice();
    this.fixMacs(copy);
    const at = datagram.length - 32;
    return copy.subarray(at, at + 16).every((byte, i) => byte === datagram[at + i]);
  }

  /** Everything that a datagram could change, but for the drop counters. */
  state(): unknown {
    const { tables, device } = this.host;
    const keypairs = tables.capacity.keypairs;
    return {
      stats: device.stats,
      peers: [FRIEND, CALLED].map((peer) => ({
        rxBytes: tables.rxBytes[peer],
        txBytes: tables.txBytes[peer],
        lastHandshake: tables.lastHandshake[peer],
        deadlines: [...tables.deadlines.subarray(peer * TIMERS_PER_PEER, (peer + 1) * TIMERS_PER_PEER)],
        keypairs: [tables.currentKeypair[peer], tables.previousKeypair[peer], tables.nextKeypair[peer]],
        endpoint: [...tables.endpoints.subarray(peer * ENDPOINT_BYTES, (peer + 1) * ENDPOINT_BYTES)],
      })),
      keys: tables.keypairKeys.join(),
      counters: tables.sendCounter.join(),
      created: tables.createdAt.join(),
      indices: [tables.localIndex.join(), tables.remoteIndex.join()],
      replay: tables.replay.join(),
      owners: tables.keypairPeer.subarray(0, keypairs).join(),
    };
  }

  /** The attack is over: the genuine messages are still accepted, each as what it is. */
  assertUnharmed(): void {
    const { host, friend, called } = this;
    for (const { datagram, source } of this.genuine) {
      const name = NAMES[datagram[0]];
      const { sent, delivered } = this;
      const before = { sent: sent.length, delivered, rx: host.tables.rxBytes[FRIEND] + host.tables.rxBytes[CALLED] };
      assert.equal(this.attack(datagram, source), 0, `the genuine ${name} is refused`);
      const rx = host.tables.rxBytes[FRIEND] + host.tables.rxBytes[CALLED];
      assert.equal(rx - before.rx, datagram.length, `the genuine ${name} is not accepted`);
      if (datagram[0] === TYPE_DATA) assert.equal(this.delivered, before.delivered + 1);
      if (datagram[0] === TYPE_INITIATION) assert.equal(this.sent.at(-1)![0], TYPE_RESPONSE);
      if (datagram[0] === TYPE_RESPONSE) assert.equal(this.sent.at(-1)![0], TYPE_DATA);
    }
    friend.uplink.outage = false;
    called.uplink.outage = false;
    assert.notEqual(host.tables.currentKeypair[CALLED], NONE);
  }

  #sent(from: Host, datagram: Uint8Array): void {
    if (from === this.host) {
      this.sent.push(datagram);
      return;
    }
    if (!this.#isWatching && from.uplink.outage) this.genuine.push({ datagram, source: from.record });
  }

  #prepare(): void {
    const { network, host, friend, called } = this;
    for (const each of network.hosts) each.up();
    host.addPeer(friend);
    host.addPeer(called);
    friend.addPeer(host);
    called.addPeer(host);
    // A session of two minutes, with traffic both ways.
    friend.send(host, 100);
    network.run(1_000);
    host.send(friend, 100);
    network.runUntil(121_000);
    // Data of several sizes, then an initiation, all on their way.
    friend.uplink.outage = true;
    for (const length of [28, 64, 100, 333, 1_420]) friend.send(host, length);
    // The host calls the third, which answers with a cookie first and with a response when it is called again.
    called.uplink.outage = true;
    const load = underLoad(called);
    host.send(called, 100);
    const initiation = this.sent.findLast((datagram) => datagram.length === INIT_BYTES)!;
    network.run(100);
    load.stop();
    network.run(1_500);
    network.inject(initiation, host.record, called.record, 0);
    network.run(100);
    const types = this.genuine.map(({ datagram }) => datagram[0]);
    for (const type of [TYPE_INITIATION, TYPE_RESPONSE, TYPE_COOKIE_REPLY, TYPE_DATA]) {
      assert.ok(types.includes(type), `there is no genuine ${NAMES[type]}`);
    }
    // A cookie reply counts only while its initiation waits: it comes before the response.
    this.genuine.sort((one, other) => rank(one.datagram) - rank(other.datagram));
  }
}

/** Data first, as the new session that the initiation begins could push the old one out; the response last. */
function rank(datagram: Uint8Array): number {
  return [TYPE_DATA, TYPE_INITIATION, TYPE_COOKIE_REPLY, TYPE_RESPONSE].indexOf(datagram[0]);
}

/** Initiations and responses end in two MACs. */
export function hasMacs(datagram: Uint8Array): boolean {
  return datagram[0] === TYPE_INITIATION || datagram[0] === TYPE_RESPONSE;
}

/** Where a message's authenticated body ends and its MACs begin; its whole length if it has none. */
export function bodyLength(datagram: Uint8Array): number {
  if (datagram[0] === TYPE_INITIATION) return INIT_MAC1;
  return datagram[0] === TYPE_RESPONSE ? RESP_MAC1 : datagram.length;
}
