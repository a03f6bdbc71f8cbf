/**
 * Transport keypairs: allocation of their slots, and each peer's previous, current and next.
 *
 * A responder may not send under a new keypair before the first packet under it proves that the initiator has it: the
 * keypair waits as `next`. The initiator uses it at once.
 *
 * Spec: WireGuard paper §5.4.5, §6.2; the rotation is the Linux implementation's.
 */
import type { IndexTable } from "./index_table.ts";
import { KEY_BYTES } from "./limits.ts";
import type { ReplayWindows } from "./replay.ts";
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

export class Keypairs {
  readonly #tables: DeviceTables;
  readonly #indices: IndexTable;
  readonly #replay: ReplayWindows;
  readonly #onFree: (keypair: number) => void;
  /** Released slots; below `#fresh` every slot is in use or here. */
  readonly #free: number[] = [];
  #fresh = 0;

  /** @param onFree told of every keypair whose keys were just erased */
  constructor(tables: DeviceTables, indices: IndexTable, replay: ReplayWindows, onFree: (keypair: number) => void) {
    this.#tables = tables;
    this.#indices = indices;
    this.#replay = replay;
    this.#onFree = onFree;
  }

  /** Keypairs in use. */
  get size(): number {
    return this.#fresh - this.#free.length;
  }

  /** Prepares a peer's slot. */
  reset(peer: number): void {
    this.#tables.currentKeypair[peer] = NONE;
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
    tables.sendCounter[keypair] = 0;
    tables.createdAt[keypair] = now;
    tables.localIndex[keypair] = localIndex;
    tables.remoteIndex[keypair] = remoteIndex;
    this.#replay.reset(keypair);
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
    currentKeypair[peer] = keypair;
  }

  /** After a packet under `keypair` was authenticated: true if that confirmed it as the new current one. */
  confirm(peer: number, keypair: number): boolean {
    const { currentKeypair, previousKeypair, nextKeypair } = this.#tables;
    if (nextKeypair[peer] !== keypair) return false;
    this.#release(previousKeypair[peer]);
    previousKeypair[peer] = currentKeypair[peer];
    currentKeypair[peer] = keypair;
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

  /** Releases what `install` would. */
  #makeRoom(peer: number, isInitiator: boolean): void {
    const { currentKeypair, previousKeypair, nextKeypair } = this.#tables;
    const places = previousKeypair[peer] !== NONE ? previousKeypair : isInitiator ? currentKeypair : nextKeypair;
    if (isInitiator && places === currentKeypair && nextKeypair[peer] === NONE) return;
    this.#release(places[peer]);
    places[peer] = NONE;
  }

  #release(keypair: number): void {
    if (keypair === NONE) return;
    const tables = this.#tables;
    this.#indices.release(tables.localIndex[keypair]);
    tables.keypairKeys.fill(0, keypair * KEYPAIR_KEY_BYTES, (keypair + 1) * KEYPAIR_KEY_BYTES);
    tables.keypairPeer[keypair] = NONE;
    this.#free.push(keypair);
    this.#onFree(keypair);
  }
}
