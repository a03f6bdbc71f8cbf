/**
 * A virtual week of two devices over a bad link: bursts of traffic with long silences between, random loss,
 * duplication, reordering, corruption, outages, changes of address, and links that go down. The monitor checks the
 * protocol's promises at every event; this file checks those that take long.
 */
import assert from "node:assert/strict";
import type { CryptoSuite } from "../../crypto/suite.ts";
import { REJECT_AFTER_TIME, REKEY_TIMEOUT, REKEY_TIMEOUT_JITTER, ZERO_KEYS_AFTER } from "../../tunnel/limits.ts";
import { TYPE_DATA } from "../../tunnel/messages.ts";
import { Host } from "./host.ts";
import { Monitor } from "./monitor.ts";
import { Network, perfectLink } from "./network.ts";
import { Random } from "./random.ts";
import { SecretLedger } from "./secrets.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
export const WEEK = 7 * 24 * HOUR;

/** After the last handshake message this long, everything secret is gone: an attempt may still end, then 540 s. */
const ERASED_AFTER = ZERO_KEYS_AFTER + REKEY_TIMEOUT + REKEY_TIMEOUT_JITTER + SECOND;
/** With a perfect link and traffic both ways, this long after it came back at the latest. */
const RECOVERY = 6 * SECOND;

export interface WeekReport {
  readonly asked: number;
  readonly delivered: number;
  readonly initiations: number;
  readonly rekeys: number;
  readonly erasures: number;
  readonly recoveries: number;
  /** Those under keys that still lived. */
  readonly quickRecoveries: number;
}

export class Week {
  readonly #network: Network;
  readonly #random: Random;
  readonly #monitor: Monitor;
  readonly #hosts: Host[] = [];
  readonly #ledgers: SecretLedger[] = [];
  readonly #watchSecrets: boolean;
  #erasures = 0;
  #recoveries = 0;
  #quickRecoveries = 0;
  /** Stepped up to stop the traffic that was begun before. */
  #era = 0;

  constructor(seed: number, suite: CryptoSuite, watchSecrets: boolean) {
    this.#network = new Network(seed);
    this.#random = new Random(seed ^ 0x5eed);
    this.#monitor = new Monitor(this.#network);
    this.#watchSecrets = watchSecrets;
    const presharedKey = this.#random.chance(0.5) ? this.#random.bytes(32) : undefined;
    for (let i = 0; i < 2; i++) {
      const ledger = new SecretLedger(suite);
      this.#ledgers.push(ledger);
      const watch = {
        onRandom: (out: Uint8Array): void => ledger.noteRandom(out),
        onEphemeral: (key: Uint8Array): void => ledger.noteEphemeral(key),
      };
      const family = this.#random.pick([4, 6] as const);
      this.#hosts.push(new Host(this.#network, { family, suite: watchSecrets ? ledger.suite : suite, ...watch }));
    }
    const [a, b] = this.#hosts;
    a.addPeer(b, { presharedKey });
    b.addPeer(a, { presharedKey });
    a.up();
    b.up();
    if (watchSecrets) this.#network.observers.push({ arrived: (host, datagram) => this.#noteKeypairs(host, datagram) });
  }

  /** Lives the week. */
  run(): WeekReport {
    this.#worsenLink();
    this.#every(4 * HOUR, () => this.#worsenLink());
    this.#every(3 * HOUR, () => this.#outage());
    this.#every(8 * HOUR, () => this.#move());
    this.#every(12 * HOUR, () => this.#keepalivesForAWhile());
    this.#every(24 * HOUR, () => this.#restart());
    this.#every(25 * MINUTE, () => this.#burst());
    // A tick before its time changes nothing.
    this.#every(10 * MINUTE, () => this.#hosts.forEach((host) => host.tick()));
    this.#every(6 * HOUR, () => this.#checkRecovery());
    this.#checkErasureWhenQuiet();
    this.#network.runUntil(WEEK);
    this.#end();
    const { initiations, rekeys } = this.#monitor.checked;
    const { records, delivered } = this.#network.packets;
    return {
      asked: records.length,
      delivered,
      initiations,
      rekeys,
      erasures: this.#erasures,
      recoveries: this.#recoveries,
      quickRecoveries: this.#quickRecoveries,
    };
  }

