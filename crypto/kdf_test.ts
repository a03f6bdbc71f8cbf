import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { blake2s as noble } from "@noble/hashes/blake2.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import fc from "fast-check";
import { referenceHmac } from "../tests/reference/blake2s.ts";
import forms from "../tests/vectors/blake2s_wireguard_forms.json" with { type: "json" };
import { concat } from "./bytes.ts";
import { decodeHex, encodeHex } from "./encoding.ts";
import { hmacBlake2s, kdf } from "./kdf.ts";

const secret = fc.uint8Array({ maxLength: 150 });

Deno.test("kdf() passes the vectors, with one, two and three outputs", () => {
  assert.equal(forms.kdf.length, 10);
  for (const { key, input, t1, t2, t3 } of forms.kdf) {
    const expected = [t1, t2, t3];
    for (const count of [1, 2, 3] as const) {
      assert.deepEqual(kdf(count, hex(key), hex(input)).map(encodeHex), expected.slice(0, count));
    }
  }
});

Deno.test("kdf() is HKDF of RFC 5869 as noble computes it", () => {
  fc.assert(fc.property(secret, secret, (key, input) => {
    assert.deepEqual(concat(...kdf(3, key, input)), hkdf(noble, input, key, undefined, 96));
  }));
});

Deno.test("hmacBlake2s() agrees with its twin and with node:crypto", () => {
  fc.assert(fc.property(secret, secret, (key, input) => {
    const code = hmacBlake2s(key, input);
    assert.deepEqual(code, referenceHmac(key, input));
    assert.deepEqual(code, new Uint8Array(createHmac("blake2s256", key).update(input).digest()));
  }));
});

Deno.test("hmacBlake2s() and kdf() take keys at the size of a block and leave their arguments alone", () => {
  for (const length of [0, 1, 32, 63, 64, 65, 128]) {
    const key = new Uint8Array(length).fill(3);
    const input = new Uint8Array(length).fill(4);
    assert.deepEqual(hmacBlake2s(key, input), referenceHmac(key, input), `${length} bytes`);
    kdf(3, key, input);
    assert(key.every((byte) => byte === 3) && input.every((byte) => byte === 4));
  }
});

Deno.test("kdf() returns arrays of its own", () => {
  const first = kdf(3, Uint8Array.of(1), Uint8Array.of(2));
  const copies = first.map((output) => output.slice());
  kdf(3, Uint8Array.of(3), Uint8Array.of(4));
  assert.deepEqual(first, copies);
});

function hex(text: string): Uint8Array {
  const bytes = decodeHex(text);
  assert(bytes, `not hex: ${text}`);
  return bytes;
}
