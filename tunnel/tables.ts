/**
 * Hot state of a device as flat typed arrays over one buffer, indexed by peer slot or keypair slot. The buffer may be
 * a SharedArrayBuffer: the control side reads counters and endpoints from it while the data plane runs.
 *
 * Memory is reserved for the full capacity but only touched pages become resident; slots are reused lowest first.
 */
import { ENDPOINT_BYTES } from "./endpoint.ts";
import { KEY_BYTES } from "./limits.ts";
import { REASON_SLOTS } from "./reasons.ts";
import { REPLAY_WORDS } from "./replay.ts";

/** Endpoint slots after the peers', for senders of datagrams that no peer has been found for yet. */
export const SCRATCH_ENDPOINTS = 128;
/** Two transport keys: what we send under, then what we receive under. */
export const KEYPAIR_KEY_BYTES = 2 * KEY_BYTES;
/** Deadlines per peer, see timers.ts. */
export const TIMERS_PER_PEER = 5;

/** No slot. */
export const NONE = -1;

export interface Capacity {
  readonly peers: number;
  readonly keypairs: number;
}

export const DEFAULT_CAPACITY: Capacity = { peers: 65_536, keypairs: 131_072 };

/** Bytes that were counted elsewhere and are not in the tables yet. */
export interface UntoldBytes {
  received(peer: number): number;
  sent(peer: number): number;
}

export class DeviceTables {
  readonly capacity: Capacity;
  readonly buffer: ArrayBufferLike;

  /** Where several threads move packets; only for readers. */
  untold: UntoldBytes | null = null;

  // Per peer.
  readonly rxBytes: Float64Array;
  readonly txBytes: Float64Array;
  /** Unix milliseconds of the last completed handshake, 0 for never. */
  readonly lastHandshake: Float64Array;
  readonly deadlines: Float64Array;
  readonly currentKeypair: Int32Array;
  readonly previousKeypair: Int32Array;
  readonly nextKeypair: Int32Array;
  /** REASON_SLOTS counters per peer. */
  readonly peerDrops: Uint32Array;

  /** 48-byte records: one per peer, then SCRATCH_ENDPOINTS. */
  readonly endpoints: Uint8Array;
  readonly endpointView: DataView;
  /** Odd while a peer's record is being written; readers on other threads retry. */
  readonly endpointVersion: Int32Array;

  // Per keypair.
  readonly keypairPeer: Int32Array;
  readonly keypairKeys: Uint8Array;
  /** The next counter to send under. */
  readonly sendCounter: Float64Array;
  /** Device milliseconds. */
  readonly createdAt: Float64Array;
  readonly localIndex: Uint32Array;
  readonly remoteIndex: Uint32Array;
  /** 1 if we initiated the handshake of this keypair. */
  readonly isInitiator: Uint8Array;
  /** REPLAY_WORDS words per keypair, see replay.ts. */
  readonly replay: Uint32Array;

  // Per device.
  readonly deviceDrops: Uint32Array;

  constructor(buffer: ArrayBufferLike, capacity: Capacity) {
    this.buffer = buffer;
    this.capacity = capacity;
    const { peers, keypairs } = capacity;
    const endpoints = peers + SCRATCH_ENDPOINTS;
    let offset = 0;
    const take = (bytes: number): number => {
      const at = offset;
      offset += Math.ceil(bytes / 8) * 8;
      return at;
    };
    this.rxBytes = new Float64Array(buffer, take(8 * peers), peers);
    this.txBytes = new Float64Array(buffer, take(8 * peers), peers);
    this.lastHandshake = new Float64Array(buffer, take(8 * peers), peers);
    this.deadlines = new Float64Array(buffer, take(8 * TIMERS_PER_PEER * peers), TIMERS_PER_PEER * peers);
    this.currentKeypair = new Int32Array(buffer, take(4 * peers), peers);
    this.previousKeypair = new Int32Array(buffer, take(4 * peers), peers);
    this.nextKeypair = new Int32Array(buffer, take(4 * peers), peers);
    this.peerDrops = new Uint32Array(buffer, take(4 * REASON_SLOTS * peers), REASON_SLOTS * peers);
    const endpointsAt = take(ENDPOINT_BYTES * endpoints);
    this.endpoints = new Uint8Array(buffer, endpointsAt, ENDPOINT_BYTES * endpoints);
    this.endpointView = new DataView(buffer, endpointsAt, ENDPOINT_BYTES * endpoints);
    this.endpointVersion = new Int32Array(buffer, take(4 * endpoints), endpoints);
    this.keypairPeer = new Int32Array(buffer, take(4 * keypairs), keypairs);
    this.keypairKeys = new Uint8Array(buffer, take(KEYPAIR_KEY_BYTES * keypairs), KEYPAIR_KEY_BYTES * keypairs);
    this.sendCounter = new Float64Array(buffer, take(8 * keypairs), keypairs);
    this.createdAt = new Float64Array(buffer, take(8 * keypairs), keypairs);
    this.localIndex = new Uint32Array(buffer, take(4 * keypairs), keypairs);
    this.remoteIndex = new Uint32Array(buffer, take(4 * keypairs), keypairs);
    this.isInitiator = new Uint8Array(buffer, take(keypairs), keypairs);
    this.replay = new Uint32Array(buffer, take(4 * REPLAY_WORDS * keypairs), REPLAY_WORDS * keypairs);
    this.deviceDrops = new Uint32Array(buffer, take(4 * REASON_SLOTS), REASON_SLOTS);
  }

  /** Bytes a buffer of this capacity needs. */
  static bytes({ peers, keypairs }: Capacity): number {
    const perPeer = 24 + 8 * TIMERS_PER_PEER + 12 + 4 * REASON_SLOTS + ENDPOINT_BYTES + 4;
    const perKeypair = 4 + KEYPAIR_KEY_BYTES + 24 + 1 + 4 * REPLAY_WORDS;
    const scratch = SCRATCH_ENDPOINTS * (ENDPOINT_BYTES + 4);
    return peers * perPeer + keypairs * perKeypair + scratch + 4 * REASON_SLOTS + 20 * 8;
  }

  /** Tables in a new shared buffer. */
  static create(capacity: Capacity = DEFAULT_CAPACITY): DeviceTables {
    return new DeviceTables(new SharedArrayBuffer(DeviceTables.bytes(capacity)), capacity);
  }

  /** Bytes received from a peer, as far as any thread has counted. */
  receivedBytes(peer: number): number {
    return this.rxBytes[peer] + (this.untold?.received(peer) ?? 0);
  }

  /** Bytes sent to a peer, likewise. */
  sentBytes(peer: number): number {
    return Math.max(0, this.txBytes[peer] + (this.untold?.sent(peer) ?? 0));
  }

  /**
   * A consistent copy of a peer's endpoint record, from any thread.
   *
   * @param out 48 bytes
   */
  readEndpoint(peer: number, out: Uint8Array): void {
    for (;;) {
      const version = Atomics.load(this.endpointVersion, peer);
      if ((version & 1) === 1) continue;
      out.set(this.endpoints.subarray(peer * ENDPOINT_BYTES, (peer + 1) * ENDPOINT_BYTES));
      if (Atomics.load(this.endpointVersion, peer) === version) return;
    }
  }
}
