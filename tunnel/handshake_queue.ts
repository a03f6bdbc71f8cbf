/**
 * Handshake messages waiting for their turn: a ring of fixed slots, so that a flood costs memory once and never
 * starves established sessions, whose driver takes only a few messages per pass.
 */
import { ENDPOINT_BYTES } from "./endpoint.ts";
import { HANDSHAKE_QUEUE_SIZE } from "./limits.ts";
import { INIT_BYTES } from "./messages.ts";

export class HandshakeQueue {
  readonly #messages = new Uint8Array(HANDSHAKE_QUEUE_SIZE * INIT_BYTES);
  readonly #endpoints = new Uint8Array(HANDSHAKE_QUEUE_SIZE * ENDPOINT_BYTES);
  readonly #lengths = new Uint8Array(HANDSHAKE_QUEUE_SIZE);
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /**
   * Copies a message of at most INIT_BYTES and its sender's record into the ring.
   *
   * @returns false if the ring is full
   */
  push(bytes: Uint8Array, offset: number, length: number, endpoints: Uint8Array, endpointOffset: number): boolean {
    if (this.#length === HANDSHAKE_QUEUE_SIZE) return false;
    const slot = (this.#head + this.#length) % HANDSHAKE_QUEUE_SIZE;
    this.#messages.set(bytes.subarray(offset, offset + length), slot * INIT_BYTES);
    this.#endpoints.set(
      endpoints.subarray(endpointOffset, endpointOffset + ENDPOINT_BYTES),
      slot * ENDPOINT_BYTES,
    );
    this.#lengths[slot] = length;
    this.#length++;
    return true;
  }

  /** The oldest message, valid until the next push; call `pop` when it is dealt with. */
  message(): Uint8Array {
    const at = this.#head * INIT_BYTES;
    return this.#messages.subarray(at, at + this.#lengths[this.#head]);
  }

  /** The 48-byte endpoint record of the oldest message's sender. */
  endpoint(): Uint8Array {
    const at = this.#head * ENDPOINT_BYTES;
    return this.#endpoints.subarray(at, at + ENDPOINT_BYTES);
  }

  pop(): void {
    this.#head = (this.#head + 1) % HANDSHAKE_QUEUE_SIZE;
    this.#length--;
  }

  clear(): void {
    this.#head = 0;
    this.#length = 0;
  }
}
