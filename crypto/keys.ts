/** Private keys of Curve25519. */

const KEY_BYTES = 32;

/**
 * Clears and sets the bits that make 32 random bytes a private key, in place. Spec: RFC 7748 §5.
 *
 * @param bytes 32 secret bytes
 */
export function clampPrivateKey(bytes: Uint8Array): void {
  if (bytes.length !== KEY_BYTES) throw new RangeError(`Cannot clamp a private key of ${bytes.length} bytes`);
  bytes[0] &= 0xf8;
  bytes[31] = (bytes[31] & 0x7f) | 0x40;
}
