/** What a device that has helpers does for them: it takes their messages and erases keys once they are done with them. */
import type { Context } from "../context.ts";
import { ENDPOINT_BYTES } from "../endpoint.ts";
import type { Handshakes } from "../handshakes.ts";
import type { Sessions } from "../sessions.ts";
import { Inbox, type InboxActions } from "./inbox.ts";
import type { SharedTimers } from "./peer_events.ts";
import { MTU, type ThreadTables } from "./thread_tables.ts";

/** Keys that helpers may still use are looked at again after this long, in milliseconds. */
const RECLAIM_INTERVAL = 2;

/** What a device needs to have helpers. */
export interface HelpersOptions {
  readonly tables: ThreadTables;
  /** Offset of MAX_PACKET + PADDING_MULTIPLE bytes in the memory, for packets that helpers pass on. */
  readonly room: number;
}

export interface HelpersParts {
  readonly context: Context;
  readonly timers: SharedTimers;
  readonly handshakes: Handshakes;
  readonly sessions: Sessions;
  /** The device's own. */
  readonly send: (offset: number, length: number, now: number) => number;
}

export class Helpers implements InboxActions {
  readonly #parts: HelpersParts;
  readonly #threads: ThreadTables;
  readonly #room: number;
  readonly #inbox: Inbox;
  #servedAt = 0;

  constructor({ tables, room }: HelpersOptions, parts: HelpersParts) {
    this.#parts = parts;
    this.#threads = tables;
    this.#room = room;
    this.#inbox = new Inbox(parts.context.tables, tables, this);
    this.mtu = parts.context.mtu;
  }

  set mtu(bytes: number) {
    Atomics.store(this.#threads.words, MTU, bytes);
  }

  /** When `serve` is due. */
  get deadline(): number {
    const { isReclaiming } = this.#parts.context.keypairs;
    return Math.min(this.#inbox.deadline, isReclaiming ? this.#servedAt + RECLAIM_INTERVAL : Infinity);
  }

  /** To be called in every pass. */
  serve(now: number): void {
    this.#inbox.serve(now);
    this.#parts.context.keypairs.reclaim();
    this.#servedAt = now;
  }

  /** Before timers expire they must know all that happened. */
  takeAll(now: number): void {
    this.#inbox.takeAll(now);
  }

  /** The owner is about to sleep: from now on helpers wake it. @returns false if it has to look again at once */
  rest(): boolean {
    return this.#inbox.rest();
  }

  /** The owner is awake. */
  wake(): void {
    this.#inbox.wake();
  }

  /** A peer came to or left the slot. */
  peerChanged(peer: number): void {
    Atomics.add(this.#threads.peerGeneration, peer, 1);
  }

  // ── Messages ───────────────────────────────────────────────────────────────

  handshake(bytes: Uint8Array, offset: number, length: number): void {
    if (!this.#parts.context.isUp) return;
    const at = offset + ENDPOINT_BYTES;
    this.#parts.handshakes.enqueueFrom(bytes, at, length - ENDPOINT_BYTES, bytes.subarray(offset, at));
  }

  packet(bytes: Uint8Array, offset: number, length: number, now: number): void {
    this.#parts.context.bytes.set(bytes.subarray(offset, offset + length), this.#room);
    this.#parts.send(this.#room, length, now);
  }

  confirm(peer: number, keypair: number, now: number): void {
    this.#parts.sessions.confirm(peer, keypair, now);
  }

  want(peer: number, now: number): void {
    this.#parts.sessions.want(peer, now);
  }

  wantLastMinute(peer: number, now: number): void {
    this.#parts.sessions.wantLastMinute(peer, now);
  }

  hasPeer(peer: number): boolean {
    return this.#parts.context.peers.has(peer);
  }

  fold(peer: number, now: number): void {
    this.#parts.timers.fold(peer, now);
  }
}
