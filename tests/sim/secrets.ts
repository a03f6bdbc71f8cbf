/**
 * Remembers every session and ephemeral key that a device has worked with, and the very buffers it held them in, to
 * check later that nothing of them is left.
 */
import assert from "node:assert/strict";
import type { Aead } from "../../crypto/aead.ts";
import type { CryptoSuite } from "../../crypto/suite.ts";
import type { Host } from "./host.ts";

const KEY_BYTES = 32;

export class SecretLedger {
  /** The suite to give to the device. */
  readonly suite: CryptoSuite;
  readonly #secrets = new Set<string>();
  readonly #buffers = new Set<Uint8Array>();
  /** Which two bytes a secret begins with: most places are ruled out at once. */
  readonly #filter = new Uint8Array(65_536);

  constructor(suite: CryptoSuite) {
    this.suite = this.#watch(suite);
  }

  /** Secrets known so far. */
  get size(): number {
    return this.#secrets.size;
  }

  /** The buffers that keys were seen in. */
  get buffers(): Iterable<Uint8Array> {
    return this.#buffers;
  }

  /** A random 32-byte string is an ephemeral key, or may become one. */
  noteRandom(out: Uint8Array): void {
    if (out.length === KEY_BYTES) this.#buffers.add(out);
  }

  noteEphemeral(privateKey: Uint8Array): void {
    this.#know(privateKey);
    this.#buffers.add(privateKey);
  }

  /** Takes over the transport keys that lie in the device's table. */
  noteKeypairs(host: Host): void {
    const { keypairKeys } = host.tables;
    for (let at = 0; at < keypairKeys.length; at += KEY_BYTES) {
      const key = keypairKeys.subarray(at, at + KEY_BYTES);
      if (key.some((byte) => byte !== 0)) this.#know(key);
    }
  }

  /** Fails if one of the secrets is still in the table of keys, in the memory, or in a buffer that held one. */
  assertGone(host: Host): void {
    assert.ok(host.tables.keypairKeys.every((byte) => byte === 0), `${host.name}'s table of keys is not empty`);
    assert.equal(this.find(host.bytes), -1, `a secret of ${host.name} is left in its memory`);
    for (const buffer of this.#buffers) {
      assert.equal(this.find(buffer), -1, `a secret of ${host.name} is left in a buffer of ${buffer.length} bytes`);
    }
  }

  /** Forgets everything, when it was checked. */
  clear(): void {
    this.#secrets.clear();
    this.#filter.fill(0);
    this.#buffers.clear();
  }

  /** Where one of the secrets lies in `bytes`, -1 if none does. */
  find(bytes: Uint8Array): number {
    const filter = this.#filter;
    for (let at = 0; at + KEY_BYTES <= bytes.length; at++) {
      if (filter[bytes[at] | (bytes[at + 1] << 8)] === 0) continue;
      if (this.#secrets.has(text(bytes.subarray(at, at + KEY_BYTES)))) return at;
    }
    return -1;
  }

  #know(secret: Uint8Array): void {
    this.#secrets.add(text(secret));
    this.#filter[secret[0] | (secret[1] << 8)] = 1;
  }

  #watch(suite: CryptoSuite): CryptoSuite {
    return {
      name: suite.name,
      publicKey: (privateKey) => suite.publicKey(privateKey),
      sharedSecret: (privateKey, publicKey) => this.#held(suite.sharedSecret(privateKey, publicKey)),
      hash: (a, b) => this.#held(suite.hash(a, b)),
      mac: (key, input) => suite.mac(key, input),
      kdf: (count, key, input) => {
        const outputs = suite.kdf(count, key, input);
        for (const output of outputs) {
          this.#know(output);
          this.#buffers.add(output);
        }
        this.#buffers.add(key);
        return outputs;
      },
      seal: (key, counter, plaintext, ad) => suite.seal(this.#held(key), counter, plaintext, ad),
      open: (key, counter, sealed, ad) => suite.open(this.#held(key), counter, sealed, ad),
      sealX: (key, nonce, plaintext, ad) => suite.sealX(key, nonce, plaintext, ad),
      openX: (key, nonce, sealed, ad) => suite.openX(key, nonce, sealed, ad),
      packetAead: (memory): Aead => suite.packetAead(memory),
    };
  }

  #held<T extends Uint8Array | null>(buffer: T): T {
    if (buffer !== null) this.#buffers.add(buffer);
    return buffer;
  }
}

function text(key: Uint8Array): string {
  return String.fromCharCode(...key);
}
