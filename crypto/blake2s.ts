/**
 * BLAKE2s: an unkeyed hash of 32 bytes and a keyed MAC of 16, as WireGuard uses it, and the resumable state that HMAC
 * needs.
 *
 * Written out here because key derivation is the larger part of a handshake besides X25519: noble takes 2.7 µs for one
 * block and 16 µs for KDF_2, this 0.5 and 4. noble and a slow twin are what the tests compare it with.
 *
 * Spec: RFC 7693; WireGuard paper §5.4 (HASH, MAC).
 */

export const BLAKE2S_BYTES = 32;
export const BLAKE2S_BLOCK_BYTES = 64;
/** WireGuard's MAC asks BLAKE2s for a shorter output, which is not a prefix of the longer one. */
const MAC_BYTES = 16;
const ROUNDS = 10;

/** HASH(a ‖ b), 32 bytes, without joining the two. */
export function blake2s(a: Uint8Array, b?: Uint8Array): Uint8Array {
  SHARED.start(BLAKE2S_BYTES);
  SHARED.update(a);
  if (b !== undefined) SHARED.update(b);
  return SHARED.finish(new Uint8Array(BLAKE2S_BYTES));
}

/**
 * MAC(key, input), 16 bytes.
 *
 * @param key 1 to 32 secret bytes; WireGuard's are 32 (mac1) and 16 (mac2)
 */
export function blake2sMac(key: Uint8Array, input: Uint8Array): Uint8Array {
  SHARED.start(MAC_BYTES, key);
  SHARED.update(input);
  return SHARED.finish(new Uint8Array(MAC_BYTES));
}

/** A hash under way. `start` before anything else; `finish` or `wipe` at the end erases it for the next use. */
export class Blake2s {
  /** h[0…7]. */
  readonly #chain: Int32Array = new Int32Array(8);
  readonly #block: Uint8Array = new Uint8Array(BLAKE2S_BLOCK_BYTES);
  /** The same bytes; Deno runs on little-endian machines only, whose order is BLAKE2s's. */
  readonly #words: Int32Array = new Int32Array(this.#block.buffer);
  /** Bytes waiting in the block. A full one waits too, for only the last block is compressed as last. */
  #waiting = 0;
  /** Bytes compressed. */
  #count = 0;
  #outBytes = 0;

  /**
   * @param bytes size of the output, 1 … 32
   * @param key up to 32 secret bytes
   */
  start(bytes: number, key?: Uint8Array): void {
    const keyBytes = key === undefined ? 0 : key.length;
    if (bytes < 1 || bytes > BLAKE2S_BYTES) throw new RangeError(`Cannot hash to ${bytes} bytes`);
    if (keyBytes > BLAKE2S_BYTES) throw new RangeError(`Cannot key BLAKE2s with ${keyBytes} bytes`);
    this.#chain.set(IV);
    // The parameter block: output size, key size, fanout 1, depth 1. Spec: RFC 7693 §2.5.
    this.#chain[0] ^= bytes | (keyBytes << 8) | 0x0101_0000;
    this.#outBytes = bytes;
    this.#waiting = 0;
    this.#count = 0;
    if (key === undefined || keyBytes === 0) return;
    this.#block.fill(0);
    this.#block.set(key);
    this.#waiting = BLAKE2S_BLOCK_BYTES;
  }

  update(input: Uint8Array): void {
    const block = this.#block;
    let waiting = this.#waiting;
    for (let i = 0; i < input.length; i++) {
      if (waiting === BLAKE2S_BLOCK_BYTES) {
        this.#compress(waiting, false);
        waiting = 0;
      }
      block[waiting++] = input[i];
    }
    this.#waiting = waiting;
  }

