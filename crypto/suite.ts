/**
 * Everything the protocol asks of cryptography, behind one interface, so that a simulation can run on a cheap
 * deterministic suite and the protocol code never names a library.
 *
 * Spec: WireGuard paper §5.4 (the functions DH, AEAD, XAEAD, HASH, MAC, HMAC, KDF).
 */
import type { Aead } from "./aead.ts";

export interface CryptoSuite {
  readonly name: string;

  /** The public key of a 32-byte secret private key. */
  publicKey(privateKey: Uint8Array): Uint8Array;

  /** DH(private, public), 32 secret bytes; null for a low-order point (all-zero result). */
  sharedSecret(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | null;

  /** HASH(a ‖ b), 32 bytes. */
  hash(a: Uint8Array, b?: Uint8Array): Uint8Array;

  /** MAC(key, input), 16 bytes; the key is 16 or 32 bytes. */
  mac(key: Uint8Array, input: Uint8Array): Uint8Array;

  /** KDF_count(key, input): `count` secret outputs of 32 bytes. */
  kdf(count: 1 | 2 | 3, key: Uint8Array, input: Uint8Array): Uint8Array[];

  /** AEAD(key, counter, plaintext, ad): ciphertext and 16-byte tag. */
  seal(key: Uint8Array, counter: number, plaintext: Uint8Array, ad: Uint8Array): Uint8Array;

  /** The plaintext, or null if the tag does not verify. */
  open(key: Uint8Array, counter: number, sealed: Uint8Array, ad: Uint8Array): Uint8Array | null;

  /** XAEAD(key, 24-byte nonce, plaintext, ad). */
  sealX(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, ad: Uint8Array): Uint8Array;

  openX(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, ad: Uint8Array): Uint8Array | null;

  /** The engine that seals transport data inside one memory. */
  packetAead(memory: WebAssembly.Memory): Aead;
}
