/** The cryptography WireGuard is specified with. */
import type { Aead } from "./aead.ts";
import { blake2s, blake2sMac } from "./blake2s.ts";
import { kdf } from "./kdf.ts";
import { createKernelAead } from "./kernel_aead.ts";
import { createNobleAead } from "./noble_aead.ts";
import type { CryptoSuite } from "./suite.ts";
import { publicKey, sharedSecret, type X25519 } from "./x25519.ts";
import { open, openX, seal, sealX } from "./xchacha20poly1305.ts";

/** Curve25519, BLAKE2s, HKDF, ChaCha20-Poly1305 and XChaCha20-Poly1305. */
export const realSuite: CryptoSuite = {
  name: "real",
  publicKey: (privateKey) => publicKey(privateKey),
  sharedSecret: (privateKey, publicKey) => sharedSecret(privateKey, publicKey),
  hash: blake2s,
  mac: blake2sMac,
  kdf,
  seal,
  open,
  sealX,
  openX,
  packetAead: (memory: WebAssembly.Memory): Aead => createKernelAead(memory) ?? createNobleAead(memory),
};

/** The same over another X25519. */
export function realSuiteOver(implementation: X25519): CryptoSuite {
  return {
    ...realSuite,
    publicKey: (privateKey) => publicKey(privateKey, implementation),
    sharedSecret: (privateKey, publicKey) => sharedSecret(privateKey, publicKey, implementation),
  };
}
