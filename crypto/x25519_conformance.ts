/** What every implementation of X25519 must do; run on each of them. */
import assert from "node:assert/strict";
import { x25519 as noble } from "@noble/curves/ed25519.js";
import wycheproof from "../tests/vectors/wycheproof_x25519_test.json" with { type: "json" };
import { isZero } from "./bytes.ts";
import { decodeHex, encodeHex } from "./encoding.ts";
import { computesKnownAnswer, publicKey, sharedSecret, type X25519 } from "./x25519.ts";

export interface WycheproofCase {
  readonly tcId: number;
  readonly point: Uint8Array;
  readonly secret: Uint8Array;
  readonly shared: Uint8Array;
}

export const WYCHEPROOF: readonly WycheproofCase[] = wycheproof.testGroups.flatMap(({ tests }) => tests)
  .map(({ tcId, public: point, private: secret, shared }) => {
    return { tcId, point: hex(point), secret: hex(secret), shared: hex(shared) };
  });

/** Registers the tests of one implementation. */
export function testX25519Conformance(implementation: X25519): void {
  const { name } = implementation;

  Deno.test(`${name} computes the known answer`, () => assert(computesKnownAnswer(implementation)));

  Deno.test(`${name} passes Wycheproof, non-canonical points included, low-order points giving null`, () => {
    assert.equal(WYCHEPROOF.length, 518);
    let refused = 0;
    for (const { tcId, point, secret, shared } of WYCHEPROOF) {
      const result = sharedSecret(secret, point, implementation);
      if (isZero(shared)) refused++;
      assert.equal(result && encodeHex(result), isZero(shared) ? null : encodeHex(shared), `case ${tcId}`);
    }
    assert.equal(refused, 31);
  });

  Deno.test(`${name} agrees with noble on random keys, top bits set or not`, () => {
    let state = 1;
    const random = (): number => (state = (state * 48_271) % 0x7fff_ffff) & 255;
    for (let i = 0; i < 60; i++) {
      const secret = Uint8Array.from({ length: 32 }, random);
      const point = Uint8Array.from({ length: 32 }, random);
      assert.deepEqual(implementation.publicKey(secret), noble.getPublicKey(secret));
      assert.deepEqual(implementation.sharedSecret(secret, point), noble.getSharedSecret(secret, point));
    }
  });

  Deno.test(`${name} throws on a low-order point that reaches it, and works as before afterwards`, () => {
    const secret = new Uint8Array(32).fill(0x55);
    const before = implementation.publicKey(secret);
    assert.throws(() => implementation.sharedSecret(secret, new Uint8Array(32)));
    assert.deepEqual(implementation.publicKey(secret), before);
  });

  Deno.test(`${name} leaves its arguments alone and returns plain arrays of their own`, () => {
    const secret = new Uint8Array(32).fill(0xa1);
    const point = publicKey(new Uint8Array(32).fill(0xb2), implementation);
    const before = point.slice();
    for (const result of [publicKey(secret, implementation), sharedSecret(secret, point, implementation)]) {
      assert(result);
      assert.equal(Object.getPrototypeOf(result), Uint8Array.prototype);
      assert.equal(result.buffer.byteLength, 32);
    }
    assert.deepEqual(point, before);
    assert(secret.every((byte) => byte === 0xa1));
  });
}

export function hex(text: string): Uint8Array {
  const bytes = decodeHex(text);
  assert(bytes, `not hex: ${text}`);
  return bytes;
}
