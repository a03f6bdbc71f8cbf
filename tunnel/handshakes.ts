/**
 * Handshake messages: making initiations, answering them, accepting responses, and cookies under load.
 *
 * A peer has one waiting initiation of ours; answering an initiation of theirs needs no memory between messages, so two
 * simultaneous initiations both complete.
 *
 * Spec: WireGuard paper §5.3 (denial of service), §5.4.2 – §5.4.7.
 */
import { wipe } from "../crypto/bytes.ts";
import { IDENTIFIER, NoiseState } from "../crypto/noise.ts";
import { type Context, drop } from "./context.ts";
import type { CookieChecker } from "./cookie.ts";
import { HandshakeQueue } from "./handshake_queue.ts";
import { handshakeReference, keypairReference, referencedHandshake, referencedKeypair } from "./keypairs.ts";
import {
  INITIATIONS_SPACING,
  KEY_BYTES,
  REJECT_AFTER_TIME,
  REKEY_TIMEOUT,
  TIMESTAMP_BYTES,
  UNDER_LOAD_AFTER,
  UNDER_LOAD_QUEUE,
} from "./limits.ts";
import {
  COOKIE_RECEIVER,
  COOKIE_REPLY_BYTES,
  INIT_BYTES,
  INIT_EPHEMERAL,
  INIT_MAC1,
  INIT_SENDER,
  INIT_TYPE,
  RESP_BYTES,
  RESP_EPHEMERAL,
  RESP_MAC1,
  RESP_RECEIVER,
  RESP_SENDER,
  RESP_TYPE,
  TYPE_COOKIE_REPLY,
  TYPE_INITIATION,
  TYPE_RESPONSE,
} from "./messages.ts";
import type { PeerEndpoints } from "./peer_endpoints.ts";
import type { Identity, Peer } from "./peers.ts";
import { Race } from "./race.ts";
import type { RateLimiter } from "./rate_limiter.ts";
import {
  BAD_COOKIE_REPLY,
  BAD_HANDSHAKE,
  BAD_MAC1,
  HANDSHAKE_QUEUE_FULL,
  INITIATION_FLOOD,
  NO_ENDPOINT,
  NO_PRIVATE_KEY,
  OLD_TIMESTAMP,
  RATE_LIMITED,
  TABLE_FULL,
  UNDER_LOAD,
  UNKNOWN_INDEX,
  UNKNOWN_PEER,
} from "./reasons.ts";
import { NONE, SCRATCH_ENDPOINTS } from "./tables.ts";
import { compareTai64n, writeTai64n } from "./tai64n.ts";

const PROLOGUE = new TextEncoder().encode(IDENTIFIER);
const EMPTY = new Uint8Array(0);
/**
 * Work of a message by its outcome, in parts of a handshake's (two or four X25519): checking mac1 takes 2 µs and making a
 * cookie reply 20 µs, where a handshake takes 400 to 800 µs.
 */
const HANDSHAKE_WORK = 64;
const COOKIE_REPLY_WORK = 4;
const REFUSAL_WORK = 1;
/**
 * Cookie replies at most for each handshake that might be worked on; the other callers without a cookie get none and try
 * again. Else making cookies for a flood would take the time to hear those who have one.
 */
const COOKIE_REPLIES = 4;
/** Timestamps this many milliseconds apart differ after whitening to 2^24 ns. */
const TIMESTAMP_STEP = 17;

/** Where a completed handshake is put to use; sessions.ts. */
export interface SessionStart {
  /** The responder waits for a packet under the new key: what is staged, else an empty one, at once. */
  sendKeepalive(peer: number, now: number): void;
}

export class Handshakes {
  readonly #context: Context;
  readonly #endpoints: PeerEndpoints;
  readonly #cookies: CookieChecker;
  readonly #limiter: RateLimiter;
  readonly #queue = new HandshakeQueue();
  readonly #scratchEndpoint: number;
  readonly #race: Race;
  #underLoadAt = -Infinity;
  /** What `process` may still do: its work, and cookie replies. */
  #workLeft = 0;
  #cookieRepliesLeft = 0;
  #sessions!: SessionStart;

