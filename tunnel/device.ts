/**
 * One WireGuard device, sans-I/O: datagrams, packets and the time go in; datagrams, packets and the next deadline come
 * out through the ports. It holds no clock, no socket and no randomness of its own.
 *
 * The driver calls, in any order and with a `now` (milliseconds) that never goes back:
 * - `send` for every packet from the TUN device and `receive` for every datagram from the network,
 * - `processHandshakes` after a batch of datagrams, again while it returns more than 0,
 * - `tick` when `nextDeadline` is reached; earlier is harmless.
 */
import { wipe } from "../crypto/bytes.ts";
import type { Aead } from "../crypto/aead.ts";
import type { CryptoSuite } from "../crypto/suite.ts";
import { AllowedIps } from "./allowed_ips.ts";
import { Candidates } from "./candidates.ts";
import type { DeviceCommand } from "./commands.ts";
import { type Context, type DeviceLog, drop, type HandshakeSecrets } from "./context.ts";
import { CookieChecker } from "./cookie.ts";
import { ownParts, sharedParts } from "./device_parts.ts";
import { Handshakes, isHandshakeMessage } from "./handshakes.ts";
import { Keypairs } from "./keypairs.ts";
import { DEFAULT_MTU } from "./limits.ts";
import { TYPE_DATA } from "./messages.ts";
import { PeerEndpoints } from "./peer_endpoints.ts";
import { type Peer, Peers } from "./peers.ts";
import type { DatagramSink, PacketSink } from "./ports.ts";
import { RandomPool } from "./random_pool.ts";
import { RateLimiter } from "./rate_limiter.ts";
import { DEVICE_DOWN, MALFORMED, REASON_SLOTS, SEND_FAILED, STAGING_EXPIRED } from "./reasons.ts";
import { Sessions } from "./sessions.ts";
import { Staging } from "./staging.ts";
import { type DeviceTables, NONE } from "./tables.ts";
import { Helpers, type HelpersOptions } from "./threads/helpers.ts";
import { SharedTimers } from "./threads/peer_events.ts";
import type { ThreadTables } from "./threads/thread_tables.ts";
import { Timers } from "./timers.ts";
import { OwnTraffic } from "./traffic.ts";
import { Transport } from "./transport.ts";

export type { DeviceLog, HandshakeSecrets } from "./context.ts";
export { DEVICE_SCRATCH_BYTES } from "./transport.ts";

export interface DeviceOptions {
  readonly suite: CryptoSuite;
  /** Where packets lie; its size must not change. */
  readonly memory: WebAssembly.Memory;
  readonly aead: Aead;
  /**
   * The driver promises to call `completeSeals` before it sends or copies what was committed; the engine then overlaps
   * the end of each packet with the next one.
   */
  readonly sealsLate?: boolean;
  /** Offset of DEVICE_SCRATCH_BYTES in the memory that are the device's, a multiple of 4. */
  readonly scratch: number;
  readonly tables: DeviceTables;
  /** Fills the array with cryptographically secure random bytes. */
  readonly random: (out: Uint8Array) => void;
  /** Unix milliseconds. */
  readonly wallClock: () => number;
  readonly network: DatagramSink;
  readonly tunnel: PacketSink;
  readonly log?: DeviceLog;
  /** Other threads move packets too; only this one, if left out. */
  readonly helpers?: HelpersOptions;
  /** Told the secrets of every handshake, for a key log; nobody asks by default. */
  readonly onHandshakeSecrets?: (secrets: HandshakeSecrets) => void;
}

/** How much of everything a device holds; all return to zero when its peers go. */
export interface DeviceStats {
  readonly peers: number;
  readonly keypairs: number;
  readonly indices: number;
  readonly handshakesQueued: number;
  readonly staged: number;
}

export class Device {
  readonly #context: Context;
  readonly #endpoints: PeerEndpoints;
  readonly #cookies: CookieChecker;
  readonly #transport: Transport;
  readonly #handshakes: Handshakes;
  readonly #sessions: Sessions;
  readonly #helpers: Helpers | null;

