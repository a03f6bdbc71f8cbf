/** How a helper finds keypairs, pinned (grace.ts) while it uses them. */
import type { KeypairDirectory } from "../context.ts";
import { IndexReader } from "../index_table.ts";
import { referencedKeypair } from "../keypairs.ts";
import { type DeviceTables, NONE } from "../tables.ts";
import type { ThreadTables } from "./thread_tables.ts";

export class SharedKeypairs implements KeypairDirectory {
  readonly #tables: DeviceTables;
  readonly #keypairGeneration: Int32Array;
  readonly #indices: IndexReader;
  /** Which generation of each peer slot this helper's configuration speaks of. */
  readonly #generations: Int32Array;

  constructor(tables: DeviceTables, threads: ThreadTables) {
    this.#tables = tables;
    this.#keypairGeneration = threads.keypairGeneration;
    this.#indices = new IndexReader(threads.indices);
    this.#generations = new Int32Array(tables.capacity.peers);
  }

  /** This helper's configuration has learnt that a peer came to or left the slot. */
  peerChanged(peer: number): void {
    this.#generations[peer]++;
  }

  generation(peer: number): number {
    return this.#generations[peer];
  }

  current(peer: number): number {
    const keypair = Atomics.load(this.#tables.currentKeypair, peer);
    return keypair !== NONE && this.#isOurs(keypair, peer) ? keypair : NONE;
  }

  referenced(index: number): number {
    const keypair = referencedKeypair(this.#indices.lookup(index));
    if (keypair === NONE) return NONE;
    const peer = this.#tables.keypairPeer[keypair];
    return peer !== NONE && this.#isOurs(keypair, peer) ? keypair : NONE;
  }

  /**
   * The keypair was made for the very peer that our allowed IPs know by this slot: while a configuration is on its way
   * from thread to thread, nothing goes to or is taken from another who had, or will have, the slot.
   */
  #isOurs(keypair: number, peer: number): boolean {
    return this.#keypairGeneration[keypair] === this.#generations[peer];
  }
}
