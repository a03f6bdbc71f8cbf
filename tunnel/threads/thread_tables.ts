/**
 * What the threads of one device share besides its DeviceTables. One thread, the owner, has the device: handshakes,
 * timers, configuration. The others, its helpers, only move packets under the keypairs that the owner made.
 *
 * ```
 * per peer      generation | events, received, sent (peer_events.ts)
 * per keypair   generation of its peer | lock of its replay window
 * receiver index table and its version
 * per helper    pin (grace.ts) | messages to the owner (message_ring.ts)
 * a few words   each in a cache line of its own
 * ```
 */
import type { Capacity } from "../tables.ts";
import { DEFAULT_INDICES, indexWords, type SharedIndices } from "../index_table.ts";
import { RING_BYTES } from "./message_ring.ts";

/** Words of a cache line: what different threads write must not share one. */
const LINE = 16;

/** Int32 words per peer: see peer_events.ts. */
export const PEER_WORDS = 4;

/** Which words are what, in `words`. */
export const EPOCH: number = 0 * LINE;
/** How the owner sleeps: AWAKE, NAPPING or RESTING. */
export const ATTENTION: number = 1 * LINE;
/** Counts the messages that cannot wait. */
export const URGENT: number = 2 * LINE;
/** Not 0: a helper could not say which peer has events. */
export const OVERFLOW: number = 3 * LINE;
export const MTU: number = 4 * LINE;
const PINS = 5 * LINE;

/** The owner will look by itself before it sleeps. */
export const AWAKE = 0;
/** It wakes up soon for what can wait. */
export const NAPPING = 1;
/** It has to be woken for anything. */
export const RESTING = 2;

export class ThreadTables {
  readonly buffer: SharedArrayBuffer;
  readonly helpers: number;

  /** Counts who came and went in a peer slot. */
  readonly peerGeneration: Int32Array;
  readonly peerWords: Int32Array;
  /** The generation of its peer slot when the keypair was made. */
  readonly keypairGeneration: Int32Array;
  readonly replayLocks: Int32Array;
  readonly indices: SharedIndices;
  readonly words: Int32Array;

  readonly #ringsAt: number;

  constructor(buffer: SharedArrayBuffer, { peers, keypairs }: Capacity, helpers: number) {
    this.buffer = buffer;
    this.helpers = helpers;
    let offset = 0;
    const take = (bytes: number): number => {
      const at = offset;
      offset += Math.ceil(bytes / 64) * 64;
      return at;
    };
    const words = PINS + helpers * LINE;
    this.words = new Int32Array(buffer, take(4 * words), words);
    this.peerGeneration = new Int32Array(buffer, take(4 * peers), peers);
    this.peerWords = new Int32Array(buffer, take(4 * PEER_WORDS * peers), PEER_WORDS * peers);
    this.keypairGeneration = new Int32Array(buffer, take(4 * keypairs), keypairs);
    this.replayLocks = new Int32Array(buffer, take(4 * keypairs), keypairs);
    const places = indexWords(DEFAULT_INDICES);
    this.indices = {
      version: new Int32Array(buffer, take(4), 1),
      words: new Uint32Array(buffer, take(4 * places), places),
    };
    this.#ringsAt = take(helpers * RING_BYTES);
  }

  /** Tables in a new shared buffer. @param helpers threads besides the owner */
  static create(capacity: Capacity, helpers: number): ThreadTables {
    return new ThreadTables(new SharedArrayBuffer(ThreadTables.bytes(capacity, helpers)), capacity, helpers);
  }

  /** Bytes a buffer needs. */
  static bytes({ peers, keypairs }: Capacity, helpers: number): number {
    const words = PINS + helpers * LINE;
    const indices = indexWords(DEFAULT_INDICES) + 1;
    const roundings = 8 * 64;
    return 4 * (words + peers * (1 + PEER_WORDS) + keypairs * 2 + indices) + helpers * RING_BYTES + roundings;
  }

  /** Where in `words` a helper pins what it uses. */
  pin(helper: number): number {
    return PINS + helper * LINE;
  }

  /** Where in the buffer a helper's messages lie. */
  ringAt(helper: number): number {
    return this.#ringsAt + helper * RING_BYTES;
  }
}
