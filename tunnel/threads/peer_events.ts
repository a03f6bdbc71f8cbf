/**
 * Events of the packet path that happen on helpers, as bits of one word per peer until the owner's timers fold them in.
 * The bits keep what the order of the events meant: an event that stops a timer takes back the one that started it.
 *
 * ```
 * events i32 | bytes received u32 | bytes sent i32 | spare
 * ```
 */
import type { PacketEvents } from "../context.ts";
import { Timers } from "../timers.ts";
import type { TimerActions } from "../timers.ts";
import type { DeviceTables, UntoldBytes } from "../tables.ts";
import type { Traffic } from "../traffic.ts";
import { PEER_WORDS, type ThreadTables } from "./thread_tables.ts";

const EVENTS = 0;
const RECEIVED_BYTES = 1;
const SENT_BYTES = 2;

const SENT = 1;
/** Content was sent, and nothing has been received since. */
const DATA_SENT = 2;
const RECEIVED = 4;
/** Content was received, and nothing has been sent since. */
const DATA_RECEIVED = 8;
/** And another time. */
const DATA_RECEIVED_AGAIN = 16;

/** A helper's side. Bytes are counted before their event, so that the fold of the event finds them. */
export class EventRecorder implements PacketEvents, Traffic {
  readonly #words: Int32Array;
  readonly #onFirst: (peer: number) => void;

  /** @param onFirst a peer has events, and had none */
  constructor(threads: ThreadTables, onFirst: (peer: number) => void) {
    this.#words = threads.peerWords;
    this.#onFirst = onFirst;
  }

  received(peer: number, bytes: number): void {
    Atomics.add(this.#words, peer * PEER_WORDS + RECEIVED_BYTES, bytes);
  }

  sent(peer: number, bytes: number): void {
    Atomics.add(this.#words, peer * PEER_WORDS + SENT_BYTES, bytes);
  }

  unsent(peer: number, bytes: number): void {
    Atomics.sub(this.#words, peer * PEER_WORDS + SENT_BYTES, bytes);
  }

  /** Every packet has another event as well. */
  anyAuthenticatedPacketTraversal(): void {}

  anyAuthenticatedPacketSent(peer: number): void {
    this.#update(peer, DATA_RECEIVED | DATA_RECEIVED_AGAIN, SENT);
  }

  anyAuthenticatedPacketReceived(peer: number): void {
    this.#update(peer, DATA_SENT, RECEIVED);
  }

  dataSent(peer: number): void {
    this.#update(peer, 0, DATA_SENT);
  }

  dataReceived(peer: number): void {
    const old = Atomics.load(this.#words, peer * PEER_WORDS + EVENTS);
    this.#update(peer, 0, (old & DATA_RECEIVED) === 0 ? DATA_RECEIVED : DATA_RECEIVED_AGAIN);
  }

  #update(peer: number, clear: number, set: number): void {
    const words = this.#words;
    const at = peer * PEER_WORDS + EVENTS;
    let old = Atomics.load(words, at);
    for (;;) {
      const next = (old & ~clear) | set;
      // Mostly: packets of one direction change nothing after the first.
      if (next === old) return;
      const found = Atomics.compareExchange(words, at, old, next);
      if (found === old) break;
      old = found;
    }
    if (old === 0) this.#onFirst(peer);
  }
}

/** For readers on any thread: what no fold has found yet. */
export class UnfoldedBytes implements UntoldBytes {
  readonly #words: Int32Array;

  constructor(threads: ThreadTables) {
    this.#words = threads.peerWords;
  }

  received(peer: number): number {
    return Atomics.load(this.#words, peer * PEER_WORDS + RECEIVED_BYTES) >>> 0;
  }

  sent(peer: number): number {
    return Atomics.load(this.#words, peer * PEER_WORDS + SENT_BYTES);
  }
}

/** The owner's side: timers that first learn what helpers did before. */
export class SharedTimers extends Timers {
  readonly #tables: DeviceTables;
  readonly #words: Int32Array;

  constructor(tables: DeviceTables, threads: ThreadTables, actions: TimerActions, jitter: () => number) {
    super(tables, actions, jitter);
    this.#tables = tables;
    this.#words = threads.peerWords;
  }

  override reset(peer: number): void {
    super.reset(peer);
    this.#words.fill(0, peer * PEER_WORDS, (peer + 1) * PEER_WORDS);
  }

  /** Of the owner's own events this one comes first. */
  override anyAuthenticatedPacketTraversal(peer: number, now: number): void {
    this.fold(peer, now);
    super.anyAuthenticatedPacketTraversal(peer, now);
  }

  /** Takes over what helpers have told of a peer. */
  fold(peer: number, now: number): void {
    const at = peer * PEER_WORDS;
    if (Atomics.load(this.#words, at + EVENTS) === 0) return;
    const events = Atomics.exchange(this.#words, at + EVENTS, 0);
    this.#tables.rxBytes[peer] += Atomics.exchange(this.#words, at + RECEIVED_BYTES, 0) >>> 0;
    const sent = Atomics.exchange(this.#words, at + SENT_BYTES, 0);
    this.#tables.txBytes[peer] = Math.max(0, this.#tables.txBytes[peer] + sent);
    super.anyAuthenticatedPacketTraversal(peer, now);
    if (events & RECEIVED) this.anyAuthenticatedPacketReceived(peer);
    if (events & SENT) this.anyAuthenticatedPacketSent(peer);
    if (events & DATA_SENT) this.dataSent(peer, now);
    if (events & DATA_RECEIVED) this.dataReceived(peer, now);
    if (events & DATA_RECEIVED_AGAIN) this.dataReceived(peer, now);
  }
}
