/**
 * What packets wait for and what their coming means, apart from the packets themselves: staging while there is no
 * session, keepalives, and the first packet that proves a session.
 *
 * Spec: WireGuard paper §6.
 */
import { type Context, drop } from "./context.ts";
import type { Handshakes } from "./handshakes.ts";
import { NONE } from "./tables.ts";
import { STAGING_FULL } from "./reasons.ts";
import type { PeerEndpoints } from "./peer_endpoints.ts";
import type { PacketOwner, Transport } from "./transport.ts";

export class Sessions implements PacketOwner {
  readonly #context: Context;
  readonly #endpoints: PeerEndpoints;
  readonly #handshakes: Handshakes;
  #transport!: Transport;

  constructor(context: Context, endpoints: PeerEndpoints, handshakes: Handshakes) {
    this.#context = context;
    this.#endpoints = endpoints;
    this.#handshakes = handshakes;
  }

  /** The two parts know each other; this closes the circle. */
  connect(transport: Transport): void {
    this.#transport = transport;
  }

  want(peer: number, now: number): void {
    this.#handshakes.want(peer, now);
  }

  wantLastMinute(peer: number, now: number): void {
    if (this.#context.timers.claimLastMinuteHandshake(peer)) this.want(peer, now);
  }

  stage(peer: number, offset: number, length: number, now: number): number {
    const { tables, bytes, staging } = this.#context;
    const kept = staging.push(peer, bytes.subarray(offset, offset + length));
    this.want(peer, now);
    return kept ? 0 : drop(tables, STAGING_FULL, peer);
  }

  confirm(peer: number, keypair: number, now: number): void {
    const { keypairs, timers, tables, wallClock } = this.#context;
    if (!keypairs.confirm(peer, keypair)) return;
    timers.handshakeComplete(peer);
    tables.lastHandshake[peer] = wallClock();
    this.flushStaged(peer, now);
  }

  /** Flushes what is staged, or sends an empty packet; starts a handshake if there is no session for it. */
  sendKeepalive(peer: number, now: number): void {
    if (!this.#endpoints.isKnown(peer)) return;
    const keypair = this.#transport.usableKeypair(peer, now);
    // An empty packet stands for the wish to be heard: it goes out as the confirmation of the new session.
    if (keypair === NONE) return this.want(peer, now);
    if (this.#context.staging.has(peer)) return this.flushStaged(peer, now);
    this.#transport.sendEmpty(peer, keypair, now);
  }

  /** Sends what is staged; starts a handshake if there is something and no session for it. */
  flushStaged(peer: number, now: number): void {
    const { staging } = this.#context;
    if (!staging.has(peer) || !this.#endpoints.isKnown(peer)) return;
    const keypair = this.#transport.usableKeypair(peer, now);
    if (keypair === NONE) return this.want(peer, now);
    for (const packet of staging.take(peer)) {
      this.#transport.sendCopy(peer, keypair, packet, now);
      packet.fill(0);
    }
  }
}
