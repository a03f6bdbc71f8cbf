import assert from "node:assert/strict";
import fc from "fast-check";
import { clampPrivateKey } from "./keys.ts";
import { publicKey } from "./x25519.ts";

Deno.test("clampPrivateKey() clears bits 0, 1, 2 and 255 and sets bit 254", () => {
  const ones = new Uint8Array(32).fill(0xff);
  clampPrivateKey(ones);
  assert.deepEqual(ones, Uint8Array.from({ length: 32 }, (_, i) => i === 0 ? 0xf8 : i === 31 ? 0x7f : 0xff));
  const zeros = new Uint8Array(32);
  clampPrivateKey(zeros);
  assert.deepEqual(zeros, Uint8Array.from({ length: 32 }, (_, i) => i === 31 ? 0x40 : 0));
});

Deno.test("clampPrivateKey() changes no public key", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
      const clamped = key.slice();
      clampPrivateKey(clamped);
      assert.deepEqual(publicKey(clamped), publicKey(key));
    }),
    { numRuns: 30 },
  );
});

Deno.test("clampPrivateKey() throws on another length", () => {
  assert.throws(() => clampPrivateKey(new Uint8Array(31)), RangeError);
});
