/**
 * A deterministic crypto suite for tests only: it protects nothing, and it is fast.
 *
 * What the protocol relies on holds: the Diffie–Hellman is commutative and refuses a zero point, a hash or a MAC depends
 * on every input bit and on the key, both AEADs hide the plaintext and notice any change of key, nonce, associated data
 * or ciphertext by a 16-byte checksum, and `seal` and the packet AEAD are the same cipher.
 */
import type { Aead } from "../../crypto/aead.ts";
import type { CryptoSuite } from "../../crypto/suite.ts";

const KEY_BYTES = 32;
const TAG_BYTES = 16;
const MULTIPLIER_A = 0x9e3779b1;
const MULTIPLIER_B = 0x85ebca77;

/** Domains keep the functions apart: a MAC never equals a hash of the same bytes. */
const DOMAIN_HASH = 1;
const DOMAIN_MAC = 2;
const DOMAIN_KDF = 3;
const DOMAIN_STREAM = 4;
const DOMAIN_TAG = 5;
const DOMAIN_SHARED = 6;

/** Odd constants of the "curve": the base point. */
const BASE = new Uint32Array([
  0x6a09e667,
  0xbb67ae85,
  0x3c6ef373,
  0xa54ff53b,
  0x510e527f,
  0x9b05688b,
  0x1f83d9ab,
  0x5be0cd19,
]).map((word) => word | 1);

