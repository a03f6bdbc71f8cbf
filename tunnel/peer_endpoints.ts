/**
 * Where each peer is. A record has a version, odd while somebody writes it: writers on several threads take turns by
 * it, and readers on any thread see by it whether they read a whole record.
 */
import { ENDPOINT_BYTES, ENDPOINT_FAMILY, ENDPOINT_SOURCE, ENDPOINT_SOURCE_IFINDEX } from "./endpoint.ts";
import type { DeviceTables } from "./tables.ts";

const WORDS = ENDPOINT_BYTES / 4;

export class PeerEndpoints {
  readonly #tables: DeviceTables;
  readonly #words: Int32Array;

  constructor(tables: DeviceTables) {
    this.#tables = tables;
    const { buffer, byteOffset, byteLength } = tables.endpoints;
    this.#words = new Int32Array(buffer, byteOffset, byteLength / 4);
  }

  isKnown(peer: number): boolean {
    return this.#tables.endpointView.getUint16(peer * ENDPOINT_BYTES + ENDPOINT_FAMILY, true) !== 0;
  }

  /** Roaming: the peer is where `slot`'s datagram came from, and was reached at the address that it was sent to. */
  follow(peer: number, slot: number): void {
    const words = this.#words;
    const to = peer * WORDS;
    const from = slot * WORDS;
    let word = 0;
    while (word < WORDS && words[to + word] === words[from + word]) word++;
    if (word === WORDS) return;
    this.#begin(peer);
    words.copyWithin(to, from, from + WORDS);
    this.#end(peer);
  }

  /** @param record 48 bytes */
  set(peer: number, record: Uint8Array): void {
    this.#begin(peer);
    this.#tables.endpoints.set(record, peer * ENDPOINT_BYTES);
    this.#end(peer);
  }

  clear(peer: number): void {
    this.set(peer, new Uint8Array(ENDPOINT_BYTES));
  }

  /** Lets the kernel choose the source address of the next datagram to the peer. */
  clearSource(peer: number): void {
    const at = peer * ENDPOINT_BYTES;
    this.#begin(peer);
    this.#tables.endpoints.fill(0, at + ENDPOINT_SOURCE_IFINDEX, at + ENDPOINT_SOURCE + 16);
    this.#end(peer);
  }

  /** The record as a view, for cold paths. */
  record(slot: number): Uint8Array {
    return this.#tables.endpoints.subarray(slot * ENDPOINT_BYTES, (slot + 1) * ENDPOINT_BYTES);
  }

  #begin(peer: number): void {
    const versions = this.#tables.endpointVersion;
    for (;;) {
      const version = Atomics.load(versions, peer);
      if ((version & 1) === 0 && Atomics.compareExchange(versions, peer, version, version + 1) === version) return;
    }
  }

  #end(peer: number): void {
    Atomics.add(this.#tables.endpointVersion, peer, 1);
  }
}
