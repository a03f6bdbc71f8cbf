/** What the parts of one device share: its memory, its tables and the ports to the outside. */
import type { Aead } from "../crypto/aead.ts";
import type { CryptoSuite } from "../crypto/suite.ts";
import type { AllowedIps } from "./allowed_ips.ts";
import type { IndexTable } from "./index_table.ts";
import type { Keypairs } from "./keypairs.ts";
import type { Identity, Peer } from "./peer.ts";
import type { DatagramSink, PacketSink } from "./ports.ts";
import type { ReplayWindows } from "./replay.ts";
import { REASON_SLOTS } from "./reasons.ts";
import { type DeviceTables, NONE } from "./tables.ts";
import type { Timers } from "./timers.ts";

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

export interface Context {
  readonly suite: CryptoSuite;
  readonly aead: Aead;
  /** Whether the engine may complete a packet later, when `Device.completeSeals` is called at the latest. */
  readonly sealsLate: boolean;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Offset of the device's own DEVICE_SCRATCH_BYTES in the memory. */
  readonly scratch: number;
  readonly tables: DeviceTables;
  readonly peers: (Peer | null)[];
  readonly allowedIps: AllowedIps;
  readonly indices: IndexTable;
  readonly replay: ReplayWindows;
  readonly keypairs: Keypairs;
  readonly timers: Timers;
  readonly network: DatagramSink;
  readonly tunnel: PacketSink;
  readonly log: DeviceLog;
  readonly random: (out: Uint8Array) => void;
  readonly wallClock: () => number;
  readonly onHandshakeSecrets: ((secrets: HandshakeSecrets) => void) | null;
  identity: Identity | null;
  mtu: number;
  isUp: boolean;
}

/** Counts a drop on the device and, if the peer is known, on the peer; returns `-reason`. */
export function drop(tables: DeviceTables, reason: number, peer: number = NONE): number {
  tables.deviceDrops[reason]++;
  if (peer !== NONE) tables.peerDrops[peer * REASON_SLOTS + reason]++;
  return -reason;
}
