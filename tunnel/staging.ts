/**
 * Packets that wait for a handshake: copies, oldest dropped first.
 *
 * Spec: WireGuard paper §6.4 (queueing while a handshake is under way).
 */
import { wipe } from "../crypto/bytes.ts";
import { MAX_STAGED_PACKETS } from "./limits.ts";

/** Shared by all that are empty. */
const EMPTY: Uint8Array[] = [];

export class Staging {
  #packets = EMPTY;

  get length(): number {
    return this.#packets.length;
  }

  /** Keeps a copy of the packet; false if the oldest one had to go for it. */
  push(packet: Uint8Array): boolean {
    const full = this.#packets.length >= MAX_STAGED_PACKETS;
    if (full) wipe(this.#packets.shift()!);
    if (this.#packets === EMPTY) this.#packets = [];
    this.#packets.push(packet.slice());
    return !full;
  }

  /** All packets in order; the queue is empty afterwards. */
  take(): Uint8Array[] {
    const packets = this.#packets;
    this.#packets = EMPTY;
    return packets;
  }

  /** Drops everything and returns how many packets that were. */
  clear(): number {
    const packets = this.take();
    wipe(...packets);
    return packets.length;
  }
}
