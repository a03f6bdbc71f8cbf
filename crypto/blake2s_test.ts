import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { blake2s as noble } from "@noble/hashes/blake2.js";
import fc from "fast-check";
import { referenceBlake2s } from "../tests/reference/blake2s.ts";
import kat from "../tests/vectors/blake2s_kat.json" with { type: "json" };
import forms from "../tests/vectors/blake2s_wireguard_forms.json" with { type: "json" };
import { Blake2s, blake2s, blake2sMac } from "./blake2s.ts";
import { decodeHex, encodeHex } from "./encoding.ts";

Deno.test("blake2s() passes the unkeyed known answers, split at every place", () => {
  const cases = kat.filter(({ key }) => key === "");
  assert.equal(cases.length, 256);
  for (const { in: input, out } of cases) {
    const bytes = hex(input);
    assert.equal(encodeHex(blake2s(bytes)), out);
    for (let at = 0; at <= bytes.length; at++) {
      assert.equal(
        encodeHex(blake2s(bytes.subarray(0, at), bytes.subarray(at))),
        out,
        `${bytes.length} split at ${at}`,
      );
    }
  }
});

Deno.test("Blake2s passes the keyed known answers", () => {
  const cases = kat.filter(({ key }) => key !== "");
  assert.equal(cases.length, 256);
  for (const { in: input, key, out } of cases) {
    assert.equal(encodeHex(run(hex(input), hex(key), 32)), out, `${input.length / 2} bytes`);
  }
});

Deno.test("blake2sMac() passes the forms of WireGuard, and its output is no prefix of the longer one", () => {
  assert.equal(forms.keyed_mac.length, 44);
  for (const { key, input, out16, out32 } of forms.keyed_mac) {
    assert.equal(encodeHex(blake2sMac(hex(key), hex(input))), out16);
    assert.equal(encodeHex(run(hex(input), hex(key), 32)), out32);
    assert(!out32.startsWith(out16));
  }
});

Deno.test("Blake2s agrees with its twin and with noble on every input, key and output size", () => {
  const inputs = fc.tuple(
    fc.uint8Array({ maxLength: 300 }),
    fc.uint8Array({ maxLength: 32 }),
    fc.integer({ min: 1, max: 32 }),
  );
  fc.assert(fc.property(inputs, ([input, key, bytes]) => {
    const out = run(input, key, bytes);
    assert.deepEqual(out, referenceBlake2s(input, key, bytes));
    assert.deepEqual(out, noble(input, { key: key.length === 0 ? undefined : key, dkLen: bytes }));
  }));
});

Deno.test("blake2s() agrees with node:crypto on long and unaligned inputs", () => {
  const whole = Uint8Array.from({ length: 70_000 }, (_, i) => (i * i) >> 3);
  for (const [from, to] of [[0, 70_000], [1, 65_537], [3, 4_099], [5, 133]]) {
    const input = whole.subarray(from, to);
    assert.equal(encodeHex(blake2s(input)), createHash("blake2s256").update(input).digest("hex"), `${from} to ${to}`);
  }
});

Deno.test("Blake2s.copyFrom() continues another hash, flushed or not, without touching it", () => {
  const input = Uint8Array.from({ length: 200 }, (_, i) => i);
  for (const at of [0, 1, 63, 64, 65, 128, 199]) {
    const first = new Blake2s();
    first.start(32);
    first.update(input.subarray(0, at));
    first.flush();
    const second = new Blake2s();
    second.start(16, input.subarray(0, 32));
    second.copyFrom(first);
    for (const state of [second, first]) {
      state.update(input.subarray(at));
      assert.deepEqual(state.finish(new Uint8Array(32)), referenceBlake2s(input), `copied at ${at}`);
    }
  }
});

Deno.test("Blake2s.start() throws on sizes that BLAKE2s does not have", () => {
  const state = new Blake2s();
  assert.throws(() => state.start(0), RangeError);
  assert.throws(() => state.start(33), RangeError);
  assert.throws(() => state.start(32, new Uint8Array(33)), RangeError);
});

Deno.test("Blake2s.finish() throws on an output of another size than started for", () => {
  const state = new Blake2s();
  state.start(16);
  assert.throws(() => state.finish(new Uint8Array(32)), RangeError);
});

function run(input: Uint8Array, key: Uint8Array, bytes: number): Uint8Array {
  const state = new Blake2s();
  state.start(bytes, key);
  state.update(input);
  return state.finish(new Uint8Array(bytes));
}

function hex(text: string): Uint8Array {
  const bytes = decodeHex(text);
  assert(bytes, `not hex: ${text}`);
  return bytes;
}
