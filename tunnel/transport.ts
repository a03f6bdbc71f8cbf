/**
 * Transport data, both ways: the path that every packet takes. Nothing here allocates per packet.
 *
 * Spec: WireGuard paper §5.4.6 (messages), §6 (timers), §4 (cryptokey routing).
 */
import { drop, type TransportContext } from "./context.ts";
import { innerPacketLength } from "./ip.ts";
import {
  KEY_BYTES,
  MAX_PACKET,
  PADDING_MULTIPLE,
  REJECT_AFTER_TIME,
  REKEY_AFTER_TIME,
  REKEY_ON_RECEIVE_TIME,
} from "./limits.ts";
import { DATA_COUNTER, DATA_HEADER_BYTES, DATA_OVERHEAD, DATA_RECEIVER, DATA_TYPE, TYPE_DATA } from "./messages.ts";
import type { PeerEndpoints } from "./peer_endpoints.ts";
import {
  BAD_INNER_PACKET,
  BAD_TAG,
  KEYPAIR_EXPIRED,
  MALFORMED,
  NO_ENDPOINT,
  NO_PEER_FOR_DESTINATION,
  NOT_ALLOWED_SOURCE,
  REPLAYED,
  TOO_LARGE,
  UNKNOWN_INDEX,
} from "./reasons.ts";
import { KEYPAIR_KEY_BYTES, NONE } from "./tables.ts";

const TWO_32 = 2 ** 32;
const KEY_WORDS = KEY_BYTES / 4;

/** Who keeps the sessions: told what a packet means for them. sessions.ts, or on other threads its messenger. */
export interface PacketOwner {
  /** Something other than a retry wants a session: send an initiation unless one went out within REKEY_TIMEOUT. */
  want(peer: number, now: number): void;
  /** The same from the receiving initiator of a session about to end; once per session. */
  wantLastMinute(peer: number, now: number): void;
  /** Keeps a packet that there is no session for. @returns 0 or `-reason` */
  stage(peer: number, offset: number, length: number, now: number): number;
  /** An authenticated packet came under the peer's next keypair: the other side has it, and we may send under it. */
  confirm(peer: number, keypair: number, now: number): void;
}

export class Transport {
  readonly #context: TransportContext;
  readonly #endpoints: PeerEndpoints;
  readonly #owner: PacketOwner;

  /** Two places for keys in the memory, where the AEAD reads them, and whose keys lie there now. */
  readonly #words: Uint32Array;
  readonly #keyWords: Uint32Array;
  readonly #sealKey: number;
  readonly #openKey: number;
  #sealKeypair = NONE;
  #openKeypair = NONE;

  constructor(context: TransportContext, endpoints: PeerEndpoints, owner: PacketOwner) {
    this.#context = context;
    this.#endpoints = endpoints;
    this.#owner = owner;
    this.#words = new Uint32Array(context.bytes.buffer, context.scratch, 2 * KEY_WORDS);
    const { buffer, byteOffset, byteLength } = context.tables.keypairKeys;
    this.#keyWords = new Uint32Array(buffer, byteOffset, byteLength / 4);
    this.#sealKey = context.scratch;
    this.#openKey = context.scratch + KEY_BYTES;
  }

