/**
 * The receiving half of the batch carrier: `recvmmsg` into a few large slots. With GRO a slot may hold many datagrams of
 * one sender, all of one size but the last, which are handed out one by one.
 */
import { EAGAIN, EINTR } from "../ffi/errno.ts";
import { errno, libc } from "../ffi/libc.ts";
import type { Address } from "../ffi/memory.ts";
import {
  IOVEC_BYTES,
  MMSGHDR_BYTES,
  MMSGHDR_LENGTH,
  MSG_DONTWAIT,
  MSG_TRUNC,
  MSGHDR_CONTROL_LENGTH,
  MSGHDR_FLAGS,
  MSGHDR_NAME_LENGTH,
} from "../ffi/socket.ts";
import { ENDPOINT_BYTES } from "../tunnel/endpoint.ts";
import type { DeviceTables } from "../tunnel/tables.ts";
import {
  type Arena,
  CONTROL_BYTES,
  NAME_BYTES,
  RECEIVE,
  RECEIVE_CONTROLS,
  RECEIVE_MESSAGES,
  RECEIVE_NAMES,
  RECEIVE_SLOT_BYTES,
  RECEIVE_SLOTS,
  RECEIVE_VECTORS,
} from "./arena.ts";
import { layOutMessage, setVector } from "./message_headers.ts";
import { readControl, readSockaddr } from "./sockaddr.ts";

export class BatchReceiver {
  readonly #arena: Arena;
  readonly #tables: DeviceTables;
  readonly #firstEndpoint: number;
  readonly #messages: Uint8Array<ArrayBuffer>;
  #received = 0;
  #taken = 0;
  /** What is left of the slot at hand, and the size it is cut by. */
  #left = 0;
  #segment = 0;
  #next = 0;

  /** The datagram of the last `next`. */
  offset = 0;

  /** @param firstEndpoint slot of RECEIVE_SLOTS scratch endpoints that the receiver fills */
  constructor(arena: Arena, tables: DeviceTables, address: Address, firstEndpoint: number) {
    this.#arena = arena;
    this.#tables = tables;
    this.#firstEndpoint = firstEndpoint;
    this.#messages = arena.bytes.subarray(RECEIVE_MESSAGES, RECEIVE_MESSAGES + RECEIVE_SLOTS * MMSGHDR_BYTES);
    for (let slot = 0; slot < RECEIVE_SLOTS; slot++) {
      const vector = RECEIVE_VECTORS + slot * IOVEC_BYTES;
      const control = RECEIVE_CONTROLS + slot * CONTROL_BYTES;
      const message = RECEIVE_MESSAGES + slot * MMSGHDR_BYTES;
      setVector(arena.view, address, vector, RECEIVE + slot * RECEIVE_SLOT_BYTES, RECEIVE_SLOT_BYTES);
      layOutMessage(arena.view, address, message, RECEIVE_NAMES + slot * NAME_BYTES, vector, control);
    }
  }

  /** Scratch slot of `DeviceTables.endpoints` with the sender's record. */
  get endpoint(): number {
    return this.#firstEndpoint + this.#taken - 1;
  }

  /** Forgets what was received and not taken. */
  reset(): void {
    this.#received = 0;
    this.#taken = 0;
    this.#left = 0;
  }

  /** @returns the number of slots filled, 0 when drained, -errno when the call failed */
  fill(descriptor: number): number {
    const { view } = this.#arena;
    this.reset();
    for (let slot = 0; slot < RECEIVE_SLOTS; slot++) {
      const message = RECEIVE_MESSAGES + slot * MMSGHDR_BYTES;
      // The kernel has overwritten these with what the last datagram needed.
      view.setUint32(message + MSGHDR_NAME_LENGTH, NAME_BYTES, true);
      view.setUint32(message + MSGHDR_CONTROL_LENGTH, CONTROL_BYTES, true);
      view.setUint32(message + MSGHDR_FLAGS, 0, true);
    }
    const count = libc().recvmmsg(descriptor, this.#messages, RECEIVE_SLOTS, MSG_DONTWAIT, null);
    this.#received = Math.max(count, 0);
    if (count >= 0) return count;
    const fault = errno();
    return fault === EAGAIN || fault === EINTR ? 0 : -fault;
  }

  /** @returns the length of the next datagram; 0 for one to ignore; -1 when the batch is used up */
  next(): number {
    if (this.#left === 0) {
      if (this.#taken === this.#received) return -1;
      this.#openSlot();
      if (this.#left === 0) return 0;
    }
    const length = Math.min(this.#segment, this.#left);
    this.offset = this.#next;
    this.#next += length;
    this.#left -= length;
    return length;
  }

  #openSlot(): void {
    const slot = this.#taken++;
    const { view } = this.#arena;
    const records = this.#tables.endpointView;
    const record = (this.#firstEndpoint + slot) * ENDPOINT_BYTES;
    const message = RECEIVE_MESSAGES + slot * MMSGHDR_BYTES;
    const isWhole = (view.getUint32(message + MSGHDR_FLAGS, true) & MSG_TRUNC) === 0;
    if (!readSockaddr(view, RECEIVE_NAMES + slot * NAME_BYTES, records, record) || !isWhole) return;
    const controlLength = view.getUint32(message + MSGHDR_CONTROL_LENGTH, true);
    const size = readControl(view, RECEIVE_CONTROLS + slot * CONTROL_BYTES, controlLength, records, record);
    this.#left = view.getUint32(message + MMSGHDR_LENGTH, true);
    this.#segment = size > 0 ? size : this.#left;
    this.#next = RECEIVE + slot * RECEIVE_SLOT_BYTES;
  }
}
