/** New keys, from the system's randomness. */
import { clampPrivateKey } from "../crypto/keys.ts";

/** A new private key: 32 secret bytes, clamped as X25519 wants them. */
export function generatePrivateKey(): Uint8Array {
  const key = crypto.getRandomValues(new Uint8Array(32));
  clampPrivateKey(key);
  return key;
}

/** A new preshared key: 32 secret random bytes. */
export function generatePresharedKey(): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(32));
}