  /** Runs something again and again at random times until the week is over. */
  #every(mean: number, run: () => void): void {
    this.#network.after(this.#random.exponential(mean), () => {
      if (this.#network.now > WEEK - HOUR) return;
      run();
      this.#every(mean, run);
    });
  }

  // ── What happens ───────────────────────────────────────────────────────────

  #worsenLink(): void {
    const random = this.#random;
    for (const host of this.#hosts) {
      const { outage } = host.uplink;
      host.uplink = {
        ...perfectLink(random.between(1, 200)),
        jitter: random.between(0, 50),
        loss: random.pick([0, 0.001, 0.01, 0.1, 0.3]),
        duplication: random.pick([0, 0.01, 0.1]),
        corruption: random.pick([0, 0.001, 0.05]),
        reordering: random.pick([0, 0.01, 0.1]),
        reorderDelay: random.between(0, 2_000),
        mtu: random.chance(0.05) ? 1_280 : 65_507,
        outage,
      };
    }
  }

  /** Nothing passes for a second to eleven minutes, both ways or one way. */
  #outage(): void {
    const length = this.#random.pick([1, 3, 10, 20, 60, 130, 200, 660]) * SECOND * this.#random.between(0.5, 1);
    const cut = this.#random.chance(0.7) ? this.#hosts : [this.#random.pick(this.#hosts)];
    for (const host of cut) host.uplink.outage = true;
    this.#network.after(length, () => {
      for (const host of cut) host.uplink.outage = false;
    });
  }

  #move(): void {
    const host = this.#random.pick(this.#hosts);
    host.move(this.#random.pick([4, 6] as const), 100 + this.#random.below(60_000), 1 + this.#random.below(65_535));
  }

  #keepalivesForAWhile(): void {
    const host = this.#random.pick(this.#hosts);
    const seconds = this.#random.pick([1, 25, 25, 110]);
    host.apply([{ op: "keepalive", peer: 0, seconds }, { op: "peer-configured", peer: 0 }]);
    this.#network.after(this.#random.exponential(20 * MINUTE), () => {
      host.apply([{ op: "keepalive", peer: 0, seconds: 0 }]);
    });
  }

  /** The interface goes down and up again: all sessions end. */
  #restart(): void {
    const host = this.#random.pick(this.#hosts);
    host.down();
    this.#monitor.restarted(host);
    assert.equal(host.device.stats.keypairs, 0);
    this.#network.after(this.#random.pick([0, 100, 30 * SECOND]), () => host.up());
  }

  /** Packets one way, both ways or as questions and answers, for up to ten minutes. */
  #burst(): void {
    const random = this.#random;
    const from = random.pick(this.#hosts);
    const to = from === this.#hosts[0] ? this.#hosts[1] : this.#hosts[0];
    const interval = random.pick([20, 200, 1_000, 5_000, 20_000]);
    const count = 1 + random.below(Math.min(120, 600_000 / interval));
    const kind = random.pick(["one way", "both ways", "answered"]);
    const era = this.#era;
    for (let i = 0; i < count; i++) {
      this.#network.after(i * interval * random.between(0.8, 1.2), () => {
        if (era !== this.#era) return;
        this.#send(from, to);
        if (kind === "both ways") this.#send(to, from);
        if (kind === "answered") this.#network.after(300, () => era === this.#era && this.#send(to, from));
      });
    }
  }

  #send(from: Host, to: Host): void {
    if (!from.device.isUp) return;
    const length = this.#random.chance(0.1) ? this.#random.pick([1_280, 1_420]) : 28 + this.#random.below(200);
    from.send(to, length, this.#random.chance(0.2) ? 6 : 4);
  }

  // ── What must hold ─────────────────────────────────────────────────────────

  /** The link is good for a while: traffic flows both ways within 6 s, or within 0.3 s under keys that still live. */
  #checkRecovery(): void {
    const [a, b] = this.#hosts;
    if (!a.device.isUp || !b.device.isUp) return;
    this.#era++;
    for (const host of this.#hosts) host.uplink = perfectLink(10);
    // Each knows where the other is, as after a look at the configuration: both may have moved during an outage.
    a.apply([{ op: "endpoint", peer: 0, record: b.record.slice() }]);
    b.apply([{ op: "endpoint", peer: 0, record: a.record.slice() }]);
    const live = this.#hosts.every((host) => this.#hasLiveKey(host)) && this.#shareAKey();
    const start = this.#network.packets.records.length;
    const began = this.#network.now;
    const era = this.#era;
    const talk = (): void => {
      if (era !== this.#era) return;
      this.#send(a, b);
      this.#send(b, a);
      const { records } = this.#network.packets;
      const heard = [a, b].map((host) =>
        records.findIndex((r, id) => id >= start && r.to === host.number && r.deliveredAt >= 0)
      );
      if (heard.every((id) => id >= 0)) {
        const took = Math.max(...heard.map((id) => records[id].deliveredAt)) - began;
        assert.ok(!live || took <= 300, `recovery with live keys took ${took} ms`);
        this.#recoveries++;
        if (live) this.#quickRecoveries++;
        this.#worsenLink();
        return;
      }
      assert.ok(this.#network.now - began <= RECOVERY, `no recovery ${this.#network.now - began} ms after the outage`);
      this.#network.after(100, talk);
    };
    talk();
  }

  #hasLiveKey(host: Host): boolean {
    const keypair = host.tables.currentKeypair[0];
    return keypair >= 0 && host.now - host.tables.createdAt[keypair] < REJECT_AFTER_TIME - SECOND;
  }

  /** Whether each one's current key is one that the other can receive under. */
  #shareAKey(): boolean {
    const [a, b] = this.#hosts.map((host) => host.tables);
    const knows = (receiver: typeof a, sender: typeof a): boolean =>
      [receiver.currentKeypair[0], receiver.previousKeypair[0], receiver.nextKeypair[0]]
        .some((keypair) =>
          keypair >= 0 && receiver.localIndex[keypair] === sender.remoteIndex[sender.currentKeypair[0]]
        );
    return knows(a, b) && knows(b, a);
  }

  /** Looks every few minutes whether a host should have forgotten everything. */
  #checkErasureWhenQuiet(): void {
    this.#network.after(5 * MINUTE, () => {
      if (this.#network.now > WEEK) return;
      this.#hosts.forEach((host, i) => {
        if (this.#network.now - this.#monitor.lastHandshake(host) > ERASED_AFTER) this.#assertErased(host, i);
        else if (this.#ledgers[i].size > 20_000) this.#ledgers[i].clear();
      });
      this.#checkErasureWhenQuiet();
    });
  }

  #assertErased(host: Host, index: number): void {
    const { keypairs, indices } = host.device.stats;
    assert.deepEqual({ keypairs, indices }, { keypairs: 0, indices: 0 }, `${host.name} has not erased its keys`);
    assert.ok(host.tables.keypairKeys.every((byte) => byte === 0));
    if (this.#watchSecrets && this.#ledgers[index].size > 0) {
      this.#ledgers[index].assertGone(host);
      this.#ledgers[index].clear();
    }
    this.#erasures++;
  }

  /** After a handshake message there may be new transport keys. */
  #noteKeypairs(host: Host, datagram: Uint8Array): void {
    if (datagram[0] !== TYPE_DATA) this.#ledgers[this.#hosts.indexOf(host)].noteKeypairs(host);
  }

  /** Silence after the week: everything returns to where it started. */
  #end(): void {
    this.#era++;
    for (const host of this.#hosts) host.apply([{ op: "keepalive", peer: 0, seconds: 0 }]);
    this.#network.run(2 * HOUR);
    this.#hosts.forEach((host, i) => {
      this.#assertErased(host, i);
      const { peers, staged, handshakesQueued } = host.device.stats;
      assert.deepEqual({ peers, staged, handshakesQueued }, { peers: 1, staged: 0, handshakesQueued: 0 });
      assert.equal(host.device.nextDeadline(), Infinity, "a timer still runs");
    });
  }
}
