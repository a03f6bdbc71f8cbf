/**
 * What a helper thread has in place of a Device: the packet path over tables that the owner keeps. Handshake messages,
 * packets without a session and protocol events go to the owner.
 *
 * The driver calls `enter` before packets and `leave` after them, and in between never waits.
 */
import type { Aead } from "../../crypto/aead.ts";
import { AllowedIps } from "../allowed_ips.ts";
import type { DeviceCommand } from "../commands.ts";
import { drop } from "../context.ts";
import { isHandshakeMessage } from "../handshakes.ts";
import { DEFAULT_MTU } from "../limits.ts";
import { TYPE_DATA } from "../messages.ts";
import { PeerEndpoints } from "../peer_endpoints.ts";
import type { DatagramSink, PacketSink } from "../ports.ts";
import { MALFORMED, SEND_FAILED } from "../reasons.ts";
import { type DeviceTables, NONE } from "../tables.ts";
import { Transport } from "../transport.ts";
import { Pin } from "./grace.ts";
import { Messenger } from "./messenger.ts";
import { EventRecorder } from "./peer_events.ts";
import { SharedKeypairs } from "./shared_keypairs.ts";
import { SharedReplayWindows } from "./shared_replay.ts";
import { SharedSendCounters } from "./shared_send_counters.ts";
import { MTU, type ThreadTables } from "./thread_tables.ts";

export interface HelperOptions {
  /** From 0. */
  readonly number: number;
  /** This thread's own; see DeviceOptions. */
  readonly memory: WebAssembly.Memory;
  readonly aead: Aead;
  readonly sealsLate?: boolean;
  readonly scratch: number;
  readonly tables: DeviceTables;
  readonly threads: ThreadTables;
  readonly network: DatagramSink;
  readonly tunnel: PacketSink;
  /** Ends the owner's sleep. */
  readonly wake: () => void;
}

/** What helpers must follow; no secrets are among it. */
export function concernsHelpers({ op }: DeviceCommand): boolean {
  return op === "add-peer" || op === "remove-peer" || op === "allowed-ip" || op === "remove-allowed-ip" ||
    op === "clear-allowed-ips";
}

export class Helper {
  readonly #tables: DeviceTables;
  readonly #words: Int32Array;
  readonly #view: DataView;
  readonly #pin: Pin;
  readonly #allowedIps = new AllowedIps();
  readonly #endpoints: PeerEndpoints;
  readonly #keypairs: SharedKeypairs;
  readonly #messenger: Messenger;
  readonly #events: EventRecorder;
  readonly #aead: Aead;
  readonly #context: { mtu: number };
  readonly #transport: Transport;

  constructor(options: HelperOptions) {
    const { memory, tables, threads, number } = options;
    const bytes = new Uint8Array(memory.buffer);
    this.#tables = tables;
    this.#words = threads.words;
    this.#view = new DataView(memory.buffer);
    this.#pin = new Pin(threads, number);
    this.#endpoints = new PeerEndpoints(tables);
    this.#keypairs = new SharedKeypairs(tables, threads);
    this.#messenger = new Messenger(tables, threads, number, bytes, this.#keypairs, options.wake);
    this.#aead = options.aead;
    const events = new EventRecorder(threads, (peer) => this.#messenger.events(peer));
    this.#events = events;
    const context = {
      aead: options.aead,
      sealsLate: options.sealsLate === true && options.aead.sealPush !== undefined,
      bytes,
      view: this.#view,
      scratch: options.scratch,
      tables,
      allowedIps: this.#allowedIps,
      keypairs: this.#keypairs,
      counters: new SharedSendCounters(tables),
      replay: new SharedReplayWindows(tables.replay, threads.replayLocks),
      traffic: events,
      timers: events,
      network: options.network,
      tunnel: options.tunnel,
      mtu: DEFAULT_MTU,
    };
    this.#context = context;
    this.#transport = new Transport(context, this.#endpoints, this.#messenger);
  }

  /** Packets may come: what they find in the tables stays there until `leave`. */
  enter(): void {
    this.#pin.enter();
    this.#context.mtu = Atomics.load(this.#words, MTU);
  }

  /** No packet is under way, and no key is left in this thread's memory. */
  leave(): void {
    this.#transport.forgetAll();
    this.#pin.leave();
  }

  /** As `Device.send`. */
  send(offset: number, length: number, now: number): number {
    return this.#transport.send(offset, length, now);
  }

  /** As `Device.receive`. */
  receive(offset: number, length: number, endpoint: number, now: number): number {
    if (length < 4) return drop(this.#tables, MALFORMED);
    const type = this.#view.getUint32(offset, true);
    if (type === TYPE_DATA) return this.#transport.receive(offset, length, endpoint, now);
    if (!isHandshakeMessage(type, length)) return drop(this.#tables, MALFORMED);
    return this.#messenger.handshake(offset, length, endpoint);
  }

  /**
   * Follows one change of the configuration. It is told of each that the device has applied and `concernsHelpers`, in
   * the same order.
   */
  apply(command: DeviceCommand): void {
    switch (command.op) {
      case "add-peer":
        return this.#keypairs.peerChanged(command.peer);
      case "remove-peer":
        this.#allowedIps.removePeer(command.peer);
        return this.#keypairs.peerChanged(command.peer);
      case "allowed-ip":
        return this.#allowedIps.insert(command.address, command.cidr, command.peer);
      case "remove-allowed-ip":
        return void this.#allowedIps.remove(command.address, command.cidr, command.peer);
      case "clear-allowed-ips":
        return this.#allowedIps.removePeer(command.peer);
    }
  }

  /** Counts a drop that the driver saw, such as a failed send. */
  countDrop(reason: number, peer: number): void {
    drop(this.#tables, reason, peer);
  }

  /** As `Device.countUnsent`. */
  countUnsent(length: number, peer: number): void {
    drop(this.#tables, SEND_FAILED, peer);
    if (peer !== NONE) this.#events.unsent(peer, length);
  }

  /** As `Device.completeSeals`. */
  completeSeals(): void {
    this.#aead.sealFlush?.();
  }

  /** Lets the kernel choose the source address of the next datagram to the peer. */
  clearSource(peer: number): void {
    this.#endpoints.clearSource(peer);
  }
}
