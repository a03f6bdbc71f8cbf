/**
 * Where the conformance suite puts an engine's packets, between guard bytes, and the random packets it takes.
 */
import assert from "node:assert/strict";
import { referenceSeal } from "./chacha20poly1305.ts";
import type { Aead } from "../../crypto/aead.ts";

const PAGE = 65_536;
const PAGES = 6;
/** Two places that hold 65,535 bytes, a tag, an odd offset and guard bytes. */
export const SOURCE = 2 * PAGE;
export const TARGET = 4 * PAGE;
export const KEY = PAGE + 256;
export const TAG_BYTES = 16;
export const NO_AD: Uint8Array = new Uint8Array(0);
const GUARD = 0xb7;
const GUARD_BYTES = 64;

/** What one packet is sealed from. */
export interface Packet {
  key: Uint8Array;
  low: number;
  high: number;
  plaintext: Uint8Array;
}

/** A memory with an engine on it, and packets with guard bytes around them. */
export class Bench {
  readonly aead: Aead;
  readonly bytes: Uint8Array;

  constructor(create: (memory: WebAssembly.Memory) => Aead) {
    const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
    this.bytes = new Uint8Array(memory.buffer);
    this.aead = create(memory);
  }

  /** Seals and opens, in place and from place to place, and compares all with the twin. */
  check(packet: Packet, keyAt: number = KEY, from: number = SOURCE, to: number = TARGET): void {
    const sealed = referenceSeal(packet.key, nonce(packet), packet.plaintext, NO_AD);
    this.checkPlaced(packet, sealed, keyAt, from, to);
    this.checkPlaced(packet, sealed, keyAt, from, from);
  }

  checkPlaced(
    { key, low, high, plaintext }: Packet,
    sealed: Uint8Array,
    keyAt: number,
    from: number,
    to: number,
  ): void {
    const length = plaintext.length;
    const where = `length ${length}, counter ${high}:${low}, key ${keyAt}, ${from} to ${to}`;
    this.put(keyAt, key, 0);
    this.put(to, NO_AD, sealed.length);
    this.put(from, plaintext, TAG_BYTES);
    this.aead.seal(keyAt, low, high, to, from, length);
    this.expect(to, sealed, 0, `sealed, ${where}`);
    if (from !== to) this.expect(from, plaintext, TAG_BYTES, `source of seal, ${where}`);
    this.expect(keyAt, key, 0, `key of seal, ${where}`);

    this.put(to, NO_AD, sealed.length);
    this.put(from, sealed, 0);
    assert.equal(this.aead.open(keyAt, low, high, to, from, length), true, `opens, ${where}`);
    // Open writes the plaintext and nothing behind it, not even over the tag when it works in place.
    if (from === to) {
      this.expect(to, Uint8Array.from([...plaintext, ...sealed.subarray(length)]), 0, `opened, ${where}`);
    } else this.expect(to, plaintext, TAG_BYTES, `opened, ${where}`);
    if (from !== to) this.expect(from, sealed, 0, `source of open, ${where}`);
    this.expect(keyAt, key, 0, `key of open, ${where}`);
  }

  /** Opens `sealed` and expects a refusal that leaves zeros. */
  refuse(key: Uint8Array, low: number, high: number, sealed: Uint8Array, inPlace: boolean, why: string): void {
    const length = sealed.length - TAG_BYTES;
    const to = inPlace ? SOURCE : TARGET;
    this.put(KEY, key, 0);
    this.put(to, new Uint8Array(length).fill(0xee), TAG_BYTES);
    this.put(SOURCE, sealed, 0);
    assert.equal(this.aead.open(KEY, low, high, to, SOURCE, length), false, why);
    const zeros = new Uint8Array(length);
    if (inPlace) this.expect(to, Uint8Array.from([...zeros, ...sealed.subarray(length)]), 0, why);
    else this.expect(to, zeros, TAG_BYTES, why);
  }

  /** Writes `data`, `room` guard bytes behind it and more on both sides. */
  put(at: number, data: Uint8Array, room: number): void {
    this.bytes.fill(GUARD, at - GUARD_BYTES, at + data.length + room + GUARD_BYTES);
    this.bytes.set(data, at);
  }

  /** That `data` lies at `at` between guard bytes, `room` of them more behind it. */
  expect(at: number, data: Uint8Array, room: number, what: string): void {
    const end = at + data.length;
    const isEqual = data.every((byte, i) => this.bytes[at + i] === byte);
    if (!isEqual) assert.deepEqual(this.bytes.slice(at, end), data, what);
    const isGuard = (byte: number): boolean => byte === GUARD;
    assert(this.bytes.subarray(at - GUARD_BYTES, at).every(isGuard), `guard bytes before: ${what}`);
    assert(this.bytes.subarray(end, end + room + GUARD_BYTES).every(isGuard), `guard bytes behind: ${what}`);
  }
}

/** Reproducible numbers (xorshift32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed * 0x9e37_79b9 >>> 0;
  }

  /** u32. */
  next(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return this.#state >>> 0;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.next() >>> 24);
  }

  packet(length: number): Packet {
    return { key: this.bytes(32), low: this.next(), high: this.next(), plaintext: this.bytes(length) };
  }
}

/** 0⁴ ‖ LE64(counter). */
export function nonce({ low, high }: { low: number; high: number }): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, low, true);
  view.setUint32(8, high, true);
  return bytes;
}
