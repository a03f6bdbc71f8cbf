/**
 * The five timers of a peer and the protocol events that set and stop them. Time is handed in; an expiry calls back.
 *
 * Spec: WireGuard paper §6; event names after the Linux implementation.
 */
import {
  KEEPALIVE_TIMEOUT,
  MAX_TIMER_HANDSHAKES,
  REKEY_TIMEOUT,
  REKEY_TIMEOUT_JITTER,
  ZERO_KEYS_AFTER,
} from "./limits.ts";
import { type DeviceTables, TIMERS_PER_PEER } from "./tables.ts";

/** No response came: send the initiation again, or give up. */
export const RETRANSMIT_HANDSHAKE = 0;
/** Data came in and nothing went out: send an empty packet. */
export const SEND_KEEPALIVE = 1;
/** Data went out and nothing came in: the session may be dead. */
export const NEW_HANDSHAKE = 2;
/** No new session for a long time: erase all keys. */
export const ZERO_KEYS = 3;
export const PERSISTENT_KEEPALIVE = 4;

/** Slots that share a bound on their deadlines: a power of two, near the root of what 65,536 peers need. */
const BLOCK_SHIFT = 7;
const BLOCK_SLOTS = 1 << BLOCK_SHIFT;

/** What expiries do; the device implements it. */
export interface TimerActions {
  /** The peer has not answered: sends an initiation, unless one was sent less than REKEY_TIMEOUT ago. */
  initiate(peer: number, now: number): void;
  sendKeepalive(peer: number, now: number): void;
  dropStaged(peer: number): void;
  zeroKeys(peer: number): void;
  clearSource(peer: number): void;
}

export class Timers {
  readonly #deadlines: Float64Array;
  readonly #actions: TimerActions;
  readonly #jitter: () => number;

  readonly #attempts: Uint8Array;
  readonly #needAnotherKeepalive: Uint8Array;
  readonly #sentLastMinuteHandshake: Uint8Array;
  readonly #persistentKeepalive: Float64Array;

  /** At or before the earliest deadline, so that a pass without an expiry scans nothing. */
  #earliest = Infinity;
  /** The same for each block of slots, so that an expiry scans only blocks that may have one. */
  readonly #blockEarliest: Float64Array;
  /** Slots from here on were never in use. */
  #slots = 0;

  /** @param jitter a number in 0 … 1, different at each call */
  constructor(tables: DeviceTables, actions: TimerActions, jitter: () => number) {
    const { peers } = tables.capacity;
    this.#deadlines = tables.deadlines;
    this.#actions = actions;
    this.#jitter = jitter;
    this.#attempts = new Uint8Array(peers);
    this.#needAnotherKeepalive = new Uint8Array(peers);
    this.#sentLastMinuteHandshake = new Uint8Array(peers);
    this.#persistentKeepalive = new Float64Array(peers);
    this.#blockEarliest = new Float64Array(Math.ceil(peers / BLOCK_SLOTS)).fill(Infinity);
  }

  /** No later than the earliest deadline; Infinity if no timer runs. */
  get earliest(): number {
    return this.#earliest;
  }

  /** Prepares a slot for a new peer. */
  reset(peer: number): void {
    this.#slots = Math.max(this.#slots, peer + 1);
    this.#persistentKeepalive[peer] = 0;
    this.stop(peer);
  }

  /** Stops all timers of a peer. */
  stop(peer: number): void {
    this.#deadlines.fill(Infinity, peer * TIMERS_PER_PEER, (peer + 1) * TIMERS_PER_PEER);
    this.#attempts[peer] = 0;
    this.#needAnotherKeepalive[peer] = 0;
    this.#sentLastMinuteHandshake[peer] = 0;
  }

  /** Milliseconds between persistent keepalives, 0 for off. */
  persistentKeepalive(peer: number): number {
    return this.#persistentKeepalive[peer];
  }

  setPersistentKeepalive(peer: number, milliseconds: number): void {
    this.#persistentKeepalive[peer] = milliseconds;
    if (milliseconds === 0) this.#clear(peer, PERSISTENT_KEEPALIVE);
  }

  // ── Protocol events ────────────────────────────────────────────────────────

  /** After an authenticated packet with content was sent. */
  dataSent(peer: number, now: number): void {
    if (!this.#pending(peer, NEW_HANDSHAKE)) {
      this.#set(peer, NEW_HANDSHAKE, now + KEEPALIVE_TIMEOUT + REKEY_TIMEOUT + this.#jitter() * REKEY_TIMEOUT_JITTER);
    }
  }

