/**
 * The owner's side of what helpers tell it, and how it sleeps meanwhile. Urgent messages wake it; events of packets
 * wait up to EVENTS_INTERVAL for the timers to learn of them, but the first after a quiet time does not.
 */
import { type DeviceTables, NONE } from "../tables.ts";
import { MessageRing } from "./message_ring.ts";
import { CONFIRM, EVENTS, HANDSHAKE, PACKET, WANT, WANT_LAST_MINUTE } from "./messages.ts";
import { ATTENTION, AWAKE, NAPPING, OVERFLOW, RESTING, type ThreadTables, URGENT } from "./thread_tables.ts";

/** Milliseconds between two looks at the events of packets while there are any. */
const EVENTS_INTERVAL = 50;

/** What messages ask of the device. Peers are told of only while they are the ones meant. */
export interface InboxActions {
  /** `offset` … lie in `bytes`, the 48-byte record of the sender before them. */
  handshake(bytes: Uint8Array, offset: number, length: number): void;
  packet(bytes: Uint8Array, offset: number, length: number, now: number): void;
  confirm(peer: number, keypair: number, now: number): void;
  want(peer: number, now: number): void;
  wantLastMinute(peer: number, now: number): void;
  /** Whether a peer is in the slot. */
  hasPeer(peer: number): boolean;
  fold(peer: number, now: number): void;
}

export class Inbox {
  readonly #tables: DeviceTables;
  readonly #threads: ThreadTables;
  readonly #words: Int32Array;
  readonly #rings: MessageRing[] = [];
  readonly #actions: InboxActions;
  #urgentSeen = 0;
  /** When to look for events; Infinity while it has been quiet. */
  #nextLook = Infinity;

  constructor(tables: DeviceTables, threads: ThreadTables, actions: InboxActions) {
    this.#tables = tables;
    this.#threads = threads;
    this.#words = threads.words;
    this.#actions = actions;
    for (let helper = 0; helper < threads.helpers; helper++) {
      this.#rings.push(new MessageRing(threads.buffer, threads.ringAt(helper)));
    }
  }

  /** When the owner must call `serve`, at the latest. */
  get deadline(): number {
    return this.#nextLook;
  }

  /**
   * The owner is about to sleep: from now on helpers wake it.
   *
   * @returns false if it may not sleep, for there are messages
   */
  rest(): boolean {
    const isQuiet = this.#nextLook === Infinity;
    Atomics.store(this.#words, ATTENTION, isQuiet ? RESTING : NAPPING);
    if (Atomics.load(this.#words, URGENT) !== this.#urgentSeen) return false;
    return !isQuiet || this.#rings.every((ring) => ring.isEmpty);
  }

  /** The owner is awake. */
  wake(): void {
    Atomics.store(this.#words, ATTENTION, AWAKE);
  }

  /** Takes messages if any are urgent or it is time. */
  serve(now: number): void {
    const urgent = Atomics.load(this.#words, URGENT);
    if (urgent === this.#urgentSeen && now < this.#nextLook && !this.#endsQuiet()) return;
    this.#urgentSeen = urgent;
    this.#nextLook = this.#drain(now) ? now + EVENTS_INTERVAL : Infinity;
  }

  /** Takes all messages that have come. */
  takeAll(now: number): void {
    if (this.#drain(now)) this.#nextLook = Math.min(this.#nextLook, now + EVENTS_INTERVAL);
  }

  #endsQuiet(): boolean {
    return this.#nextLook === Infinity && !this.#rings.every((ring) => ring.isEmpty);
  }

  #drain(now: number): boolean {
    let isAny = false;
    for (const ring of this.#rings) {
      // What is written meanwhile is for the next time, so that a flood cannot keep us here.
      const end = ring.end;
      while (ring.next(end)) {
        isAny = true;
        this.#take(ring, now);
      }
    }
    if (Atomics.exchange(this.#words, OVERFLOW, 0) !== 0) this.#foldAll(now);
    return isAny;
  }

  #take(ring: MessageRing, now: number): void {
    switch (ring.kind) {
      case HANDSHAKE:
        return this.#actions.handshake(ring.bytes, ring.offset, ring.length);
      case PACKET:
        return this.#actions.packet(ring.bytes, ring.offset, ring.length, now);
      case CONFIRM:
        if (this.#isNext(ring.a, ring.b, ring.c)) this.#actions.confirm(ring.a, ring.b, now);
        return;
      case WANT:
        if (this.#isSamePeer(ring.a, ring.b)) this.#actions.want(ring.a, now);
        return;
      case WANT_LAST_MINUTE:
        if (this.#isSamePeer(ring.a, ring.b)) this.#actions.wantLastMinute(ring.a, now);
        return;
      case EVENTS:
        if (this.#actions.hasPeer(ring.a)) this.#actions.fold(ring.a, now);
    }
  }

  /** The keypair is still the one that a packet came under: its slot may have been given to another meanwhile. */
  #isNext(peer: number, keypair: number, localIndex: number): boolean {
    const { nextKeypair } = this.#tables;
    return this.#actions.hasPeer(peer) && keypair !== NONE && nextKeypair[peer] === keypair &&
      (this.#tables.localIndex[keypair] ^ localIndex) === 0;
  }

  #isSamePeer(peer: number, generation: number): boolean {
    return this.#actions.hasPeer(peer) && this.#threads.peerGeneration[peer] === generation;
  }

  #foldAll(now: number): void {
    for (let peer = 0; peer < this.#tables.capacity.peers; peer++) {
      if (this.#actions.hasPeer(peer)) this.#actions.fold(peer, now);
    }
  }
}
