import assert from "node:assert/strict";
import { x25519 as noble } from "@noble/curves/ed25519.js";
import { isZero } from "./bytes.ts";
import { encodeHex } from "./encoding.ts";
import {
  computesKnownAnswer,
  isLowOrder,
  nobleX25519,
  nodeX25519,
  publicKey,
  selectedX25519,
  sharedSecret,
  type X25519,
} from "./x25519.ts";
import { testX25519Conformance, WYCHEPROOF } from "./x25519_conformance.ts";

const P = 2n ** 255n - 19n;

testX25519Conformance(nodeX25519);
testX25519Conformance(nobleX25519);

Deno.test("isLowOrder() names the points on which noble's multiplication gives zero, and no other small ones", () => {
  const candidates: Uint8Array[] = [];
  for (let distance = 0n; distance < 40n; distance++) {
    for (const u of [distance, P + distance, P - distance]) {
      if (u < 2n ** 255n) candidates.push(encodePoint(u), encodePoint(u + 2n ** 255n));
    }
  }
  for (const { point } of WYCHEPROOF) candidates.push(point);
  const secret = new Uint8Array(32).fill(0x55);
  let low = 0;
  for (const point of candidates) {
    const isRefused = refuses(() => noble.getSharedSecret(secret, point));
    assert.equal(isLowOrder(point), isRefused, encodeHex(point));
    if (isRefused) low++;
  }
  assert(low > 10, `${low}`);
});

Deno.test("sharedSecret() refuses a low-order point under every private key it is tried with", () => {
  for (const fill of [0, 1, 0x7f, 0xff]) {
    for (const { point } of WYCHEPROOF.filter(({ shared }) => isZero(shared))) {
      assert.equal(sharedSecret(new Uint8Array(32).fill(fill), point), null);
    }
  }
});

Deno.test("publicKey() multiplies the base point, and both sides agree on a secret", () => {
  const base = new Uint8Array(32);
  base[0] = 9;
  const a = new Uint8Array(32).fill(0xa1);
  const b = new Uint8Array(32).fill(0xb2);
  assert.deepEqual(publicKey(a), sharedSecret(a, base));
  assert.deepEqual(sharedSecret(a, publicKey(b)), sharedSecret(b, publicKey(a)));
});

Deno.test("publicKey() and sharedSecret() throw on other lengths", () => {
  const key = new Uint8Array(32).fill(1);
  for (const length of [0, 31, 33]) {
    assert.throws(() => publicKey(new Uint8Array(length)), RangeError);
    assert.throws(() => sharedSecret(new Uint8Array(length), key), RangeError);
    assert.throws(() => sharedSecret(key, new Uint8Array(length)), RangeError);
  }
});

Deno.test("selectedX25519() is node:crypto where it works", () => {
  assert.equal(selectedX25519(), nodeX25519);
});

Deno.test("computesKnownAnswer() turns down an implementation that is missing or wrong", () => {
  const missing = (): never => {
    throw new Error("X25519 is not supported");
  };
  const wrong = (): Uint8Array => new Uint8Array(32);
  const faulty: X25519[] = [
    { ...nobleX25519, publicKey: missing },
    { ...nobleX25519, sharedSecret: missing },
    { ...nobleX25519, publicKey: wrong },
    { ...nobleX25519, sharedSecret: wrong },
  ];
  for (const implementation of faulty) assert(!computesKnownAnswer(implementation));
});

function refuses(multiply: () => Uint8Array): boolean {
  try {
    multiply();
    return false;
  } catch (error) {
    assert(error instanceof Error && error.message.includes("private or public key"), String(error));
    return true;
  }
}

function encodePoint(u: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((u >> BigInt(8 * i)) & 255n));
}