  constructor(
    context: Context,
    endpoints: PeerEndpoints,
    cookies: CookieChecker,
    limiter: RateLimiter,
  ) {
    this.#context = context;
    this.#endpoints = endpoints;
    this.#cookies = cookies;
    this.#limiter = limiter;
    this.#scratchEndpoint = context.tables.capacity.peers + SCRATCH_ENDPOINTS - 1;
    this.#race = new Race(context, endpoints);
  }

  /** The two parts know each other; this closes the circle. */
  connect(sessions: SessionStart): void {
    this.#sessions = sessions;
  }

  get queued(): number {
    return this.#queue.length;
  }

  // ── Incoming ───────────────────────────────────────────────────────────────

  /** Queues a message whose type and length fit; 0 or `-reason`. */
  enqueue(offset: number, length: number, endpoint: number): number {
    return this.enqueueFrom(this.#context.bytes, offset, length, this.#endpoints.record(endpoint));
  }

  /** The same for a message that lies elsewhere. @param record 48 bytes, the sender's */
  enqueueFrom(bytes: Uint8Array, offset: number, length: number, record: Uint8Array): number {
    return this.#queue.push(bytes, offset, length, record, 0) ? 0 : drop(this.#context.tables, HANDSHAKE_QUEUE_FULL);
  }

  /**
   * Does the work of about `limit` handshakes; returns how many messages are left. What is refused at a glance counts for
   * little, so that rubbish is cleared away faster than it comes and does not fill the queue for everybody else.
   */
  process(limit: number, now: number): number {
    this.#workLeft = limit * HANDSHAKE_WORK;
    this.#cookieRepliesLeft = limit * COOKIE_REPLIES;
    while (this.#workLeft > 0 && this.#queue.length > 0) {
      if (this.#queue.length >= UNDER_LOAD_QUEUE) this.#underLoadAt = now;
      const message = this.#queue.message();
      const endpoint = this.#queue.endpoint();
      this.#queue.pop();
      this.#endpoints.record(this.#scratchEndpoint).set(endpoint);
      const result = this.#receive(message, endpoint, now);
      this.#workLeft -= workOf(result);
    }
    return this.#queue.length;
  }

  clearQueue(): void {
    this.#queue.clear();
  }

  #receive(message: Uint8Array, endpoint: Uint8Array, now: number): number {
    const { tables, identity } = this.#context;
    if (identity === null) return drop(tables, NO_PRIVATE_KEY);
    const type = message[0];
    if (type === TYPE_COOKIE_REPLY) return this.#receiveCookieReply(message, now);
    if (!this.#cookies.checkMac1(message)) return drop(tables, BAD_MAC1);
    if (now - this.#underLoadAt < UNDER_LOAD_AFTER) {
      if (!this.#cookies.checkMac2(message, endpoint, now)) {
        if (this.#cookieRepliesLeft > 0) this.#sendCookieReply(message, endpoint, now);
        return drop(tables, UNDER_LOAD);
      }
      if (!this.#limiter.allow(endpoint, now)) return drop(tables, RATE_LIMITED);
    }
    return type === TYPE_INITIATION
      ? this.#receiveInitiation(message, identity, now)
      : this.#receiveResponse(message, identity, now);
  }

  #receiveInitiation(message: Uint8Array, identity: Identity, now: number): number {
    const { tables, suite, peers, log } = this.#context;
    const noise = new NoiseState(suite, PROLOGUE, identity.publicKey);
    try {
      const body = message.subarray(INIT_EPHEMERAL, INIT_MAC1);
      const initiator = noise.readInitiationStatic(body, identity.privateKey);
      if (initiator === null) return drop(tables, BAD_HANDSHAKE);
      const peer = peers.find(initiator);
      if (peer === null) return drop(tables, UNKNOWN_PEER);
      const staticStatic = peer.staticStatic(identity);
      if (staticStatic === null) return drop(tables, BAD_HANDSHAKE, peer.slot);
      const timestamp = noise.readInitiationPayload(body, staticStatic);
      if (timestamp === null) return drop(tables, BAD_HANDSHAKE, peer.slot);
      if (compareTai64n(timestamp, peer.latestTimestamp) <= 0) {
        log.debug(peer.slot, "Dropping a handshake initiation that is not newer than the last one");
        return drop(tables, OLD_TIMESTAMP, peer.slot);
      }
      if (now - peer.lastInitiationReceived < INITIATIONS_SPACING) return drop(tables, INITIATION_FLOOD, peer.slot);
      peer.latestTimestamp.set(timestamp);
      peer.lastInitiationReceived = now;
      log.debug(peer.slot, "Received a handshake initiation");
      this.#received(peer.slot, INIT_BYTES);
      const remoteIndex = viewOf(message).getUint32(INIT_SENDER, true);
      const result = this.#respond(peer, noise, remoteIndex, identity, now);
      this.#authenticated(peer.slot, now);
      return result;
    } finally {
      noise.wipe();
    }
  }

  /** Answers an initiation and prepares the session, which the initiator's first packet will confirm. */
  #respond(peer: Peer, noise: NoiseState, remoteIndex: number, identity: Identity, now: number): number {
    const { tables, timers, log } = this.#context;
    peer.lastHandshakeSent = now;
    const message = new Uint8Array(RESP_BYTES);
    const ephemeral = this.#ephemeral();
    const body = message.subarray(RESP_EPHEMERAL, RESP_MAC1);
    const written = noise.writeResponse(body, ephemeral, peer.publicKey, peer.presharedKey, EMPTY);
    this.#report(peer, identity, ephemeral);
    wipe(ephemeral);
    if (!written) return drop(tables, BAD_HANDSHAKE, peer.slot);
    const localIndex = this.#deriveResponderKeypair(peer, noise, remoteIndex, now);
    if (localIndex === NONE) return drop(tables, TABLE_FULL, peer.slot);
    const view = viewOf(message);
    view.setUint32(RESP_TYPE, TYPE_RESPONSE, true);
    view.setUint32(RESP_SENDER, localIndex, true);
    view.setUint32(RESP_RECEIVER, remoteIndex, true);
    peer.cookies.addMacs(message, now);
    timers.sessionDerived(peer.slot, now);
    timers.anyAuthenticatedPacketTraversal(peer.slot, now);
    timers.anyAuthenticatedPacketSent(peer.slot);
    this.#transmit(message, peer.slot);
    log.debug(peer.slot, "Sent a handshake response");
    return 0;
  }

  #deriveResponderKeypair(peer: Peer, noise: NoiseState, remoteIndex: number, now: number): number {
    const { indices, keypairs } = this.#context;
    const localIndex = indices.allocate(0);
    if (localIndex === NONE) return NONE;
    const [receiveKey, sendKey] = noise.split();
    const keypair = keypairs.create(peer.slot, false, sendKey, receiveKey, localIndex, remoteIndex, now);
    wipe(receiveKey, sendKey);
    if (keypair === NONE) {
      indices.release(localIndex);
      return NONE;
    }
    indices.set(localIndex, keypairReference(keypair));
    keypairs.install(peer.slot, keypair);
    return localIndex;
  }

  #receiveResponse(message: Uint8Array, identity: Identity, now: number): number {
    const { tables, indices, peers, log } = this.#context;
    const view = viewOf(message);
    const localIndex = view.getUint32(RESP_RECEIVER, true);
    const slot = referencedHandshake(indices.lookup(localIndex));
    if (slot === NONE) return drop(tables, UNKNOWN_INDEX);
    const peer = peers.at(slot);
    const noise = peer.handshake!;
    const body = message.subarray(RESP_EPHEMERAL, RESP_MAC1);
    if (noise.readResponse(body, identity.privateKey, peer.presharedKey) === null) {
      return drop(tables, BAD_HANDSHAKE, slot);
    }
    log.debug(slot, "Received a handshake response");
    this.#received(slot, RESP_BYTES);
    // Heard first: the data that completes the handshake must find the timer for its own answer stopped.
    this.#authenticated(slot, now);
    const derived = this.#deriveInitiatorKeypair(peer, noise, localIndex, view.getUint32(RESP_SENDER, true), now);
    peer.wipeHandshake();
    if (derived) this.#completeAsInitiator(slot, now);
    return derived ? 0 : drop(tables, TABLE_FULL, slot);
  }

