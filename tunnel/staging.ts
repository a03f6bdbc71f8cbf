/**
 * Packets that wait for a handshake: copies by peer, oldest dropped first.
 *
 * Spec: WireGuard paper §6.4 (queueing while a handshake is under way).
 */
import { wipe } from "../crypto/bytes.ts";
import { MAX_STAGED_PACKETS } from "./limits.ts";

const NOTHING: readonly Uint8Array[] = [];

export class Staging {
  /** Peers without a packet are not here. */
  readonly #packets = new Map<number, Uint8Array[]>();

  /** Packets of all peers. */
  get size(): number {
    let size = 0;
    for (const packets of this.#packets.values()) size += packets.length;
    return size;
  }

  has(peer: number): boolean {
    return this.#packets.has(peer);
  }

  /** Keeps a copy of the packet; false if the peer's oldest one had to go for it. */
  push(peer: number, packet: Uint8Array): boolean {
    const packets = this.#packets.get(peer);
    if (packets === undefined) {
      this.#packets.set(peer, [packet.slice()]);
      return true;
    }
    const full = packets.length >= MAX_STAGED_PACKETS;
    if (full) wipe(packets.shift()!);
    packets.push(packet.slice());
    return !full;
  }

  /** All packets of a peer in order; it has none afterwards. */
  take(peer: number): readonly Uint8Array[] {
    const packets = this.#packets.get(peer) ?? NOTHING;
    this.#packets.delete(peer);
    return packets;
  }

  /** Drops everything of a peer and returns how many packets that were. */
  clear(peer: number): number {
    const packets = this.take(peer);
    wipe(...packets);
    return packets.length;
  }
}
