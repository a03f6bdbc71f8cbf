/**
 * The sending half of the batch carrier. Datagrams are written one behind the other into the send buffer; a run of equal
 * ones to one endpoint is one message that the kernel cuts (UDP GSO), and a shorter one may end it. Messages leave by
 * `sendmmsg` when the buffer is full, the family changes, or the loop flushes.
 *
 * A path may refuse GSO: then the peer's datagrams go singly from that moment on. A source address may have gone: on any
 * other fault the kernel chooses it anew, and the message is sent once more.
 */
import { bootMilliseconds } from "../ffi/clock.ts";
import { EAGAIN, EINTR, EINVAL, EIO, EMSGSIZE } from "../ffi/errno.ts";
import { errno, libc } from "../ffi/libc.ts";
import type { Address } from "../ffi/memory.ts";
import { POLLOUT, PollSet } from "../ffi/poll.ts";
import {
  IOVEC_BYTES,
  IOVEC_LENGTH,
  MMSGHDR_BYTES,
  MSG_DONTWAIT,
  MSGHDR_CONTROL_LENGTH,
  MSGHDR_NAME_LENGTH,
} from "../ffi/socket.ts";
import { ENDPOINT_BYTES, ENDPOINT_FAMILY } from "../tunnel/endpoint.ts";
import type { DatagramSink } from "../tunnel/ports.ts";
import { type DeviceTables, NONE } from "../tunnel/tables.ts";
import {
  type Arena,
  CONTROL_BYTES,
  NAME_BYTES,
  SEND,
  SEND_BYTES,
  SEND_CONTROLS,
  SEND_MESSAGES,
  SEND_NAMES,
  SEND_SLOTS,
  SEND_VECTORS,
} from "./arena.ts";
import { layOutMessage, setVector } from "./message_headers.ts";
import { writeSegmentSize, writeSockaddr, writeSource } from "./sockaddr.ts";
import type { SendFaults } from "./udp_port.ts";

/** Most that one message carries: the kernel's UDP_MAX_SEGMENTS, and a UDP datagram's own limit with room for IPv6. */
const GSO_SEGMENTS = 64;
const GSO_BYTES = 65_000;

/**
 * A full socket buffer is waited for this long; if that did not help, not again for a while, and what does not fit is
 * dropped: behind a slow uplink the buffer is always full, and while we wait nothing is received.
 */
const SEND_WAIT = 5;
const SEND_WAIT_PAUSE = 100;

export class BatchSender implements DatagramSink {
  faults: SendFaults | null = null;
  /** Called before anything leaves: completes what was committed. */
  beforeSend: (() => void) | null = null;
  /** The sockets, -1 for a family that cannot be reached. */
  descriptor4 = -1;
  descriptor6 = -1;

  readonly #arena: Arena;
  readonly #tables: DeviceTables;
  readonly #address: Address;
  readonly #writable = new PollSet(1);
  readonly #writableSlot: number;
  /** When a full buffer may be waited for again. */
  #nextWait = 0;
  /** Peers whose path refused GSO: the version of the endpoint that it led to, made odd; versions at rest are even. */
  readonly #refusesGso: Int32Array;
  readonly #usesGso: boolean;

  // What each message holds; all are of one family.
  readonly #peers = new Int32Array(SEND_SLOTS);
  readonly #offsets = new Int32Array(SEND_SLOTS);
  readonly #lengths = new Int32Array(SEND_SLOTS);
  readonly #segments = new Int32Array(SEND_SLOTS);
  readonly #sizes = new Int32Array(SEND_SLOTS);
  /** Length of the source's control message, in front of the segment size's. */
  readonly #sourceLengths = new Int32Array(SEND_SLOTS);
  #family = 0;
  #count = 0;
  #end = SEND;

  // Whether the last message may grow: nothing shorter has ended it, and its endpoint is still what it was.
  #isOpen = false;
  #openEndpoint = NONE;
  #openVersion = 0;

  constructor(arena: Arena, tables: DeviceTables, address: Address, usesGso: boolean) {
    this.#arena = arena;
    this.#tables = tables;
    this.#address = address;
    this.#usesGso = usesGso;
    this.#refusesGso = new Int32Array(tables.capacity.peers);
    this.#writableSlot = this.#writable.add(-1, POLLOUT);
    for (let slot = 0; slot < SEND_SLOTS; slot++) {
      const message = SEND_MESSAGES + slot * MMSGHDR_BYTES;
      const vector = SEND_VECTORS + slot * IOVEC_BYTES;
      const control = SEND_CONTROLS + slot * CONTROL_BYTES;
      layOutMessage(arena.view, address, message, SEND_NAMES + slot * NAME_BYTES, vector, control);
    }
  }

