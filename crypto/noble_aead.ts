/**
 * The reference engine: ChaCha20-Poly1305 by noble. Slow, readable and always there; the other engines are tested
 * against it and used instead of it wherever they work.
 *
 * Spec: RFC 8439 §2.8, WireGuard paper §5.4.6.
 */
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import type { Aead } from "./aead.ts";
import { decryptOrNull } from "./xchacha20poly1305.ts";

const KEY_BYTES = 32;
const TAG_BYTES = 16;
const NONCE_BYTES = 12;

/**
 * @param memory must not grow afterwards, for growing detaches the engine's view
 */
export function createNobleAead(memory: WebAssembly.Memory): Aead {
  return new NobleAead(memory);
}

class NobleAead implements Aead {
  readonly name = "noble";
  readonly #bytes: Uint8Array;
  /** 0⁴ ‖ LE64(counter). */
  readonly #nonce: Uint8Array = new Uint8Array(NONCE_BYTES);
  readonly #nonceView: DataView = new DataView(this.#nonce.buffer);

  constructor(memory: WebAssembly.Memory) {
    this.#bytes = new Uint8Array(memory.buffer);
  }

  seal(key: number, counterLow: number, counterHigh: number, dst: number, src: number, length: number): void {
    const plaintext = this.#bytes.subarray(src, src + length);
    this.#cipher(key, counterLow, counterHigh).encrypt(plaintext, this.#bytes.subarray(dst, dst + length + TAG_BYTES));
  }

  open(key: number, counterLow: number, counterHigh: number, dst: number, src: number, length: number): boolean {
    const sealed = this.#bytes.subarray(src, src + length + TAG_BYTES);
    const output = this.#bytes.subarray(dst, dst + length);
    if (decryptOrNull(this.#cipher(key, counterLow, counterHigh), sealed, output) !== null) return true;
    output.fill(0);
    return false;
  }

  #cipher(key: number, counterLow: number, counterHigh: number): ReturnType<typeof chacha20poly1305> {
    this.#nonceView.setUint32(4, counterLow, true);
    this.#nonceView.setUint32(8, counterHigh, true);
    return chacha20poly1305(this.#bytes.subarray(key, key + KEY_BYTES), this.#nonce);
  }
}
