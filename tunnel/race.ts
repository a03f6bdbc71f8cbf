/**
 * Sends a waiting initiation to where else its peer may be: see candidates.ts. Only handshakes race; data and cookie
 * replies go to the endpoint alone.
 */
import type { Context } from "./context.ts";
import type { Peer } from "./peers.ts";
import type { PeerEndpoints } from "./peer_endpoints.ts";
import { SCRATCH_ENDPOINTS } from "./tables.ts";

export class Race {
  readonly #context: Context;
  readonly #endpoints: PeerEndpoints;
  /** Slot of the record that a candidate is put into; the last scratch endpoint is that of the message being read. */
  readonly #candidate: number;

  constructor(context: Context, endpoints: PeerEndpoints) {
    this.#context = context;
    this.#endpoints = endpoints;
    this.#candidate = context.tables.capacity.peers + SCRATCH_ENDPOINTS - 2;
  }

  /**
   * An initiation was sent to the peer's endpoint.
   *
   * @param isOpen it goes to the candidates as well
   */
  sent(peer: Peer, initiation: Uint8Array, isOpen: boolean): void {
    if (peer.candidates === null) return;
    peer.candidates.sent(initiation);
    if (isOpen) this.spread(peer);
  }

  /** Whether an initiation of the peer waits whose bytes were kept. */
  isWaiting({ candidates, slot }: Peer): boolean {
    return candidates !== null && candidates.initiation !== null && this.#context.timers.isInitiating(slot);
  }

  /** Sends the waiting initiation to the candidates that have not had it. */
  spread({ candidates, slot }: Peer): void {
    if (candidates === null || candidates.initiation === null) return;
    for (const record of candidates.takeUntried(this.#endpoints.record(slot))) {
      // By its version a carrier sees that it is another endpoint, and does not join the datagrams.
      this.#endpoints.set(this.#candidate, record);
      this.#send(candidates.initiation, this.#candidate, slot);
    }
  }

  /** Sends the waiting initiation once more to all that have had it. @returns false if none was kept */
  repeat(peer: Peer): boolean {
    const { candidates, slot } = peer;
    if (candidates === null || candidates.initiation === null || !this.isWaiting(peer)) return false;
    const wasRacing = candidates.isRacing;
    candidates.forgetTried();
    this.#send(candidates.initiation, slot, slot);
    if (wasRacing) this.spread(peer);
    return true;
  }

  #send(message: Uint8Array, endpoint: number, peer: number): void {
    const { network, bytes, tables } = this.#context;
    tables.txBytes[peer] += message.length;
    bytes.set(message, network.reserve(message.length));
    network.commit(message.length, endpoint, peer);
  }
}
