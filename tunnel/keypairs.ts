/**
 * Transport keypairs: allocation of their slots, and each peer's previous, current and next.
 *
 * A responder may not send under a new keypair before the first packet under it proves that the initiator has it: the
 * keypair waits as `next`. The initiator uses it at once.
 *
 * Spec: WireGuard paper §5.4.5, §6.2; the rotation is the Linux implementation's.
 */
import type { KeypairDirectory } from "./context.ts";
import type { IndexTable } from "./index_table.ts";
import { KEY_BYTES } from "./limits.ts";
import type { ReplayWindows } from "./replay.ts";
import type { SendCounters } from "./send_counters.ts";
import { type DeviceTables, KEYPAIR_KEY_BYTES, NONE } from "./tables.ts";

/** Index-table values: a keypair's slot doubled, or a peer's unanswered initiation as an odd number. */
export function keypairReference(keypair: number): number {
  return keypair * 2;
}

export function handshakeReference(peer: number): number {
  return peer * 2 + 1;
}

/** The keypair an index-table value means, or NONE for a handshake or a missing entry. */
export function referencedKeypair(value: number): number {
  return value < 0 || (value & 1) === 1 ? NONE : value >> 1;
}

/** The peer whose unanswered initiation an index-table value means, or NONE. */
export function referencedHandshake(value: number): number {
  return value < 0 || (value & 1) === 0 ? NONE : value >> 1;
}

/** Other threads that may be in the middle of using what we let go. */
export interface Readers {
  /** Begins a time after which nobody uses what was let go before. */
  beginGrace(): number;
  isGraceOver(grace: number): boolean;
  /** A keypair is about to become findable. */
  created(keypair: number, peer: number): void;
}

export interface KeypairParts {
  readonly tables: DeviceTables;
  readonly indices: IndexTable;
  readonly replay: Pick<ReplayWindows, "reset">;
  readonly counters: SendCounters;
  /** Told of every keypair whose keys were just erased. */
  readonly onFree: (keypair: number) => void;
  /** Null if all packets pass through this thread: then keys are erased at once. */
  readonly readers: Readers | null;
}

export class Keypairs implements KeypairDirectory {
  readonly #tables: DeviceTables;
  readonly #parts: KeypairParts;
  /** Released slots; below `#fresh` every slot is in use or here. */
  readonly #free: number[] = [];
  #fresh = 0;

  // Let go, and not erased before other threads are done with them: first those that no grace has begun for.
  #retired: number[] = [];
  #waiting: number[] = [];
  #grace = 0;

  constructor(parts: KeypairParts) {
    this.#tables = parts.tables;
    this.#parts = parts;
  }

  /** Keypairs in use. */
  get size(): number {
    return this.#fresh - this.#free.length;
  }

  /** Whether released keypairs wait to be erased: `reclaim` is to be called again soon. */
  get isReclaiming(): boolean {
    return this.#retired.length + this.#waiting.length > 0;
  }

  current(peer: number): number {
    return this.#tables.currentKeypair[peer];
  }

