/** What the parts of one device share: its memory, its tables and the ports to the outside. */
import type { Aead } from "../crypto/aead.ts";
import type { CryptoSuite } from "../crypto/suite.ts";
import type { AllowedIps } from "./allowed_ips.ts";
import type { IndexTable } from "./index_table.ts";
import type { Keypairs } from "./keypairs.ts";
import type { Identity, Peers } from "./peers.ts";
import type { DatagramSink, PacketSink } from "./ports.ts";
import type { ReplayWindows } from "./replay.ts";
import { REASON_SLOTS } from "./reasons.ts";
import type { SendCounters } from "./send_counters.ts";
import type { Staging } from "./staging.ts";
import { type DeviceTables, NONE } from "./tables.ts";
import type { Timers } from "./timers.ts";
import type { Traffic } from "./traffic.ts";

/** Sentences about protocol events for the operator's debug log; never called on the packet path. */
export interface DeviceLog {
  debug(peer: number, event: string): void;
}

/** What a capture needs to be decrypted later: one set per handshake, from either side. */
export interface HandshakeSecrets {
  readonly staticPrivate: Uint8Array;
  readonly remoteStatic: Uint8Array;
  readonly ephemeralPrivate: Uint8Array;
  readonly presharedKey: Uint8Array;
}

/** How packets find their keypairs. */
export interface KeypairDirectory {
  /** The keypair to send to a peer under, or NONE. */
  current(peer: number): number;
  /** The keypair that a receiver index (u32 or i32) stands for, or NONE. */
  referenced(index: number): number;
}

/** The events of the packet path; see timers.ts. `anyAuthenticatedPacketTraversal` is told first. */
export type PacketEvents = Pick<
  Timers,
  | "anyAuthenticatedPacketTraversal"
  | "anyAuthenticatedPacketSent"
  | "anyAuthenticatedPacketReceived"
  | "dataSent"
  | "dataReceived"
>;

/** What the packet path needs, on whichever thread it runs. */
export interface TransportContext {
  readonly aead: Aead;
  /** Whether the engine may complete a packet later, when `Device.completeSeals` is called at the latest. */
  readonly sealsLate: boolean;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Offset of the device's own DEVICE_SCRATCH_BYTES in the memory. */
  readonly scratch: number;
  readonly tables: DeviceTables;
  readonly allowedIps: AllowedIps;
  readonly keypairs: KeypairDirectory;
  readonly counters: SendCounters;
  readonly replay: Pick<ReplayWindows, "accept">;
  readonly traffic: Traffic;
  readonly timers: PacketEvents;
  readonly network: DatagramSink;
  readonly tunnel: PacketSink;
  mtu: number;
}

export interface Context extends TransportContext {
  readonly suite: CryptoSuite;
  readonly peers: Peers;
  readonly staging: Staging;
  readonly indices: IndexTable;
  readonly keypairs: Keypairs;
  readonly timers: Timers;
  readonly log: DeviceLog;
  readonly random: (out: Uint8Array) => void;
  readonly wallClock: () => number;
  readonly onHandshakeSecrets: ((secrets: HandshakeSecrets) => void) | null;
  identity: Identity | null;
  isUp: boolean;
}

/** Counts a drop on the device and, if the peer is known, on the peer; returns `-reason`. */
export function drop(tables: DeviceTables, reason: number, peer: number = NONE): number {
  // Several threads may count.
  Atomics.add(tables.deviceDrops, reason, 1);
  if (peer !== NONE) Atomics.add(tables.peerDrops, peer * REASON_SLOTS + reason, 1);
  return -reason;
}
