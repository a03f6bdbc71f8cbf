/**
 * ChaCha20-Poly1305 and XChaCha20-Poly1305 as slowly and as plainly as the specifications word them, Poly1305 over
 * BigInt. Every AEAD engine is compared with this.
 *
 * Spec: RFC 8439 §2; draft-irtf-cfrg-xchacha-03 §2.
 */
export const P = 2n ** 130n - 5n;
/** The bits that clamping leaves in r. Spec: RFC 8439 §2.5. */
export const R_MASK = 0x0ffffffc0ffffffc0ffffffc0fffffffn;

/** Ciphertext and tag. The nonce has 12 bytes. Spec: RFC 8439 §2.8. */
export function referenceSeal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, ad: Uint8Array): Uint8Array {
  const ciphertext = xorStream(key, nonce, plaintext);
  return Uint8Array.from([...ciphertext, ...referenceTag(key, nonce, ciphertext, ad)]);
}

/** The plaintext, or null. */
export function referenceOpen(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  ad: Uint8Array,
): Uint8Array | null {
  if (sealed.length < 16) return null;
  const ciphertext = sealed.slice(0, -16);
  const tag = referenceTag(key, nonce, ciphertext, ad);
  if (tag.some((byte, i) => byte !== sealed[ciphertext.length + i])) return null;
  return xorStream(key, nonce, ciphertext);
}

/** The key and nonce with which XChaCha20-Poly1305 is ChaCha20-Poly1305. The nonce has 24 bytes. Spec: draft §2.3. */
export function referenceXKey(key: Uint8Array, nonce: Uint8Array): { key: Uint8Array; nonce: Uint8Array } {
  return { key: hchacha20(key, nonce.slice(0, 16)), nonce: Uint8Array.from([0, 0, 0, 0, ...nonce.slice(16)]) };
}

/** The tag of a ciphertext. Spec: RFC 8439 §2.8. */
export function referenceTag(key: Uint8Array, nonce: Uint8Array, ciphertext: Uint8Array, ad: Uint8Array): Uint8Array {
  return poly1305(poly1305Key(key, nonce), aeadBlocks(ciphertext, ad));
}

/** The 32 bytes r ‖ s of one nonce. Spec: RFC 8439 §2.6. */
export function poly1305Key(key: Uint8Array, nonce: Uint8Array): Uint8Array {
  return chachaBlock(key, 0, nonce).slice(0, 32);
}

/** Spec: RFC 8439 §2.5. */
export function poly1305(key: Uint8Array, message: Uint8Array): Uint8Array {
  const r = littleEndian(key.slice(0, 16)) & R_MASK;
  const tag = poly1305Accumulate(r, 0n, message) + littleEndian(key.slice(16, 32));
  return toLittleEndian(tag, 16);
}

/** The accumulator after `message`, fully reduced. */
export function poly1305Accumulate(r: bigint, accumulator: bigint, message: Uint8Array): bigint {
  for (let at = 0; at < message.length; at += 16) {
    const block = message.slice(at, at + 16);
    accumulator = (accumulator + littleEndian(block) + (1n << BigInt(8 * block.length))) * r % P;
  }
  return accumulator;
}

/** What Poly1305 authenticates: both parts padded to 16 bytes, then both lengths. */
export function aeadBlocks(ciphertext: Uint8Array, ad: Uint8Array): Uint8Array {
  const lengths = [...toLittleEndian(BigInt(ad.length), 8), ...toLittleEndian(BigInt(ciphertext.length), 8)];
  return Uint8Array.from([...ad, ...padding(ad.length), ...ciphertext, ...padding(ciphertext.length), ...lengths]);
}

export function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  return value;
}

/** The lowest `length` bytes of a value. */
export function toLittleEndian(value: bigint, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));
}

function padding(length: number): number[] {
  return new Array<number>((16 - length % 16) % 16).fill(0);
}

/** XOR with the key stream from block 1 on. Spec: RFC 8439 §2.4. */
function xorStream(key: Uint8Array, nonce: Uint8Array, input: Uint8Array): Uint8Array {
  const output = new Uint8Array(input.length);
  for (let at = 0; at < input.length; at += 64) {
    const stream = chachaBlock(key, 1 + at / 64, nonce);
    for (let i = at; i < Math.min(at + 64, input.length); i++) output[i] = input[i] ^ stream[i - at];
  }
  return output;
}

/** Spec: RFC 8439 §2.3. */
function chachaBlock(key: Uint8Array, counter: number, nonce: Uint8Array): Uint8Array {
  const initial = [...constants(), ...toWords(key), counter, ...toWords(nonce)];
  const state = rounds(initial);
  return fromWords(state.map((word, i) => (word + initial[i]) >>> 0));
}

/** Spec: draft-irtf-cfrg-xchacha-03 §2.2. */
function hchacha20(key: Uint8Array, nonce: Uint8Array): Uint8Array {
  const state = rounds([...constants(), ...toWords(key), ...toWords(nonce)]);
  return fromWords([...state.slice(0, 4), ...state.slice(12)]);
}

function rounds(initial: number[]): number[] {
  const x = [...initial];
  for (let round = 0; round < 10; round++) {
    for (let i = 0; i < 4; i++) quarterRound(x, i, 4 + i, 8 + i, 12 + i);
    for (let i = 0; i < 4; i++) quarterRound(x, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
  }
  return x;
}

/** Spec: RFC 8439 §2.1. */
function quarterRound(x: number[], a: number, b: number, c: number, d: number): void {
  x[a] = (x[a] + x[b]) >>> 0;
  x[d] = rotateLeft(x[d] ^ x[a], 16);
  x[c] = (x[c] + x[d]) >>> 0;
  x[b] = rotateLeft(x[b] ^ x[c], 12);
  x[a] = (x[a] + x[b]) >>> 0;
  x[d] = rotateLeft(x[d] ^ x[a], 8);
  x[c] = (x[c] + x[d]) >>> 0;
  x[b] = rotateLeft(x[b] ^ x[c], 7);
}

function rotateLeft(word: number, bits: number): number {
  return ((word << bits) | (word >>> (32 - bits))) >>> 0;
}

function constants(): number[] {
  return toWords(new TextEncoder().encode("expand 32-byte k"));
}

function toWords(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, true));
}

function fromWords(words: number[]): Uint8Array {
  const bytes = new Uint8Array(words.length * 4);
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => view.setUint32(4 * i, word, true));
  return bytes;
}