export const cheapSuite: CryptoSuite = {
  name: "cheap",
  publicKey(privateKey: Uint8Array): Uint8Array {
    return multiply(privateKey, BASE);
  },
  sharedSecret(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | null {
    if (publicKey.every((byte) => byte === 0)) return null;
    const point = multiply(privateKey, wordsOf(publicKey));
    const digest = new Digest(DOMAIN_SHARED);
    digest.bytes(point, 0, point.length);
    return digest.output(KEY_BYTES);
  },
  hash(a: Uint8Array, b?: Uint8Array): Uint8Array {
    const input = b === undefined ? a : join(a, b);
    const digest = new Digest(DOMAIN_HASH);
    digest.bytes(input, 0, input.length);
    return digest.output(KEY_BYTES);
  },
  mac(key: Uint8Array, input: Uint8Array): Uint8Array {
    const digest = new Digest(DOMAIN_MAC);
    digest.bytes(key, 0, key.length);
    digest.bytes(input, 0, input.length);
    return digest.output(TAG_BYTES);
  },
  kdf(count: 1 | 2 | 3, key: Uint8Array, input: Uint8Array): Uint8Array[] {
    const outputs: Uint8Array[] = [];
    for (let i = 1; i <= count; i++) {
      const digest = new Digest(DOMAIN_KDF + 16 * i);
      digest.bytes(key, 0, key.length);
      digest.bytes(input, 0, input.length);
      outputs.push(digest.output(KEY_BYTES));
    }
    return outputs;
  },
  seal(key: Uint8Array, counter: number, plaintext: Uint8Array, ad: Uint8Array): Uint8Array {
    return sealWith(cipherState(key, 0, counter >>> 0, (counter / 2 ** 32) >>> 0), plaintext, ad);
  },
  open(key: Uint8Array, counter: number, sealed: Uint8Array, ad: Uint8Array): Uint8Array | null {
    return openWith(cipherState(key, 0, counter >>> 0, (counter / 2 ** 32) >>> 0), sealed, ad);
  },
  sealX(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, ad: Uint8Array): Uint8Array {
    return sealWith(cipherState(cheapSuite.mac(key, nonce), 0, 0, 0), plaintext, ad);
  },
  openX(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, ad: Uint8Array): Uint8Array | null {
    return openWith(cipherState(cheapSuite.mac(key, nonce), 0, 0, 0), sealed, ad);
  },
  packetAead(memory: WebAssembly.Memory): Aead {
    return new CheapAead(memory);
  },
};

/** The packet AEAD over one memory. */
class CheapAead implements Aead {
  readonly name = "cheap";
  readonly #bytes: Uint8Array;

  constructor(memory: WebAssembly.Memory) {
    this.#bytes = new Uint8Array(memory.buffer);
  }

  seal(key: number, counterLow: number, counterHigh: number, dst: number, src: number, length: number): void {
    const bytes = this.#bytes;
    const tag = cipherStateAt(bytes, key, counterLow, counterHigh);
    const stream = tag.fork(DOMAIN_STREAM);
    for (let i = 0; i < length; i++) bytes[dst + i] = bytes[src + i] ^ stream.keystream(i);
    tag.bytes(bytes, dst, length);
    tag.write(bytes, dst + length, TAG_BYTES);
  }

  open(key: number, counterLow: number, counterHigh: number, dst: number, src: number, length: number): boolean {
    const bytes = this.#bytes;
    const tag = cipherStateAt(bytes, key, counterLow, counterHigh);
    const stream = tag.fork(DOMAIN_STREAM);
    tag.bytes(bytes, src, length);
    if (!tag.matches(bytes, src + length)) {
      bytes.fill(0, dst, dst + length);
      return false;
    }
    for (let i = 0; i < length; i++) bytes[dst + i] = bytes[src + i] ^ stream.keystream(i);
    return true;
  }
}

/**
 * Two 32-bit lanes. Each step is a bijection of the lane for a given word, so two inputs that differ in one word never
 * collide, and others collide with probability 2^-64.
 */
class Digest {
  #a: number;
  #b: number;
  #word = 0;

  constructor(domain: number) {
    this.#a = Math.imul(domain, MULTIPLIER_A);
    this.#b = Math.imul(domain ^ 0x5bd1e995, MULTIPLIER_B);
  }

  /** An independent digest that continues from here under another domain. */
  fork(domain: number): Digest {
    const fork = new Digest(domain);
    fork.#a = this.#a;
    fork.#b = this.#b;
    fork.word(domain);
    return fork;
  }

  word(word: number): void {
    let a = Math.imul(this.#a ^ word, MULTIPLIER_A);
    a = (a << 13) | (a >>> 19);
    this.#a = (a ^ (a >>> 15)) + 0x7f4a7c15 | 0;
    let b = Math.imul(this.#b ^ word, MULTIPLIER_B);
    b = (b << 17) | (b >>> 15);
    this.#b = (b ^ (b >>> 13)) + 0x165667b1 | 0;
  }

  /** Absorbs bytes, then their number, so that fields cannot run into each other. */
  bytes(bytes: Uint8Array, offset: number, length: number): void {
    const whole = offset + (length & ~3);
    let at = offset;
    for (; at < whole; at += 4) {
      this.word(bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24));
    }
    let rest = 0;
    for (let shift = 0; at < offset + length; at++, shift += 8) rest |= bytes[at] << shift;
    this.word(rest);
    this.word(length);
  }

  /** Byte `i` of the keystream; call for 0, 1, 2 … in order. */
  keystream(i: number): number {
    if ((i & 3) === 0) {
      this.word(i);
      this.#word = this.#a ^ ((this.#b << 7) | (this.#b >>> 25));
    }
    return (this.#word >>> ((i & 3) * 8)) & 255;
  }

  /** Writes `length` bytes of output, a multiple of 4. */
  write(out: Uint8Array, offset: number, length: number): void {
    for (let i = 0; i < length; i++) out[offset + i] = this.keystream(i);
  }

  matches(tag: Uint8Array, offset: number): boolean {
    let difference = 0;
    for (let i = 0; i < TAG_BYTES; i++) difference |= tag[offset + i] ^ this.keystream(i);
    return difference === 0;
  }

  output(length: number): Uint8Array {
    const out = new Uint8Array(length);
    this.write(out, 0, length);
    return out;
  }
}

function cipherState(key: Uint8Array, offset: number, counterLow: number, counterHigh: number): Digest {
  const digest = new Digest(DOMAIN_TAG);
  digest.bytes(key, offset, Math.min(KEY_BYTES, key.length - offset));
  digest.word(counterLow);
  digest.word(counterHigh);
  return digest;
}

/** The packet AEAD has no associated data: absorbs an empty one. */
function cipherStateAt(bytes: Uint8Array, key: number, counterLow: number, counterHigh: number): Digest {
  const digest = cipherState(bytes, key, counterLow, counterHigh);
  digest.bytes(bytes, 0, 0);
  return digest;
}

function sealWith(tag: Digest, plaintext: Uint8Array, ad: Uint8Array): Uint8Array {
  tag.bytes(ad, 0, ad.length);
  const stream = tag.fork(DOMAIN_STREAM);
  const sealed = new Uint8Array(plaintext.length + TAG_BYTES);
  for (let i = 0; i < plaintext.length; i++) sealed[i] = plaintext[i] ^ stream.keystream(i);
  tag.bytes(sealed, 0, plaintext.length);
  tag.write(sealed, plaintext.length, TAG_BYTES);
  return sealed;
}

function openWith(tag: Digest, sealed: Uint8Array, ad: Uint8Array): Uint8Array | null {
  const length = sealed.length - TAG_BYTES;
  if (length < 0) return null;
  tag.bytes(ad, 0, ad.length);
  const stream = tag.fork(DOMAIN_STREAM);
  tag.bytes(sealed, 0, length);
  if (!tag.matches(sealed, length)) return null;
  const plaintext = new Uint8Array(length);
  for (let i = 0; i < length; i++) plaintext[i] = sealed[i] ^ stream.keystream(i);
  return plaintext;
}

/** The "scalar multiplication": word by word modulo 2^32, with X25519's clamping, the lowest bit set to stay odd. */
function multiply(privateKey: Uint8Array, point: Uint32Array): Uint8Array {
  const scalar = wordsOf(privateKey);
  scalar[0] &= ~7;
  scalar[7] = (scalar[7] & 0x7fffffff) | 0x40000000;
  const product = new Uint32Array(8);
  for (let i = 0; i < 8; i++) product[i] = Math.imul(scalar[i] | 1, point[i]);
  return new Uint8Array(product.buffer);
}

/** A copy of 32 bytes as words. */
function wordsOf(bytes: Uint8Array): Uint32Array {
  const copy = bytes.slice(0, KEY_BYTES);
  return new Uint32Array(copy.buffer, copy.byteOffset, KEY_BYTES / 4);
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}