  /**
   * Sends or stages one packet from the TUN device. Up to 15 bytes behind it are overwritten by the padding.
   *
   * @returns 0 or `-reason`
   */
  send(offset: number, length: number, now: number): number {
    const { tables, bytes, view, allowedIps } = this.#context;
    if (length > MAX_PACKET) return drop(tables, TOO_LARGE);
    if (innerPacketLength(bytes, offset, length) < 0) return drop(tables, BAD_INNER_PACKET);
    const peer = allowedIps.lookupDestination(view, offset);
    if (peer === NONE) return drop(tables, NO_PEER_FOR_DESTINATION);
    if (!this.#endpoints.isKnown(peer)) return drop(tables, NO_ENDPOINT, peer);
    const keypair = this.usableKeypair(peer, now);
    if (keypair === NONE) return this.#owner.stage(peer, offset, length, now);
    const padded = this.#pad(offset, length);
    const out = this.#context.network.reserve(padded + DATA_OVERHEAD);
    this.#seal(peer, keypair, out, offset, padded);
    this.#sent(peer, keypair, length > 0, now);
    return 0;
  }

  /**
   * Opens one transport message in place and delivers what it holds.
   *
   * @param endpoint slot of the sender's record
   * @returns 0 or `-reason`
   */
  receive(offset: number, length: number, endpoint: number, now: number): number {
    const { tables, view, keypairs, replay } = this.#context;
    if (length < DATA_OVERHEAD) return drop(tables, MALFORMED);
    const keypair = keypairs.referenced(view.getInt32(offset + DATA_RECEIVER, true));
    if (keypair === NONE) return drop(tables, UNKNOWN_INDEX);
    const peer = tables.keypairPeer[keypair];
    if (now - tables.createdAt[keypair] >= REJECT_AFTER_TIME) return drop(tables, KEYPAIR_EXPIRED, peer);
    // Read signed: an unsigned number of 2^31 or more is boxed where a call is not inlined.
    const counterLow = view.getInt32(offset + DATA_COUNTER, true);
    const counterHigh = view.getInt32(offset + DATA_COUNTER + 4, true);
    const inner = offset + DATA_HEADER_BYTES;
    const size = length - DATA_OVERHEAD;
    this.#loadOpenKey(keypair);
    if (!this.#context.aead.open(this.#openKey, counterLow, counterHigh, inner, inner, size)) {
      return drop(tables, BAD_TAG, peer);
    }
    if (!replay.accept(keypair, counterLow, counterHigh)) return drop(tables, REPLAYED, peer);
    this.#context.traffic.received(peer, length);
    this.#authenticated(peer, keypair, endpoint, now);
    if (size === 0) return 0;
    this.#context.timers.dataReceived(peer, now);
    return this.#deliver(peer, inner, size);
  }

  /** A packet without content. */
  sendEmpty(peer: number, keypair: number, now: number): void {
    const out = this.#context.network.reserve(DATA_OVERHEAD);
    this.#seal(peer, keypair, out, out + DATA_HEADER_BYTES, 0);
    this.#sent(peer, keypair, false, now);
  }

  /** A packet that does not lie in the memory. */
  sendCopy(peer: number, keypair: number, packet: Uint8Array, now: number): void {
    const { network, bytes } = this.#context;
    const out = network.reserve(packet.length + PADDING_MULTIPLE + DATA_OVERHEAD);
    const inner = out + DATA_HEADER_BYTES;
    bytes.set(packet, inner);
    this.#seal(peer, keypair, out, inner, this.#pad(inner, packet.length));
    this.#sent(peer, keypair, true, now);
  }

  /** The keypair to send to the peer under, or NONE. */
  usableKeypair(peer: number, now: number): number {
    const { tables, keypairs, counters } = this.#context;
    const keypair = keypairs.current(peer);
    if (keypair === NONE) return NONE;
    if (now - tables.createdAt[keypair] >= REJECT_AFTER_TIME) return NONE;
    return counters.isExhausted(keypair) ? NONE : keypair;
  }

  /** A keypair's keys were erased: no copy of them may stay in the memory. */
  forget(keypair: number): void {
    if (this.#sealKeypair === keypair) {
      this.#context.aead.sealFlush?.();
      this.#words.fill(0, 0, KEY_WORDS);
      this.#sealKeypair = NONE;
    }
    if (this.#openKeypair === keypair) {
      this.#words.fill(0, KEY_WORDS);
      this.#openKeypair = NONE;
    }
  }

  /** No copy of any key may stay in the memory. */
  forgetAll(): void {
    this.forget(this.#sealKeypair);
    this.forget(this.#openKeypair);
  }

  /** Zeros behind the packet up to a multiple of 16, never past the MTU; returns the padded length. */
  #pad(offset: number, length: number): number {
    const { mtu, bytes } = this.#context;
    // A packet larger than the MTU is one that will be cut: only its last part is padded.
    const unit = length > mtu ? length % mtu : length;
    const aligned = Math.ceil(unit / PADDING_MULTIPLE) * PADDING_MULTIPLE;
    const padding = Math.max(0, Math.min(mtu, aligned) - unit);
    for (let i = 0; i < padding; i++) bytes[offset + length + i] = 0;
    return length + padding;
  }

  #seal(peer: number, keypair: number, out: number, src: number, padded: number): void {
    const { view, aead, sealsLate, network, tables, counters, traffic } = this.#context;
    const counter = counters.take(keypair);
    const counterLow = counter >>> 0;
    const counterHigh = (counter / TWO_32) >>> 0;
    view.setUint32(out + DATA_TYPE, TYPE_DATA, true);
    view.setUint32(out + DATA_RECEIVER, tables.remoteIndex[keypair], true);
    view.setUint32(out + DATA_COUNTER, counterLow, true);
    view.setUint32(out + DATA_COUNTER + 4, counterHigh, true);
    this.#loadSealKey(keypair);
    const dst = out + DATA_HEADER_BYTES;
    if (sealsLate) aead.sealPush!(this.#sealKey, counterLow, counterHigh, dst, src, padded);
    else aead.seal(this.#sealKey, counterLow, counterHigh, dst, src, padded);
    // First the count: the network takes it back at once when it cannot send.
    traffic.sent(peer, padded + DATA_OVERHEAD);
    network.commit(padded + DATA_OVERHEAD, peer, peer);
  }

  #sent(peer: number, keypair: number, hasContent: boolean, now: number): void {
    const { timers, tables, counters } = this.#context;
    timers.anyAuthenticatedPacketTraversal(peer, now);
    timers.anyAuthenticatedPacketSent(peer);
    if (hasContent) timers.dataSent(peer, now);
    const old = tables.isInitiator[keypair] === 1 && now - tables.createdAt[keypair] >= REKEY_AFTER_TIME;
    if (old || counters.isWorn(keypair)) this.#owner.want(peer, now);
  }

  #authenticated(peer: number, keypair: number, endpoint: number, now: number): void {
    const { timers, tables } = this.#context;
    this.#endpoints.follow(peer, endpoint);
    // Heard first: data flushed below must find the timer for its own answer stopped.
    timers.anyAuthenticatedPacketTraversal(peer, now);
    timers.anyAuthenticatedPacketReceived(peer);
    if (tables.nextKeypair[peer] === keypair) this.#owner.confirm(peer, keypair, now);
    this.#rekeyAsReceiver(peer, now);
  }

  /** The initiator of a session about to end starts the next one even if it only receives; once per session. */
  #rekeyAsReceiver(peer: number, now: number): void {
    const { tables, keypairs } = this.#context;
    const current = keypairs.current(peer);
    if (current === NONE || tables.isInitiator[current] === 0) return;
    if (now - tables.createdAt[current] < REKEY_ON_RECEIVE_TIME) return;
    this.#owner.wantLastMinute(peer, now);
  }

  #deliver(peer: number, inner: number, size: number): number {
    const { tables, bytes, view, allowedIps, tunnel } = this.#context;
    const length = innerPacketLength(bytes, inner, size);
    if (length < 0) return drop(tables, BAD_INNER_PACKET, peer);
    if (allowedIps.lookupSource(view, inner) !== peer) return drop(tables, NOT_ALLOWED_SOURCE, peer);
    tunnel.deliver(inner, length, peer);
    return 0;
  }

  #loadSealKey(keypair: number): void {
    if (this.#sealKeypair === keypair) return;
    const from = keypair * (KEYPAIR_KEY_BYTES / 4);
    for (let i = 0; i < KEY_WORDS; i++) this.#words[i] = this.#keyWords[from + i];
    this.#sealKeypair = keypair;
  }

  #loadOpenKey(keypair: number): void {
    if (this.#openKeypair === keypair) return;
    const from = keypair * (KEYPAIR_KEY_BYTES / 4) + KEY_WORDS;
    for (let i = 0; i < KEY_WORDS; i++) this.#words[KEY_WORDS + i] = this.#keyWords[from + i];
    this.#openKeypair = keypair;
  }
}

/** Room for the two keys. */
export const DEVICE_SCRATCH_BYTES = 128;