  /** After an authenticated packet with content was received. */
  dataReceived(peer: number, now: number): void {
    if (this.#pending(peer, SEND_KEEPALIVE)) this.#needAnotherKeepalive[peer] = 1;
    else this.#set(peer, SEND_KEEPALIVE, now + KEEPALIVE_TIMEOUT);
  }

  /** After any authenticated packet was sent: handshake, data or keepalive. */
  anyAuthenticatedPacketSent(peer: number): void {
    this.#clear(peer, SEND_KEEPALIVE);
  }

  /** After any authenticated packet was received. */
  anyAuthenticatedPacketReceived(peer: number): void {
    this.#clear(peer, NEW_HANDSHAKE);
  }

  /** Whenever an authenticated packet goes either way. */
  anyAuthenticatedPacketTraversal(peer: number, now: number): void {
    const interval = this.#persistentKeepalive[peer];
    if (interval > 0) this.#set(peer, PERSISTENT_KEEPALIVE, now + interval);
  }

  /** A series of attempts begins anew: something other than a retry asked for a handshake. */
  handshakeWanted(peer: number): void {
    this.#attempts[peer] = 0;
  }

  /** After an initiation was sent. */
  handshakeInitiated(peer: number, now: number): void {
    this.#set(peer, RETRANSMIT_HANDSHAKE, now + REKEY_TIMEOUT + this.#jitter() * REKEY_TIMEOUT_JITTER);
  }

  /** An initiation was wanted less than REKEY_TIMEOUT after the last handshake message to the peer. */
  handshakeDelayed(peer: number, lastSent: number): void {
    if (!this.#pending(peer, RETRANSMIT_HANDSHAKE)) this.handshakeInitiated(peer, lastSent);
  }

  /** After a response was accepted, or the first data under a key that we responded with. */
  handshakeComplete(peer: number): void {
    this.#clear(peer, RETRANSMIT_HANDSHAKE);
    this.#attempts[peer] = 0;
    this.#sentLastMinuteHandshake[peer] = 0;
  }

  /** After transport keys were derived, on either side. */
  sessionDerived(peer: number, now: number): void {
    this.#set(peer, ZERO_KEYS, now + ZERO_KEYS_AFTER);
  }

  /** Whether data or an initiation was sent, and nothing authenticated has come since. */
  isUnanswered(peer: number): boolean {
    return this.#pending(peer, NEW_HANDSHAKE) || this.#pending(peer, RETRANSMIT_HANDSHAKE);
  }

  /** Whether an initiation waits for its response, or for its time. */
  isInitiating(peer: number): boolean {
    return this.#pending(peer, RETRANSMIT_HANDSHAKE);
  }

  /** True once per session: the receiving initiator's last-minute handshake may be sent now. */
  claimLastMinuteHandshake(peer: number): boolean {
    if (this.#sentLastMinuteHandshake[peer] === 1) return false;
    this.#sentLastMinuteHandshake[peer] = 1;
    return true;
  }

  // ── Expiry ─────────────────────────────────────────────────────────────────

  /** Runs what has expired at `now`, in the order of the peers' slots. */
  expire(now: number): void {
    if (now < this.#earliest) return;
    // Expiries may set deadlines again; those lower the bounds through #set.
    this.#earliest = Infinity;
    const bounds = this.#blockEarliest;
    for (let block = 0; block << BLOCK_SHIFT < this.#slots; block++) {
      if (bounds[block] <= now) this.#expireBlock(block, now);
      if (bounds[block] < this.#earliest) this.#earliest = bounds[block];
    }
  }

  #expireBlock(block: number, now: number): void {
    const bounds = this.#blockEarliest;
    bounds[block] = Infinity;
    const end = Math.min(this.#slots, (block + 1) << BLOCK_SHIFT);
    for (let peer = block << BLOCK_SHIFT; peer < end; peer++) {
      const base = peer * TIMERS_PER_PEER;
      for (let timer = 0; timer < TIMERS_PER_PEER; timer++) {
        const deadline = this.#deadlines[base + timer];
        if (deadline <= now) {
          this.#deadlines[base + timer] = Infinity;
          this.#expired(peer, timer, now);
        }
      }
      for (let timer = 0; timer < TIMERS_PER_PEER; timer++) {
        bounds[block] = Math.min(bounds[block], this.#deadlines[base + timer]);
      }
    }
  }

  #expired(peer: number, timer: number, now: number): void {
    switch (timer) {
      case RETRANSMIT_HANDSHAKE:
        return this.#retransmitHandshake(peer, now);
      case SEND_KEEPALIVE:
        return this.#sendKeepalive(peer, now);
      case NEW_HANDSHAKE:
        this.#actions.clearSource(peer);
        this.handshakeWanted(peer);
        return this.#actions.initiate(peer, now);
      case ZERO_KEYS:
        return this.#actions.zeroKeys(peer);
      case PERSISTENT_KEEPALIVE:
        return this.#actions.sendKeepalive(peer, now);
    }
  }

  #retransmitHandshake(peer: number, now: number): void {
    if (this.#attempts[peer] > MAX_TIMER_HANDSHAKES) {
      this.#clear(peer, SEND_KEEPALIVE);
      this.#actions.dropStaged(peer);
      // What is left of a partial exchange goes too, if no session's own deadline takes it.
      if (!this.#pending(peer, ZERO_KEYS)) this.#set(peer, ZERO_KEYS, now + ZERO_KEYS_AFTER);
      return;
    }
    this.#attempts[peer]++;
    // The source address may be what is in the way.
    this.#actions.clearSource(peer);
    this.#actions.initiate(peer, now);
  }

  #sendKeepalive(peer: number, now: number): void {
    this.#actions.sendKeepalive(peer, now);
    if (this.#needAnotherKeepalive[peer] === 1) {
      this.#needAnotherKeepalive[peer] = 0;
      this.#set(peer, SEND_KEEPALIVE, now + KEEPALIVE_TIMEOUT);
    }
  }

  #set(peer: number, timer: number, at: number): void {
    this.#deadlines[peer * TIMERS_PER_PEER + timer] = at;
    if (at < this.#earliest) this.#earliest = at;
    if (at < this.#blockEarliest[peer >> BLOCK_SHIFT]) this.#blockEarliest[peer >> BLOCK_SHIFT] = at;
  }

  #clear(peer: number, timer: number): void {
    this.#deadlines[peer * TIMERS_PER_PEER + timer] = Infinity;
  }

  #pending(peer: number, timer: number): boolean {
    return this.#deadlines[peer * TIMERS_PER_PEER + timer] !== Infinity;
  }
}
