/**
 * When may the owner erase what it let go? A helper pins the epoch it works in while it moves packets, and holds
 * nothing while it does not. The owner makes a keypair unfindable, begins a new epoch, and erases the keypair once no
 * helper is pinned to an older one.
 *
 * All of it is sequentially consistent: either the owner sees the pin, or the helper sees the new epoch, and with it
 * that the keypair is gone.
 */
import type { Readers } from "../keypairs.ts";
import { EPOCH, type ThreadTables } from "./thread_tables.ts";

const NOT_PINNED = 0;

/** The owner's side. */
export class Grace implements Readers {
  readonly #threads: ThreadTables;

  constructor(threads: ThreadTables) {
    this.#threads = threads;
  }

  beginGrace(): number {
    return Atomics.add(this.#threads.words, EPOCH, 1) + 1;
  }

  isGraceOver(grace: number): boolean {
    const { words, helpers } = this.#threads;
    for (let helper = 0; helper < helpers; helper++) {
      const pinned = Atomics.load(words, this.#threads.pin(helper));
      if (pinned !== NOT_PINNED && pinned <= grace) return false;
    }
    return true;
  }

  created(keypair: number, peer: number): void {
    this.#threads.keypairGeneration[keypair] = this.#threads.peerGeneration[peer];
  }
}

/** A helper's side. */
export class Pin {
  readonly #words: Int32Array;
  readonly #at: number;

  constructor(threads: ThreadTables, helper: number) {
    this.#words = threads.words;
    this.#at = threads.pin(helper);
  }

  /** From here on nothing that can be found is erased. */
  enter(): void {
    let epoch: number;
    do {
      epoch = Atomics.load(this.#words, EPOCH);
      Atomics.store(this.#words, this.#at, epoch + 1);
    } while (Atomics.load(this.#words, EPOCH) !== epoch);
  }

  /** Nothing that was found is used any more. */
  leave(): void {
    Atomics.store(this.#words, this.#at, NOT_PINNED);
  }
}
