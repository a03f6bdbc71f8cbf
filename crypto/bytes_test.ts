import assert from "node:assert/strict";
import { timingSafeEqual } from "node:crypto";
import fc from "fast-check";
import { concat, equalConstantTime, isZero, wipe } from "./bytes.ts";

Deno.test("equalConstantTime() agrees with node:crypto on arrays of one length", () => {
  const pair = fc.nat(40).chain((length) => {
    const bytes = fc.uint8Array({ minLength: length, maxLength: length, max: 1 });
    return fc.tuple(bytes, bytes);
  });
  fc.assert(fc.property(pair, ([a, b]) => equalConstantTime(a, b) === timingSafeEqual(a, b)));
});

Deno.test("equalConstantTime() sees a difference in every bit of every byte", () => {
  const a = Uint8Array.from({ length: 33 }, (_, i) => i * 37);
  assert(equalConstantTime(a, a.slice()));
  for (let bit = 0; bit < 8 * a.length; bit++) {
    const b = a.slice();
    b[bit >> 3] ^= 1 << (bit & 7);
    assert(!equalConstantTime(a, b), `bit ${bit}`);
  }
});

Deno.test("equalConstantTime() tells arrays of different lengths apart", () => {
  assert(!equalConstantTime(new Uint8Array(16), new Uint8Array(17)));
  assert(!equalConstantTime(new Uint8Array(1), new Uint8Array(0)));
  assert(equalConstantTime(new Uint8Array(0), new Uint8Array(0)));
});

Deno.test("isZero() sees one bit anywhere", () => {
  assert(isZero(new Uint8Array(0)));
  assert(isZero(new Uint8Array(32)));
  for (let bit = 0; bit < 256; bit++) {
    const bytes = new Uint8Array(32);
    bytes[bit >> 3] = 1 << (bit & 7);
    assert(!isZero(bytes), `bit ${bit}`);
  }
});

Deno.test("wipe() zeroes each buffer and nothing around a view", () => {
  const whole = new Uint8Array(8).fill(5);
  const other = Uint8Array.of(1, 2);
  wipe(whole.subarray(2, 6), other);
  assert.deepEqual(whole, Uint8Array.of(5, 5, 0, 0, 0, 0, 5, 5));
  assert(isZero(other));
});

Deno.test("concat() joins its parts in a new array", () => {
  const part = Uint8Array.of(1, 2);
  const joined = concat(part, new Uint8Array(0), Uint8Array.of(3));
  assert.deepEqual(joined, Uint8Array.of(1, 2, 3));
  joined[0] = 9;
  assert.equal(part[0], 1);
  assert.deepEqual(concat(), new Uint8Array(0));
});
