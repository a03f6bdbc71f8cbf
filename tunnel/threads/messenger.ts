/** A helper's way to the owner: messages, and waking it if it sleeps. */
import { ENDPOINT_BYTES } from "../endpoint.ts";
import { HANDSHAKE_QUEUE_FULL, STAGING_FULL } from "../reasons.ts";
import { type DeviceTables, NONE } from "../tables.ts";
import type { PacketOwner } from "../transport.ts";
import { drop } from "../context.ts";
import { MessageRing } from "./message_ring.ts";
import { CONFIRM, EVENTS, HANDSHAKE, PACKET, WANT, WANT_LAST_MINUTE } from "./messages.ts";
import type { SharedKeypairs } from "./shared_keypairs.ts";
import { ATTENTION, AWAKE, OVERFLOW, RESTING, type ThreadTables, URGENT } from "./thread_tables.ts";

/** A wish is told again after this long, for every packet repeats it until it is granted. */
const REPEAT = 100;

export class Messenger implements PacketOwner {
  readonly #tables: DeviceTables;
  readonly #words: Int32Array;
  readonly #ring: MessageRing;
  readonly #bytes: Uint8Array;
  readonly #keypairs: SharedKeypairs;
  readonly #wake: () => void;

  /** Until when no wish for a handshake with the peer is told again. */
  readonly #wantQuiet: Float64Array;
  readonly #lastMinuteQuiet: Float64Array;
  #confirmed = NONE;
  #confirmQuiet = 0;

  /** @param bytes where packets lie @param wake ends the owner's sleep */
  constructor(
    tables: DeviceTables,
    threads: ThreadTables,
    helper: number,
    bytes: Uint8Array,
    keypairs: SharedKeypairs,
    wake: () => void,
  ) {
    this.#tables = tables;
    this.#words = threads.words;
    this.#ring = new MessageRing(threads.buffer, threads.ringAt(helper));
    this.#bytes = bytes;
    this.#keypairs = keypairs;
    this.#wake = wake;
    this.#wantQuiet = new Float64Array(tables.capacity.peers);
    this.#lastMinuteQuiet = new Float64Array(tables.capacity.peers);
  }

  want(peer: number, now: number): void {
    this.#tellWish(WANT, this.#wantQuiet, peer, now);
  }

  wantLastMinute(peer: number, now: number): void {
    this.#tellWish(WANT_LAST_MINUTE, this.#lastMinuteQuiet, peer, now);
  }

  stage(peer: number, offset: number, length: number): number {
    const isTold = this.#ring.write(PACKET, 0, 0, 0, undefined, this.#bytes, offset, length);
    if (!isTold) return drop(this.#tables, STAGING_FULL, peer);
    this.#tellUrgent();
    return 0;
  }

  confirm(peer: number, keypair: number, now: number): void {
    if (keypair === this.#confirmed && now < this.#confirmQuiet) return;
    if (!this.#ring.write(CONFIRM, peer, keypair, this.#tables.localIndex[keypair])) return;
    this.#confirmed = keypair;
    this.#confirmQuiet = now + REPEAT;
    this.#tellUrgent();
  }

  /** A handshake message whose type and length fit. @returns 0 or `-reason` */
  handshake(offset: number, length: number, endpoint: number): number {
    const at = endpoint * ENDPOINT_BYTES;
    const record = this.#tables.endpoints.subarray(at, at + ENDPOINT_BYTES);
    if (!this.#ring.write(HANDSHAKE, 0, 0, 0, record, this.#bytes, offset, length)) {
      return drop(this.#tables, HANDSHAKE_QUEUE_FULL);
    }
    this.#tellUrgent();
    return 0;
  }

  /** A peer has events in its word, and had none. */
  events(peer: number): void {
    if (!this.#ring.write(EVENTS, peer, 0, 0)) Atomics.store(this.#words, OVERFLOW, 1);
    this.#wakeFrom(RESTING);
  }

  #tellWish(kind: number, quiet: Float64Array, peer: number, now: number): void {
    if (now < quiet[peer]) return;
    if (!this.#ring.write(kind, peer, this.#keypairs.generation(peer), 0)) return;
    quiet[peer] = now + REPEAT;
    this.#tellUrgent();
  }

  #tellUrgent(): void {
    Atomics.add(this.#words, URGENT, 1);
    for (let state = Atomics.load(this.#words, ATTENTION); state !== AWAKE;) {
      this.#wakeFrom(state);
      state = Atomics.load(this.#words, ATTENTION);
    }
  }

  /** One of us wakes it; the others need not. */
  #wakeFrom(state: number): void {
    if (Atomics.load(this.#words, ATTENTION) !== state) return;
    if (Atomics.compareExchange(this.#words, ATTENTION, state, AWAKE) === state) this.#wake();
  }
}