  constructor(options: DeviceOptions) {
    const { suite, memory, tables, random } = options;
    this.#endpoints = new PeerEndpoints(tables);
    this.#cookies = new CookieChecker(suite, random);
    const threads = options.helpers?.tables ?? null;
    const parts = threads === null ? ownParts(tables, random) : sharedParts(tables, threads, random);
    const { indices, replay, counters, readers } = parts;
    const timers = this.#createTimers(tables, threads, new RandomPool(random));
    const onFree = (keypair: number): void => this.#transport.forget(keypair);
    this.#context = {
      suite,
      aead: options.aead,
      sealsLate: options.sealsLate === true && options.aead.sealPush !== undefined,
      bytes: new Uint8Array(memory.buffer),
      view: new DataView(memory.buffer),
      scratch: options.scratch,
      tables,
      peers: new Peers(suite, tables.capacity.peers),
      staging: new Staging(),
      allowedIps: new AllowedIps(),
      indices,
      replay,
      counters,
      traffic: new OwnTraffic(tables),
      keypairs: new Keypairs({ tables, indices, replay, counters, onFree, readers }),
      timers,
      network: options.network,
      tunnel: options.tunnel,
      log: options.log ?? SILENT,
      random,
      wallClock: options.wallClock,
      onHandshakeSecrets: options.onHandshakeSecrets ?? null,
      identity: null,
      mtu: DEFAULT_MTU,
      isUp: false,
    };
    this.#handshakes = new Handshakes(
      this.#context,
      this.#endpoints,
      this.#cookies,
      new RateLimiter(undefined, random),
    );
    this.#sessions = new Sessions(this.#context, this.#endpoints, this.#handshakes);
    this.#transport = new Transport(this.#context, this.#endpoints, this.#sessions);
    this.#sessions.connect(this.#transport);
    this.#handshakes.connect(this.#sessions);
    this.#helpers = options.helpers && timers instanceof SharedTimers
      ? new Helpers(options.helpers, {
        context: this.#context,
        timers,
        handshakes: this.#handshakes,
        sessions: this.#sessions,
        send: (offset, length, now) => this.send(offset, length, now),
      })
      : null;
  }

  /** Largest inner packet that leaves in one piece; bounds the padding. */
  get mtu(): number {
    return this.#context.mtu;
  }

  set mtu(bytes: number) {
    if (!(bytes >= 1)) throw new RangeError("MTU must be at least 1");
    this.#context.mtu = bytes;
    if (this.#helpers !== null) this.#helpers.mtu = bytes;
  }

  /** Null if all packets pass through this thread. */
  get helpers(): Helpers | null {
    return this.#helpers;
  }

  get isUp(): boolean {
    return this.#context.isUp;
  }

  // ── Packets ────────────────────────────────────────────────────────────────

  /**
   * Takes one packet from the TUN device: seals it to the peer that its destination belongs to, or keeps a copy until
   * there is a session.
   *
   * @param offset where it lies in the memory; the 15 bytes behind it are overwritten by the padding
   * @returns 0 or `-reason` (reasons.ts)
   */
  send(offset: number, length: number, now: number): number {
    if (!this.#context.isUp) return drop(this.#context.tables, DEVICE_DOWN);
    return this.#transport.send(offset, length, now);
  }

  /**
   * Takes one datagram from the network. Data is opened in place and delivered; handshake messages are queued.
   *
   * @param offset where it lies in the memory
   * @param endpoint slot of the sender's record in `tables.endpoints`: `tables.capacity.peers + i`
   * @returns 0 or `-reason` (reasons.ts)
   */
  receive(offset: number, length: number, endpoint: number, now: number): number {
    const { isUp, tables, view } = this.#context;
    if (!isUp) return drop(tables, DEVICE_DOWN);
    if (length < 4) return drop(tables, MALFORMED);
    const type = view.getUint32(offset, true);
    if (type === TYPE_DATA) return this.#transport.receive(offset, length, endpoint, now);
    if (!isHandshakeMessage(type, length)) return drop(tables, MALFORMED);
    return this.#handshakes.enqueue(offset, length, endpoint);
  }

  /** Does the work of about `limit` handshakes on what is queued; returns how many messages are left. */
  processHandshakes(limit: number, now: number): number {
    return this.#handshakes.process(limit, now);
  }

  /** Runs the timers that have expired. */
  tick(now: number): void {
    if (this.#helpers !== null) {
      this.#helpers.takeAll(now);
      this.#helpers.serve(now);
    }
    this.#context.timers.expire(now);
  }

  /** When `tick` is due, Infinity for never; it may be early, never late. */
  nextDeadline(): number {
    const { earliest } = this.#context.timers;
    return this.#helpers === null ? earliest : Math.min(earliest, this.#helpers.deadline);
  }

  /** Counts a drop that the driver saw, such as a failed send. */
  countDrop(reason: number, peer: number): void {
    drop(this.#context.tables, reason, peer);
  }

  /** Counts a datagram that the driver could not send, and takes it out of what its peer was sent. */
  countUnsent(length: number, peer: number): void {
    drop(this.#context.tables, SEND_FAILED, peer);
    if (peer !== NONE) this.#context.traffic.unsent(peer, length);
  }

  /** Completes what was committed, if `sealsLate` was promised; harmless otherwise. */
  completeSeals(): void {
    this.#context.aead.sealFlush?.();
  }

  /** Lets the kernel choose the source address of the next datagram to the peer. */
  clearSource(peer: number): void {
    this.#endpoints.clearSource(peer);
  }

  // ── Configuration ──────────────────────────────────────────────────────────

  /** Starts the peers: staged packets and persistent keepalives go out. */
  up(now: number): void {
    if (this.#context.isUp) return;
    this.#context.isUp = true;
    for (const peer of this.#context.peers) this.#startPeer(peer.slot, now);
  }

  /** Erases all sessions and drops what is queued. */
  down(): void {
    this.#context.isUp = false;
    this.#handshakes.clearQueue();
    for (const peer of this.#context.peers) {
      this.#dropStaged(peer.slot, DEVICE_DOWN);
      this.#context.timers.stop(peer.slot);
      this.#expireSessions(peer);
    }
    this.#context.keypairs.reclaim();
  }

  /** Carries out one change; the caller owns the configuration and has checked it. */
  apply(command: DeviceCommand, now: number): void {
    const { allowedIps } = this.#context;
    switch (command.op) {
      case "private-key":
        return this.#setPrivateKey(command.key);
      case "add-peer":
        return this.#addPeer(command.peer, command.publicKey);
      case "remove-peer":
        return this.#removePeer(command.peer);
      case "preshared-key":
        return this.#peer(command.peer).setPresharedKey(command.key);
      case "endpoint":
        return this.#endpoints.set(command.peer, command.record);
      case "keepalive":
        return this.#setKeepalive(command.peer, command.seconds);
      case "allowed-ip":
        return allowedIps.insert(command.address, command.cidr, command.peer);
      case "remove-allowed-ip":
        return void allowedIps.remove(command.address, command.cidr, command.peer);
      case "clear-allowed-ips":
        return allowedIps.removePeer(command.peer);
      case "peer-configured":
        return this.#peerConfigured(command.peer, now);
      case "begin-candidates":
        return (this.#peer(command.peer).candidates ??= new Candidates()).begin();
      case "candidate":
        return this.#peer(command.peer).candidates?.add(command.record);
      case "end-candidates":
        return this.#endCandidates(command.peer, command.isSilent, now);
      case "forget-candidates":
        this.#peer(command.peer).candidates = null;
        return;
      case "path-changed":
        return this.#pathChanged(command.peer, command.keepsSource, now);
    }
  }

  get stats(): DeviceStats {
    return {
      peers: this.#context.peers.size,
      keypairs: this.#context.keypairs.size,
      indices: this.#context.indices.size,
      handshakesQueued: this.#handshakes.queued,
      staged: this.#context.staging.size,
    };
  }

  #setPrivateKey(privateKey: Uint8Array | null): void {
    const context = this.#context;
    if (context.identity !== null) wipe(context.identity.privateKey);
    context.identity = privateKey === null
      ? null
      : { privateKey: privateKey.slice(), publicKey: context.suite.publicKey(privateKey) };
    this.#cookies.setPublicKey(context.identity?.publicKey ?? null);
    for (const peer of this.#context.peers) {
      peer.forgetIdentity();
      this.#expireSessions(peer);
    }
  }

  #addPeer(slot: number, publicKey: Uint8Array): void {
    const { peers, timers, keypairs, tables } = this.#context;
    peers.add(slot, publicKey);
    this.#helpers?.peerChanged(slot);
    timers.reset(slot);
    keypairs.reset(slot);
    tables.rxBytes[slot] = 0;
    tables.txBytes[slot] = 0;
    tables.lastHandshake[slot] = 0;
    tables.peerDrops.fill(0, slot * REASON_SLOTS, (slot + 1) * REASON_SLOTS);
    this.#endpoints.clear(slot);
  }

  #removePeer(slot: number): void {
    const peer = this.#peer(slot);
    this.#context.allowedIps.removePeer(slot);
    this.#context.timers.stop(slot);
    this.#expireSessions(peer);
    this.#endpoints.clear(slot);
    this.#context.staging.clear(slot);
    this.#context.peers.remove(slot);
    this.#helpers?.peerChanged(slot);
  }

  #setKeepalive(slot: number, seconds: number): void {
    const { timers } = this.#context;
    this.#peer(slot).firstKeepaliveDue = seconds > 0 && timers.persistentKeepalive(slot) === 0;
    timers.setPersistentKeepalive(slot, seconds * 1000);
  }

  #peerConfigured(slot: number, now: number): void {
    if (!this.#context.isUp) return;
    if (this.#peer(slot).firstKeepaliveDue) this.#sendFirstKeepalive(slot, now);
    this.#sessions.flushStaged(slot, now);
  }

  /** A peer that was nowhere is where the first of its candidates is. */
  #endCandidates(slot: number, isSilent: boolean, now: number): void {
    const peer = this.#peer(slot);
    if (this.#endpoints.isKnown(slot)) return this.#handshakes.tryCandidates(peer, isSilent, now);
    const first = peer.candidates?.first ?? null;
    if (first === null) return;
    this.#endpoints.set(slot, first);
    this.#peerConfigured(slot, now);
  }

  #pathChanged(slot: number, keepsSource: boolean, now: number): void {
    const peer = this.#peer(slot);
    const { timers, staging } = this.#context;
    if (!keepsSource) this.#endpoints.clearSource(slot);
    const isLive = this.#transport.usableKeypair(slot, now) !== NONE;
    const hasToSay = timers.persistentKeepalive(slot) > 0 || staging.has(slot);
    if (!isLive && (!hasToSay || this.#handshakes.repeat(peer))) return;
    if (this.#context.isUp) this.#sessions.sendKeepalive(slot, now);
  }

  #startPeer(slot: number, now: number): void {
    this.#sessions.flushStaged(slot, now);
    if (this.#context.timers.persistentKeepalive(slot) > 0) this.#sendFirstKeepalive(slot, now);
  }

  /** Without an endpoint it stays due until the configuration brings one. */
  #sendFirstKeepalive(slot: number, now: number): void {
    this.#peer(slot).firstKeepaliveDue = !this.#endpoints.isKnown(slot);
    this.#sessions.sendKeepalive(slot, now);
  }

  /** Erases a peer's sessions and its waiting initiation; the next packet begins anew at once. */
  #expireSessions(peer: Peer): void {
    this.#handshakes.abandon(peer);
    this.#context.keypairs.clear(peer.slot);
    peer.lastHandshakeSent = -Infinity;
  }

  #createTimers(tables: DeviceTables, threads: ThreadTables | null, jitter: RandomPool): Timers {
    const fraction = (): number => jitter.fraction();
    return threads === null
      ? new Timers(tables, this.#timerActions(), fraction)
      : new SharedTimers(tables, threads, this.#timerActions(), fraction);
  }

  #timerActions(): ConstructorParameters<typeof Timers>[1] {
    return {
      initiate: (peer, now) => this.#handshakes.initiate(peer, now, true),
      sendKeepalive: (peer, now) => this.#sessions.sendKeepalive(peer, now),
      dropStaged: (peer) => {
        this.#dropStaged(peer, STAGING_EXPIRED);
        this.#context.log.debug(peer, "No response to 20 handshake initiations; waiting for the next packet");
      },
      zeroKeys: (peer) => {
        this.#handshakes.abandon(this.#peer(peer));
        this.#context.keypairs.clear(peer);
        this.#dropStaged(peer, STAGING_EXPIRED);
        this.#context.log.debug(peer, "Erased all keys: no new session for 540 seconds");
      },
      clearSource: (peer) => this.#endpoints.clearSource(peer),
    };
  }

  #dropStaged(slot: number, reason: number): void {
    const dropped = this.#context.staging.clear(slot);
    for (let i = 0; i < dropped; i++) drop(this.#context.tables, reason, slot);
  }

  #peer(slot: number): Peer {
    return this.#context.peers.at(slot);
  }
}

const SILENT: DeviceLog = { debug: (): void => {} };
