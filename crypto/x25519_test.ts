import assert from "node:assert/strict";
import { x25519 as noble } from "@noble/curves/ed25519.js";
import wycheproof from "../tests/vectors/wycheproof_x25519_test.json" with { type: "json" };
import { isZero } from "./bytes.ts";
import { decodeHex, encodeHex } from "./encoding.ts";
import {
  computesKnownAnswer,
  isLowOrder,
  nativeX25519,
  nobleX25519,
  publicKey,
  selectedX25519,
  sharedSecret,
  type X25519,
} from "./x25519.ts";

const cases = wycheproof.testGroups.flatMap(({ tests }) => tests);
const P = 2n ** 255n - 19n;

Deno.test("sharedSecret() passes Wycheproof, low-order points giving null", () => {
  assert.equal(cases.length, 518);
  let refused = 0;
  for (const { tcId, public: point, private: secret, shared } of cases) {
    const result = sharedSecret(hex(secret), hex(point));
    if (isZero(hex(shared))) refused++;
    assert.equal(result && encodeHex(result), isZero(hex(shared)) ? null : shared, `case ${tcId}`);
  }
  assert.equal(refused, 31);
});

Deno.test("nativeX25519 and nobleX25519 pass Wycheproof, non-canonical points included", () => {
  for (const implementation of [nativeX25519, nobleX25519]) {
    let computed = 0;
    for (const { tcId, public: point, private: secret, shared } of cases) {
      if (isZero(hex(shared))) continue;
      computed++;
      assert.equal(encodeHex(implementation.sharedSecret(hex(secret), hex(point))), shared, `case ${tcId}`);
    }
    assert.equal(computed, 487);
  }
});

Deno.test("nativeX25519 agrees with noble on random keys, top bits set or not", () => {
  let state = 1;
  const random = (): number => (state = (state * 48_271) % 0x7fff_ffff) & 255;
  for (let i = 0; i < 60; i++) {
    const secret = Uint8Array.from({ length: 32 }, random);
    const point = Uint8Array.from({ length: 32 }, random);
    assert.deepEqual(nativeX25519.publicKey(secret), noble.getPublicKey(secret));
    assert.deepEqual(nativeX25519.sharedSecret(secret, point), noble.getSharedSecret(secret, point));
  }
});

Deno.test("isLowOrder() names the points on which noble's multiplication gives zero, and no other small ones", () => {
  const candidates: Uint8Array[] = [];
  for (let distance = 0n; distance < 40n; distance++) {
    for (const u of [distance, P + distance, P - distance]) {
      if (u < 2n ** 255n) candidates.push(encodePoint(u), encodePoint(u + 2n ** 255n));
    }
  }
  for (const { public: point } of cases) candidates.push(hex(point));
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
    for (const { public: point } of cases.filter(({ shared }) => isZero(hex(shared)))) {
      assert.equal(sharedSecret(new Uint8Array(32).fill(fill), hex(point)), null);
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

Deno.test("publicKey() and sharedSecret() leave their arguments alone and return plain arrays of their own", () => {
  const secret = new Uint8Array(32).fill(0xa1);
  const point = publicKey(new Uint8Array(32).fill(0xb2));
  const before = point.slice();
  for (const result of [publicKey(secret), sharedSecret(secret, point)]) {
    assert(result);
    assert.equal(Object.getPrototypeOf(result), Uint8Array.prototype);
    assert.equal(result.buffer.byteLength, 32);
  }
  assert.deepEqual(point, before);
  assert(secret.every((byte) => byte === 0xa1));
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
  assert.equal(selectedX25519(), nativeX25519);
});

Deno.test("computesKnownAnswer() turns down an implementation that is missing or wrong", () => {
  assert(computesKnownAnswer(nativeX25519));
  assert(computesKnownAnswer(nobleX25519));
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

function hex(text: string): Uint8Array {
  const bytes = decodeHex(text);
  assert(bytes, `not hex: ${text}`);
  return bytes;
}
