/**
 * ChaCha20-Poly1305 of single messages with associated data: with a counter nonce for the handshake, with a random
 * 24-byte nonce for the cookie. Packets go through an `Aead` engine instead.
 *
 * Spec: RFC 8439 §2.8; draft-irtf-cfrg-xchacha-03; WireGuard paper §5.4 (AEAD, XAEAD).
 */
import { chacha20poly1305, xchacha20poly1305 } from "@noble/ciphers/chacha.js";

const TAG_BYTES = 16;
const NONCE_BYTES = 12;

/**
 * AEAD(key, counter, plaintext, ad).
 *
 * @param key 32 secret bytes
 * @param counter 0 … 2^53 − 1
 * @returns ciphertext and tag
 */
export function seal(key: Uint8Array, counter: number, plaintext: Uint8Array, ad: Uint8Array): Uint8Array {
  return chacha20poly1305(key, counterNonce(counter), ad).encrypt(plaintext);
}

/** The plaintext, or null if the tag does not verify. */
export function open(key: Uint8Array, counter: number, sealed: Uint8Array, ad: Uint8Array): Uint8Array | null {
  return decryptOrNull(chacha20poly1305(key, counterNonce(counter), ad), sealed);
}

/**
 * XAEAD(key, nonce, plaintext, ad).
 *
 * @param key 32 secret bytes
 * @param nonce 24 bytes
 * @returns ciphertext and tag
 */
export function sealX(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, ad: Uint8Array): Uint8Array {
  return xchacha20poly1305(key, nonce, ad).encrypt(plaintext);
}

/** The plaintext, or null if the tag does not verify. */
export function openX(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, ad: Uint8Array): Uint8Array | null {
  return decryptOrNull(xchacha20poly1305(key, nonce, ad), sealed);
}

/**
 * Decrypts with a noble cipher, whose way of refusing a tag is to throw.
 *
 * @param output receives the plaintext; a new array if absent
 * @returns the plaintext, or null if the tag does not verify or there is none
 */
export function decryptOrNull(
  cipher: { decrypt(sealed: Uint8Array, output?: Uint8Array): Uint8Array },
  sealed: Uint8Array,
  output?: Uint8Array,
): Uint8Array | null {
  if (sealed.length < TAG_BYTES) return null;
  try {
    return cipher.decrypt(sealed, output);
  } catch (error) {
    // noble throws plain errors; any other message is a fault of the caller and must surface.
    if (error instanceof Error && error.message === "invalid tag") return null;
    throw error;
  }
}

/** The nonce 0⁴ ‖ LE64(counter). */
function counterNonce(counter: number): Uint8Array {
  const nonce = new Uint8Array(NONCE_BYTES);
  const view = new DataView(nonce.buffer);
  view.setUint32(4, counter, true);
  view.setUint32(8, counter / 2 ** 32, true);
  return nonce;
}