  /** Compresses a full waiting block ahead of time. For a caller who knows that more input will follow. */
  flush(): void {
    if (this.#waiting < BLAKE2S_BLOCK_BYTES) return;
    this.#compress(this.#waiting, false);
    this.#waiting = 0;
  }

  /** Continues from where `other` is. */
  copyFrom(other: Blake2s): void {
    this.#chain.set(other.#chain);
    this.#block.set(other.#block);
    this.#waiting = other.#waiting;
    this.#count = other.#count;
    this.#outBytes = other.#outBytes;
  }

  /** Writes the hash to `out`, whose length must be what `start` was told, and erases the state. */
  finish(out: Uint8Array): Uint8Array {
    if (out.length !== this.#outBytes) throw new RangeError(`Cannot finish a hash to ${out.length} bytes`);
    this.#block.fill(0, this.#waiting);
    this.#compress(this.#waiting, true);
    for (let i = 0; i < out.length; i++) out[i] = this.#chain[i >> 2] >> (8 * (i & 3));
    this.wipe();
    return out;
  }

  wipe(): void {
    this.#chain.fill(0);
    this.#block.fill(0);
  }

  #compress(bytes: number, last: boolean): void {
    this.#count += bytes;
    compress(this.#chain, this.#words, this.#count, last);
  }
}

/** The initialisation vector of SHA-256. */
const IV = Int32Array.of(
  0x6a09e667,
  0xbb67ae85,
  0x3c6ef372,
  0xa54ff53a,
  0x510e527f,
  0x9b05688c,
  0x1f83d9ab,
  0x5be0cd19,
);

/** Which message word goes where, sixteen to a round. Spec: RFC 7693 §2.7. */
const SIGMA = Uint8Array.from(
  [
    "0123456789abcdef",
    "ea489fd61c02b753",
    "b8c052fdae367194",
    "7931dcbe265a40f8",
    "905724afe1bc683d",
    "2c6a0b834d75fe19",
    "c51fed4a0763928b",
    "db7ec13950f4862a",
    "6fe9b308c2d714a5",
    "a2847615fb9e3cd0",
  ].join(""),
  (digit) => parseInt(digit, 16),
);

/** For the functions above: nothing here is asynchronous, so one state serves all calls. */
const SHARED = new Blake2s();

/**
 * The compression function F, on numbers kept in local variables: long, because a loop over the eight quarters of a
 * round would have to keep them in memory.
 *
 * @param chain h, in and out
 * @param count bytes hashed so far, this block's included
 */
function compress(chain: Int32Array, words: Int32Array, count: number, last: boolean): void {
  let v0 = chain[0];
  let v1 = chain[1];
  let v2 = chain[2];
  let v3 = chain[3];
  let v4 = chain[4];
  let v5 = chain[5];
  let v6 = chain[6];
  let v7 = chain[7];
  let v8 = IV[0];
  let v9 = IV[1];
  let v10 = IV[2];
  let v11 = IV[3];
  let v12 = IV[4] ^ count; // The high half of the count stays zero: inputs are shorter than 4 GiB.
  let v13 = IV[5];
  let v14 = last ? ~IV[6] : IV[6];
  let v15 = IV[7];
  for (let s = 0; s < 16 * ROUNDS; s += 16) {
    // Columns.
    v0 = (v0 + v4 + words[SIGMA[s + 0]]) | 0;
    v12 = rotate(v12 ^ v0, 16);
    v8 = (v8 + v12) | 0;
    v4 = rotate(v4 ^ v8, 12);
    v0 = (v0 + v4 + words[SIGMA[s + 1]]) | 0;
    v12 = rotate(v12 ^ v0, 8);
    v8 = (v8 + v12) | 0;
    v4 = rotate(v4 ^ v8, 7);
    v1 = (v1 + v5 + words[SIGMA[s + 2]]) | 0;
    v13 = rotate(v13 ^ v1, 16);
    v9 = (v9 + v13) | 0;
    v5 = rotate(v5 ^ v9, 12);
    v1 = (v1 + v5 + words[SIGMA[s + 3]]) | 0;
    v13 = rotate(v13 ^ v1, 8);
    v9 = (v9 + v13) | 0;
    v5 = rotate(v5 ^ v9, 7);
    v2 = (v2 + v6 + words[SIGMA[s + 4]]) | 0;
    v14 = rotate(v14 ^ v2, 16);
    v10 = (v10 + v14) | 0;
    v6 = rotate(v6 ^ v10, 12);
    v2 = (v2 + v6 + words[SIGMA[s + 5]]) | 0;
    v14 = rotate(v14 ^ v2, 8);
    v10 = (v10 + v14) | 0;
    v6 = rotate(v6 ^ v10, 7);
    v3 = (v3 + v7 + words[SIGMA[s + 6]]) | 0;
    v15 = rotate(v15 ^ v3, 16);
    v11 = (v11 + v15) | 0;
    v7 = rotate(v7 ^ v11, 12);
    v3 = (v3 + v7 + words[SIGMA[s + 7]]) | 0;
    v15 = rotate(v15 ^ v3, 8);
    v11 = (v11 + v15) | 0;
    v7 = rotate(v7 ^ v11, 7);
    // Diagonals.
    v0 = (v0 + v5 + words[SIGMA[s + 8]]) | 0;
    v15 = rotate(v15 ^ v0, 16);
    v10 = (v10 + v15) | 0;
    v5 = rotate(v5 ^ v10, 12);
    v0 = (v0 + v5 + words[SIGMA[s + 9]]) | 0;
    v15 = rotate(v15 ^ v0, 8);
    v10 = (v10 + v15) | 0;
    v5 = rotate(v5 ^ v10, 7);
    v1 = (v1 + v6 + words[SIGMA[s + 10]]) | 0;
    v12 = rotate(v12 ^ v1, 16);
    v11 = (v11 + v12) | 0;
    v6 = rotate(v6 ^ v11, 12);
    v1 = (v1 + v6 + words[SIGMA[s + 11]]) | 0;
    v12 = rotate(v12 ^ v1, 8);
    v11 = (v11 + v12) | 0;
    v6 = rotate(v6 ^ v11, 7);
    v2 = (v2 + v7 + words[SIGMA[s + 12]]) | 0;
    v13 = rotate(v13 ^ v2, 16);
    v8 = (v8 + v13) | 0;
    v7 = rotate(v7 ^ v8, 12);
    v2 = (v2 + v7 + words[SIGMA[s + 13]]) | 0;
    v13 = rotate(v13 ^ v2, 8);
    v8 = (v8 + v13) | 0;
    v7 = rotate(v7 ^ v8, 7);
    v3 = (v3 + v4 + words[SIGMA[s + 14]]) | 0;
    v14 = rotate(v14 ^ v3, 16);
    v9 = (v9 + v14) | 0;
    v4 = rotate(v4 ^ v9, 12);
    v3 = (v3 + v4 + words[SIGMA[s + 15]]) | 0;
    v14 = rotate(v14 ^ v3, 8);
    v9 = (v9 + v14) | 0;
    v4 = rotate(v4 ^ v9, 7);
  }
  chain[0] ^= v0 ^ v8;
  chain[1] ^= v1 ^ v9;
  chain[2] ^= v2 ^ v10;
  chain[3] ^= v3 ^ v11;
  chain[4] ^= v4 ^ v12;
  chain[5] ^= v5 ^ v13;
  chain[6] ^= v6 ^ v14;
  chain[7] ^= v7 ^ v15;
}

function rotate(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}