  /** New sockets may lead over other paths. */
  forgetPaths(): void {
    this.#refusesGso.fill(0);
  }

  reserve(bytes: number): number {
    if (this.#count === SEND_SLOTS || this.#end + bytes > SEND + SEND_BYTES) this.flush();
    return this.#end;
  }

  commit(length: number, endpoint: number, peer: number): void {
    const at = this.#end;
    if (this.#continues(length, endpoint, peer)) {
      this.#grow(length);
    } else {
      const family = this.#tables.endpointView.getUint16(endpoint * ENDPOINT_BYTES + ENDPOINT_FAMILY, true);
      if (this.#descriptor(family) < 0) return this.faults?.countUnsent(length, peer);
      // The datagram stays where it was written, behind those that leave now.
      if (this.#count > 0 && family !== this.#family) this.flush();
      this.#family = family;
      this.#begin(at, length, endpoint, peer);
    }
    this.#end = at + length;
  }

  flush(): void {
    const count = this.#count;
    if (count === 0) return;
    this.beforeSend?.();
    const descriptor = this.#descriptor(this.#family);
    let done = 0;
    while (done < count) {
      const sent = libc().sendmmsgAt(descriptor, this.#messageAddress(done), count - done, MSG_DONTWAIT);
      if (sent > 0) {
        done += sent;
        continue;
      }
      const fault = errno();
      if (fault === EINTR) continue;
      if (fault !== EAGAIN) {
        this.#recover(descriptor, done++, fault);
      } else if (!this.#becomesWritable(descriptor)) {
        for (; done < count; done++) this.#fail(done);
      }
    }
    this.#count = 0;
    this.#end = SEND;
    this.#isOpen = false;
  }

  // ── Collecting ─────────────────────────────────────────────────────────────

  /** Whether a datagram belongs to the last message. */
  #continues(length: number, endpoint: number, peer: number): boolean {
    if (!this.#isOpen || endpoint !== this.#openEndpoint || peer === NONE || this.#hasRefusedGso(peer)) return false;
    const slot = this.#count - 1;
    return length <= this.#sizes[slot] && this.#segments[slot] < GSO_SEGMENTS &&
      this.#lengths[slot] + length <= GSO_BYTES && this.#tables.endpointVersion[endpoint] === this.#openVersion;
  }

  #grow(length: number): void {
    const slot = this.#count - 1;
    const { view } = this.#arena;
    this.#lengths[slot] += length;
    view.setUint32(SEND_VECTORS + slot * IOVEC_BYTES + IOVEC_LENGTH, this.#lengths[slot], true);
    if (++this.#segments[slot] === 2) this.#addSegmentSize(slot);
    if (length < this.#sizes[slot]) this.#isOpen = false;
  }

  #begin(at: number, length: number, endpoint: number, peer: number): void {
    const { view } = this.#arena;
    const records = this.#tables.endpointView;
    const record = endpoint * ENDPOINT_BYTES;
    const slot = this.#count++;
    const message = SEND_MESSAGES + slot * MMSGHDR_BYTES;
    setVector(view, this.#address, SEND_VECTORS + slot * IOVEC_BYTES, at, length);
    const versions = this.#tables.endpointVersion;
    let version: number;
    let nameLength: number;
    let sourceLength: number;
    // Another thread may be writing the record.
    do {
      version = Atomics.load(versions, endpoint);
      nameLength = writeSockaddr(view, SEND_NAMES + slot * NAME_BYTES, records, record);
      sourceLength = writeSource(view, SEND_CONTROLS + slot * CONTROL_BYTES, records, record, false);
    } while ((version & 1) === 1 || Atomics.load(versions, endpoint) !== version);
    view.setUint32(message + MSGHDR_NAME_LENGTH, nameLength, true);
    view.setUint32(message + MSGHDR_CONTROL_LENGTH, sourceLength, true);
    this.#peers[slot] = peer;
    this.#offsets[slot] = at;
    this.#lengths[slot] = length;
    this.#segments[slot] = 1;
    this.#sizes[slot] = length;
    this.#sourceLengths[slot] = sourceLength;
    this.#isOpen = this.#usesGso;
    this.#openEndpoint = endpoint;
    this.#openVersion = version;
  }

  #addSegmentSize(slot: number): void {
    const source = this.#sourceLengths[slot];
    const control = SEND_CONTROLS + slot * CONTROL_BYTES + source;
    this.#setControlLength(slot, source + writeSegmentSize(this.#arena.view, control, this.#sizes[slot]));
  }

  // ── Faults ─────────────────────────────────────────────────────────────────

  /** Deals with a message that could not be sent: sends it in another way, or counts it as lost. */
  #recover(descriptor: number, slot: number, fault: number): void {
    const isMany = this.#segments[slot] > 1;
    if (isMany && (fault === EIO || fault === EINVAL || fault === EMSGSIZE)) {
      const hadSource = this.#sourceLengths[slot] > 0;
      this.#sendSingly(descriptor, slot);
      // Had it been the source, it would be forgotten now.
      if (hadSource === (this.#sourceLengths[slot] > 0)) this.#noteRefusal(this.#peers[slot]);
      return;
    }
    this.#forgetSource(slot);
    if (isMany) this.#addSegmentSize(slot);
    if (this.#sendOne(descriptor, slot) !== 0) this.#fail(slot);
  }

  #noteRefusal(peer: number): void {
    this.#refusesGso[peer] = this.#tables.endpointVersion[peer] | 1;
  }

  /** A peer that has moved since is reached over another path. */
  #hasRefusedGso(peer: number): boolean {
    return this.#refusesGso[peer] === (this.#tables.endpointVersion[peer] | 1);
  }

  #sendSingly(descriptor: number, slot: number): void {
    const { view } = this.#arena;
    const size = this.#sizes[slot];
    const end = this.#offsets[slot] + this.#lengths[slot];
    this.#setControlLength(slot, this.#sourceLengths[slot]);
    for (let at = this.#offsets[slot]; at < end; at += size) {
      const length = Math.min(size, end - at);
      setVector(view, this.#address, SEND_VECTORS + slot * IOVEC_BYTES, at, length);
      let fault = this.#sendOne(descriptor, slot);
      if (fault !== 0 && fault !== EAGAIN) {
        this.#forgetSource(slot);
        fault = this.#sendOne(descriptor, slot);
      }
      if (fault !== 0) this.faults?.countUnsent(length, this.#peers[slot]);
    }
  }

  /** @returns 0 or errno, EAGAIN for a buffer that stays full */
  #sendOne(descriptor: number, slot: number): number {
    for (;;) {
      if (libc().sendmmsgAt(descriptor, this.#messageAddress(slot), 1, MSG_DONTWAIT) > 0) return 0;
      const fault = errno();
      if (fault === EINTR) continue;
      if (fault !== EAGAIN || !this.#becomesWritable(descriptor)) return fault;
    }
  }

  /** The address that a message was to leave from may be gone: this one, and its peer, go by the kernel's choice. */
  #forgetSource(slot: number): void {
    this.#sourceLengths[slot] = 0;
    this.#setControlLength(slot, 0);
    const peer = this.#peers[slot];
    if (peer !== NONE) this.faults?.clearSource(peer);
  }

  /** No datagram of the message was sent. */
  #fail(slot: number): void {
    const size = this.#sizes[slot];
    for (let left = this.#lengths[slot]; left > 0; left -= size) {
      this.faults?.countUnsent(Math.min(size, left), this.#peers[slot]);
    }
  }

  /** Whether a full buffer has room again, waiting a little if that was not in vain lately. */
  #becomesWritable(descriptor: number): boolean {
    const now = bootMilliseconds();
    if (now < this.#nextWait) return false;
    this.#writable.setDescriptor(this.#writableSlot, descriptor);
    if (this.#writable.wait(SEND_WAIT) > 0) return true;
    this.#nextWait = now + SEND_WAIT_PAUSE;
    return false;
  }

  #setControlLength(slot: number, length: number): void {
    this.#arena.view.setUint32(SEND_MESSAGES + slot * MMSGHDR_BYTES + MSGHDR_CONTROL_LENGTH, length, true);
  }

  #messageAddress(slot: number): bigint {
    return this.#address.at(SEND_MESSAGES + slot * MMSGHDR_BYTES);
  }

  #descriptor(family: number): number {
    return family === 4 ? this.descriptor4 : family === 6 ? this.descriptor6 : -1;
  }
}
