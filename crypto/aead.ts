/**
 * The packet AEAD: ChaCha20-Poly1305 over byte offsets of one memory, without associated data, with the nonce
 * 0⁴ ‖ LE64(counter). Every engine implements this and passes the same conformance suite.
 *
 * Spec: RFC 8439 §2.8, WireGuard paper §5.4.6.
 */

/**
 * The start of its memory belongs to the engine (constants, state of the rounds, keystream): one engine a memory, and no
 * packet, key or other data in these bytes. Engines that need no room leave them alone.
 */
export const ENGINE_BYTES = 2560;

export interface Aead {
  readonly name: string;

  /**
   * Encrypts `length` bytes at `src` to `dst` and writes the 16-byte tag at `dst + length`.
   *
   * @param key offset of the 32 secret key bytes
   * @param counterLow low 32 bits of the counter (u32)
   * @param counterHigh high 32 bits (u32)
   * @param dst may equal `src`; any other overlap is a caller's fault
   * @param length bytes of plaintext, may be 0
   */
  seal(key: number, counterLow: number, counterHigh: number, dst: number, src: number, length: number): void;

  /**
   * Verifies the tag at `src + length` and decrypts `length` bytes at `src` to `dst`.
   *
   * @returns false if the tag does not verify; then `dst … dst + length` is zeroed
   */
  open(key: number, counterLow: number, counterHigh: number, dst: number, src: number, length: number): boolean;

  /**
   * Seals like `seal`, but may leave the end of the work, at the latest the tag, to the next call of `sealPush`, `open`
   * or `sealFlush`, so that it overlaps with the next packet. Until then the packet's ciphertext and the 16 bytes behind
   * it stay where they are and are not sent; its key and its plaintext are no longer needed.
   */
  sealPush?(key: number, counterLow: number, counterHigh: number, dst: number, src: number, length: number): void;

  /**
   * Completes the packet that was pushed last and erases what the engine knows of its keys. Call it before packets that
   * were pushed leave, and before their key is erased. Harmless if there is none.
   */
  sealFlush?(): void;
}