  #deriveInitiatorKeypair(peer: Peer, noise: NoiseState, localIndex: number, remote: number, now: number): boolean {
    const { indices, keypairs } = this.#context;
    const [sendKey, receiveKey] = noise.split();
    const keypair = keypairs.create(peer.slot, true, sendKey, receiveKey, localIndex, remote, now);
    wipe(sendKey, receiveKey);
    if (keypair === NONE) {
      indices.release(localIndex);
      return false;
    }
    indices.set(localIndex, keypairReference(keypair));
    keypairs.install(peer.slot, keypair);
    return true;
  }

  #completeAsInitiator(peer: number, now: number): void {
    const { timers, tables, wallClock } = this.#context;
    timers.sessionDerived(peer, now);
    timers.handshakeComplete(peer);
    tables.lastHandshake[peer] = wallClock();
    this.#sessions.sendKeepalive(peer, now);
  }

  #receiveCookieReply(message: Uint8Array, now: number): number {
    const { tables, indices, peers, log } = this.#context;
    const value = indices.lookup(viewOf(message).getUint32(COOKIE_RECEIVER, true));
    const keypair = referencedKeypair(value);
    const slot = keypair === NONE ? referencedHandshake(value) : tables.keypairPeer[keypair];
    if (slot === NONE) return drop(tables, UNKNOWN_INDEX);
    if (!peers.at(slot).cookies.consumeReply(message, now)) return drop(tables, BAD_COOKIE_REPLY, slot);
    log.debug(slot, "Received a cookie; the next handshake attempt will carry it");
    tables.rxBytes[slot] += COOKIE_REPLY_BYTES;
    return 0;
  }

  // ── Outgoing ───────────────────────────────────────────────────────────────

  /** A wish for a new session, not a retry: attempts are counted anew. */
  want(peer: number, now: number): void {
    this.#context.timers.handshakeWanted(peer);
    this.initiate(peer, now);
  }

  /**
   * Sends an initiation, unless a handshake message went to the peer less than REKEY_TIMEOUT ago.
   *
   * @param isSilent the peer has not answered: its candidates are tried as well, as they are without a session
   */
  initiate(slot: number, now: number, isSilent = false): void {
    const { tables, timers, identity, isUp, log } = this.#context;
    const peer = this.#context.peers.at(slot);
    if (!isUp) return;
    if (now - peer.lastHandshakeSent < REKEY_TIMEOUT) {
      // If it was a response whose session is never confirmed, nothing else would bring this wish back.
      return timers.handshakeDelayed(slot, peer.lastHandshakeSent);
    }
    if (identity === null) return void drop(tables, NO_PRIVATE_KEY, slot);
    if (!this.#endpoints.isKnown(slot)) return void drop(tables, NO_ENDPOINT, slot);
    peer.lastHandshakeSent = now;
    const message = this.#createInitiation(peer, identity);
    if (message === null) return void drop(tables, BAD_HANDSHAKE, slot);
    peer.cookies.addMacs(message, now);
    timers.anyAuthenticatedPacketTraversal(slot, now);
    timers.anyAuthenticatedPacketSent(slot);
    this.#transmit(message, slot);
    this.#race.sent(peer, message, isSilent || !this.#hasSession(slot, now));
    timers.handshakeInitiated(slot, now);
    log.debug(slot, "Sent a handshake initiation");
  }

  /**
   * A peer's candidates are others now. Those that are new get the initiation that the others have had.
   *
   * @param isSilent the peer was silent when it was last looked at: a handshake with all of them begins, if it still is
   */
  tryCandidates(peer: Peer, isSilent: boolean, now: number): void {
    const { candidates, slot } = peer;
    const { timers } = this.#context;
    if (candidates === null) return;
    if (this.#race.isWaiting(peer)) {
      if (isSilent || candidates.isRacing) this.#race.spread(peer);
    } else if (isSilent && timers.isUnanswered(slot)) {
      this.#endpoints.clearSource(slot);
      timers.handshakeWanted(slot);
      this.initiate(slot, now, true);
    }
  }

  /** Sends the bytes of a waiting initiation once more, over another path. @returns false if none was kept */
  repeat(peer: Peer): boolean {
    return this.#context.isUp && this.#race.repeat(peer);
  }

  /** Erases a waiting initiation and frees its index. */
  abandon(peer: Peer): void {
    if (peer.handshake === null) return;
    this.#context.indices.release(peer.handshakeIndex);
    peer.wipeHandshake();
  }

  #createInitiation(peer: Peer, identity: Identity): Uint8Array | null {
    const { suite, indices, wallClock } = this.#context;
    const staticStatic = peer.staticStatic(identity);
    if (staticStatic === null) return null;
    this.abandon(peer);
    const message = new Uint8Array(INIT_BYTES);
    const noise = new NoiseState(suite, PROLOGUE, peer.publicKey);
    const ephemeral = this.#ephemeral();
    const timestamp = new Uint8Array(TIMESTAMP_BYTES);
    // A clock that was set back must not make our initiations look like replays.
    peer.lastTimestampSent = Math.max(wallClock(), peer.lastTimestampSent + TIMESTAMP_STEP);
    writeTai64n(timestamp, 0, peer.lastTimestampSent);
    const body = message.subarray(INIT_EPHEMERAL, INIT_MAC1);
    const { publicKey } = identity;
    const written = noise.writeInitiation(body, ephemeral, publicKey, peer.publicKey, staticStatic, timestamp);
    this.#report(peer, identity, ephemeral);
    wipe(ephemeral);
    const index = written ? indices.allocate(handshakeReference(peer.slot)) : NONE;
    if (index === NONE) {
      noise.wipe();
      return null;
    }
    peer.setHandshake(noise, index);
    const view = viewOf(message);
    view.setUint32(INIT_TYPE, TYPE_INITIATION, true);
    view.setUint32(INIT_SENDER, index, true);
    return message;
  }

  #sendCookieReply(message: Uint8Array, endpoint: Uint8Array, now: number): void {
    this.#cookieRepliesLeft--;
    this.#workLeft -= COOKIE_REPLY_WORK;
    const sender = viewOf(message).getUint32(INIT_SENDER, true);
    const reply = this.#cookies.createReply(message, sender, endpoint, now);
    this.#write(reply, this.#scratchEndpoint, NONE);
  }

  #transmit(message: Uint8Array, peer: number): void {
    this.#context.tables.txBytes[peer] += message.length;
    this.#write(message, peer, peer);
  }

  #hasSession(peer: number, now: number): boolean {
    const { keypairs, tables } = this.#context;
    const keypair = keypairs.current(peer);
    return keypair !== NONE && now - tables.createdAt[keypair] < REJECT_AFTER_TIME;
  }

  #write(message: Uint8Array, endpoint: number, peer: number): void {
    const { network, bytes } = this.#context;
    bytes.set(message, network.reserve(message.length));
    network.commit(message.length, endpoint, peer);
  }

  /** A fresh secret key; X25519 clamps it where it is used. */
  #ephemeral(): Uint8Array {
    const key = new Uint8Array(KEY_BYTES);
    this.#context.random(key);
    return key;
  }

  #report(peer: Peer, identity: Identity, ephemeral: Uint8Array): void {
    this.#context.onHandshakeSecrets?.({
      staticPrivate: identity.privateKey,
      remoteStatic: peer.publicKey,
      ephemeralPrivate: ephemeral,
      presharedKey: peer.presharedKey,
    });
  }

  /** After a handshake message proved to be the peer's: it is where the message came from. */
  #received(peer: number, length: number): void {
    this.#context.tables.rxBytes[peer] += length;
    this.#endpoints.follow(peer, this.#scratchEndpoint);
  }

  #authenticated(peer: number, now: number): void {
    this.#context.timers.anyAuthenticatedPacketTraversal(peer, now);
    this.#context.timers.anyAuthenticatedPacketReceived(peer);
  }
}

/** Type and length of a handshake message agree. */
export function isHandshakeMessage(type: number, length: number): boolean {
  return (type === TYPE_INITIATION && length === INIT_BYTES) || (type === TYPE_RESPONSE && length === RESP_BYTES) ||
    (type === TYPE_COOKIE_REPLY && length === COOKIE_REPLY_BYTES);
}

/** @param result 0 or `-reason` */
function workOf(result: number): number {
  switch (-result) {
    case BAD_MAC1:
    case RATE_LIMITED:
    case NO_PRIVATE_KEY:
    case UNKNOWN_INDEX:
    case UNDER_LOAD:
      return REFUSAL_WORK;
    case BAD_COOKIE_REPLY:
      return COOKIE_REPLY_WORK;
    default:
      return HANDSHAKE_WORK;
  }
}

function viewOf(message: Uint8Array): DataView {
  return new DataView(message.buffer, message.byteOffset, message.byteLength);
}