  referenced(index: number): number {
    return referencedKeypair(this.#parts.indices.lookup(index));
  }

  /** Prepares a peer's slot. */
  reset(peer: number): void {
    this.#publish(peer, NONE);
    this.#tables.previousKeypair[peer] = NONE;
    this.#tables.nextKeypair[peer] = NONE;
  }

  /**
   * A slot for a new keypair, to be installed next. When all are in use the peer's own keypair that has to go at the
   * installation goes now, so that two slots a peer are enough; NONE if that does not help either.
   *
   * @param sendKey 32 secret bytes, copied
   * @param receiveKey 32 secret bytes, copied
   */
  create(
    peer: number,
    isInitiator: boolean,
    sendKey: Uint8Array,
    receiveKey: Uint8Array,
    localIndex: number,
    remoteIndex: number,
    now: number,
  ): number {
    const tables = this.#tables;
    if (this.size === tables.capacity.keypairs) this.#makeRoom(peer, isInitiator);
    const keypair = this.#free.pop() ?? (this.#fresh < tables.capacity.keypairs ? this.#fresh++ : NONE);
    if (keypair === NONE) return NONE;
    tables.keypairPeer[keypair] = peer;
    tables.isInitiator[keypair] = isInitiator ? 1 : 0;
    tables.keypairKeys.set(sendKey, keypair * KEYPAIR_KEY_BYTES);
    tables.keypairKeys.set(receiveKey, keypair * KEYPAIR_KEY_BYTES + KEY_BYTES);
    this.#parts.counters.reset(keypair);
    tables.createdAt[keypair] = now;
    tables.localIndex[keypair] = localIndex;
    tables.remoteIndex[keypair] = remoteIndex;
    this.#parts.replay.reset(keypair);
    this.#parts.readers?.created(keypair, peer);
    return keypair;
  }

  /** Slides a new keypair into its peer's slots. */
  install(peer: number, keypair: number): void {
    const { currentKeypair, previousKeypair, nextKeypair, isInitiator } = this.#tables;
    if (isInitiator[keypair] === 0) {
      this.#release(previousKeypair[peer]);
      previousKeypair[peer] = NONE;
      this.#release(nextKeypair[peer]);
      nextKeypair[peer] = keypair;
      return;
    }
    this.#release(previousKeypair[peer]);
    if (nextKeypair[peer] === NONE) {
      previousKeypair[peer] = currentKeypair[peer];
    } else {
      // Both sides initiated at once: the session we responded to stays good for receiving.
      previousKeypair[peer] = nextKeypair[peer];
      nextKeypair[peer] = NONE;
      this.#release(currentKeypair[peer]);
    }
    this.#publish(peer, keypair);
  }

  /** After a packet under `keypair` was authenticated: true if that confirmed it as the new current one. */
  confirm(peer: number, keypair: number): boolean {
    const { currentKeypair, previousKeypair, nextKeypair } = this.#tables;
    if (nextKeypair[peer] !== keypair) return false;
    this.#release(previousKeypair[peer]);
    previousKeypair[peer] = currentKeypair[peer];
    this.#publish(peer, keypair);
    nextKeypair[peer] = NONE;
    return true;
  }

  /** Erases all keypairs of a peer. */
  clear(peer: number): void {
    const { currentKeypair, previousKeypair, nextKeypair } = this.#tables;
    this.#release(previousKeypair[peer]);
    this.#release(currentKeypair[peer]);
    this.#release(nextKeypair[peer]);
    this.reset(peer);
  }

  /** Erases what was released as soon as no other thread uses it. */
  reclaim(): void {
    const { readers } = this.#parts;
    if (readers === null) return;
    this.#eraseWaiting(readers);
    if (this.#waiting.length > 0 || this.#retired.length === 0) return;
    [this.#waiting, this.#retired] = [this.#retired, this.#waiting];
    this.#grace = readers.beginGrace();
    this.#eraseWaiting(readers);
  }

  #eraseWaiting(readers: Readers): void {
    if (this.#waiting.length === 0 || !readers.isGraceOver(this.#grace)) return;
    for (const keypair of this.#waiting) this.#erase(keypair);
    this.#waiting.length = 0;
  }

  /** Releases what `install` would. */
  #makeRoom(peer: number, isInitiator: boolean): void {
    const { currentKeypair, previousKeypair, nextKeypair } = this.#tables;
    const places = previousKeypair[peer] !== NONE ? previousKeypair : isInitiator ? currentKeypair : nextKeypair;
    if (isInitiator && places === currentKeypair && nextKeypair[peer] === NONE) return;
    this.#release(places[peer]);
    if (places === currentKeypair) this.#publish(peer, NONE);
    else places[peer] = NONE;
    this.reclaim();
  }

  /** What other threads then see of the keypair is complete. */
  #publish(peer: number, keypair: number): void {
    Atomics.store(this.#tables.currentKeypair, peer, keypair);
  }

  #release(keypair: number): void {
    if (keypair === NONE) return;
    this.#parts.indices.release(this.#tables.localIndex[keypair]);
    if (this.#parts.readers === null) this.#erase(keypair);
    else this.#retired.push(keypair);
  }

  #erase(keypair: number): void {
    const tables = this.#tables;
    tables.keypairKeys.fill(0, keypair * KEYPAIR_KEY_BYTES, (keypair + 1) * KEYPAIR_KEY_BYTES);
    tables.keypairPeer[keypair] = NONE;
    this.#free.push(keypair);
    this.#parts.onFree(keypair);
  }
}
