/**
 * X25519 over node:crypto, which is native and constant-time, or over noble where node:crypto lacks it. Who computes
 * many hands in an implementation that leaves no key objects to the garbage collector (plane/native_x25519.ts).
 *
 * Raw keys enter node:crypto in their DER form, a constant header before the 32 bytes; the secret copies made on the
 * way are erased. No key object outlives its call.
 *
 * Spec: RFC 7748 §5, §6.1; RFC 8410 (the DER forms); WireGuard paper §5.4 (DH).
 */
import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from "node:crypto";
import { x25519 as noble } from "@noble/curves/ed25519.js";
import { equalConstantTime, isZero, wipe } from "./bytes.ts";
import { decodeHex } from "./encoding.ts";

const KEY_BYTES = 32;

/** PKCS #8 before the private key: SEQUENCE { version 0, { OID 1.3.101.110 }, OCTET STRING { OCTET STRING 32 } }. */
const PRIVATE_HEADER = Uint8Array.of(0x30, 46, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 34, 4, 32);
/** SubjectPublicKeyInfo before the public key: SEQUENCE { { OID 1.3.101.110 }, BIT STRING 32 bytes }. */
const PUBLIC_HEADER = Uint8Array.of(0x30, 42, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 3, 33, 0);

/** One way to compute X25519; a low-order point never reaches it. */
export interface X25519 {
  readonly name: string;
  publicKey(privateKey: Uint8Array): Uint8Array;
  sharedSecret(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array;
}

export const nodeX25519: X25519 = {
  name: "node:crypto",
  publicKey(privateKey: Uint8Array): Uint8Array {
    const spki = createPublicKey(importPrivate(privateKey)).export({ format: "der", type: "spki" });
    return new Uint8Array(spki.subarray(PUBLIC_HEADER.length));
  },
  sharedSecret(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
    const buffer = diffieHellman({ privateKey: importPrivate(privateKey), publicKey: importPublic(publicKey) });
    const secret = new Uint8Array(buffer);
    wipe(buffer);
    return secret;
  },
};

export const nobleX25519: X25519 = {
  name: "noble",
  publicKey(privateKey: Uint8Array): Uint8Array {
    return noble.getPublicKey(privateKey);
  },
  sharedSecret(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array {
    return noble.getSharedSecret(privateKey, publicKey);
  },
};

let chosen: X25519 | null = null;

/** The implementation in use: chosen at the first call, by whether node:crypto computes the example of RFC 7748. */
export function selectedX25519(): X25519 {
  chosen ??= computesKnownAnswer(nodeX25519) ? nodeX25519 : nobleX25519;
  return chosen;
}

/**
 * The public key of a private key.
 *
 * @param privateKey 32 secret bytes, clamped or not
 * @param implementation by default the one in use here
 */
export function publicKey(privateKey: Uint8Array, implementation: X25519 = selectedX25519()): Uint8Array {
  requireKey(privateKey);
  return implementation.publicKey(privateKey);
}

/**
 * DH(private, public).
 *
 * @param privateKey 32 secret bytes, clamped or not
 * @param publicKey 32 bytes; the top bit is ignored, as RFC 7748 asks
 * @param implementation by default the one in use here
 * @returns 32 secret bytes, or null for a low-order point, whose result would be zero for every private key
 */
export function sharedSecret(
  privateKey: Uint8Array,
  publicKey: Uint8Array,
  implementation: X25519 = selectedX25519(),
): Uint8Array | null {
  requireKey(privateKey);
  requireKey(publicKey);
  if (isLowOrder(publicKey)) return null;
  const secret = implementation.sharedSecret(privateKey, publicKey);
  return isZero(secret) ? null : secret;
}

/**
 * Whether a point has low order. Every implementation throws on these, and telling that from another fault by its
 * message would be guessing; besides, refusing them here spares the multiplication. Points are public, so the
 * comparison may stop early.
 *
 * @param publicKey 32 bytes
 */
export function isLowOrder(publicKey: Uint8Array): boolean {
  return LOW_ORDER_POINTS.some((point) => isSamePoint(point, publicKey));
}

/**
 * Whether an implementation computes the example of RFC 7748 §5.2. A runtime without X25519 throws here, in a way of
 * its own, and that is an answer too.
 */
export function computesKnownAnswer(implementation: X25519): boolean {
  const nine = new Uint8Array(KEY_BYTES);
  nine[0] = 9;
  try {
    return equalConstantTime(implementation.publicKey(nine), KNOWN_ANSWER) &&
      equalConstantTime(implementation.sharedSecret(nine, nine), KNOWN_ANSWER);
  } catch {
    return false;
  }
}

/** X25519(9, 9), after one iteration in RFC 7748 §5.2. */
const KNOWN_ANSWER = point("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");

/**
 * The points whose order divides 8, on the curve and on its twist, in every encoding of 255 bits: 0, 1, the two of
 * order 8, p − 1, and as second encodings of 0 and 1 also p and p + 1.
 */
const LOW_ORDER_POINTS = [
  point("0000000000000000000000000000000000000000000000000000000000000000"),
  point("0100000000000000000000000000000000000000000000000000000000000000"),
  point("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
  point("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
  point("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
  point("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
  point("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
];

/** A constant of this file. */
function point(hex: string): Uint8Array {
  const bytes = decodeHex(hex);
  if (bytes === null || bytes.length !== KEY_BYTES) throw new RangeError(`Cannot read the point ${hex}`);
  return bytes;
}

/** Whether two encodings agree in their 255 significant bits. */
function isSamePoint(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < KEY_BYTES - 1; i++) if (a[i] !== b[i]) return false;
  return ((a[KEY_BYTES - 1] ^ b[KEY_BYTES - 1]) & 0x7f) === 0;
}

function importPrivate(privateKey: Uint8Array): KeyObject {
  const der = Buffer.alloc(PRIVATE_HEADER.length + KEY_BYTES);
  der.set(PRIVATE_HEADER);
  der.set(privateKey, PRIVATE_HEADER.length);
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  wipe(der);
  return key;
}

function importPublic(publicKey: Uint8Array): KeyObject {
  const der = Buffer.alloc(PUBLIC_HEADER.length + KEY_BYTES);
  der.set(PUBLIC_HEADER);
  der.set(publicKey, PUBLIC_HEADER.length);
  return createPublicKey({ key: der, format: "der", type: "spki" });
}

function requireKey(key: Uint8Array): void {
  if (key.length !== KEY_BYTES) throw new RangeError(`Cannot use a key of ${key.length} bytes for X25519`);
}
