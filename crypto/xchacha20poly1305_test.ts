import assert from "node:assert/strict";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { referenceOpen, referenceSeal, referenceXKey } from "../tests/reference/chacha20poly1305.ts";
import chacha from "../tests/vectors/wycheproof_chacha20_poly1305_test.json" with { type: "json" };
import xchacha from "../tests/vectors/wycheproof_xchacha20_poly1305_test.json" with { type: "json" };
import { concat } from "./bytes.ts";
import { decodeHex } from "./encoding.ts";
import { decryptOrNull, open, openX, seal, sealX } from "./xchacha20poly1305.ts";

/** One case of Wycheproof, decoded. */
interface Case {
  id: string;
  key: Uint8Array;
  iv: Uint8Array;
  ad: Uint8Array;
  plaintext: Uint8Array;
  sealed: Uint8Array;
  isValid: boolean;
}

const chachaCases = decodeCases(chacha.testGroups, 96);
const xchachaCases = decodeCases(xchacha.testGroups, 192);
const KEY = new Uint8Array(32).fill(0x42);

Deno.test("sealX() and openX() pass Wycheproof", () => {
  assert.equal(xchachaCases.length, 306);
  for (const { id, key, iv, ad, plaintext, sealed, isValid } of xchachaCases) {
    assert.deepEqual(openX(key, iv, sealed, ad), isValid ? plaintext : null, id);
    if (isValid) assert.deepEqual(sealX(key, iv, plaintext, ad), sealed, id);
  }
});

Deno.test("sealX() and openX() throw on nonces of other sizes than 24 bytes", () => {
  let count = 0;
  for (const { ivSize, tests } of xchacha.testGroups.filter(({ ivSize }) => ivSize !== 192)) {
    const { key, iv, msg } = tests[0];
    assert.throws(() => sealX(hex(key), hex(iv), hex(msg), KEY), RangeError, `${ivSize} bits`);
    assert.throws(() => openX(hex(key), hex(iv), new Uint8Array(32), KEY), RangeError, `${ivSize} bits`);
    count++;
  }
  assert.equal(count, 9);
});

Deno.test("decryptOrNull() passes Wycheproof with noble's ChaCha20-Poly1305, which the engine and open() use", () => {
  assert.equal(chachaCases.length, 316);
  for (const { id, key, iv, ad, plaintext, sealed, isValid } of chachaCases) {
    assert.deepEqual(decryptOrNull(chacha20poly1305(key, iv, ad), sealed), isValid ? plaintext : null, id);
    if (isValid) assert.deepEqual(chacha20poly1305(key, iv, ad).encrypt(plaintext), sealed, id);
  }
});

Deno.test("referenceSeal() and referenceOpen() pass both files of Wycheproof", () => {
  for (const { id, key, iv, ad, plaintext, sealed, isValid } of [...chachaCases, ...xchachaCases]) {
    const inner = iv.length === 24 ? referenceXKey(key, iv) : { key, nonce: iv };
    assert.deepEqual(referenceOpen(inner.key, inner.nonce, sealed, ad), isValid ? plaintext : null, id);
    if (isValid) assert.deepEqual(referenceSeal(inner.key, inner.nonce, plaintext, ad), sealed, id);
  }
});

Deno.test("seal() puts the counter into the nonce little-endian, up to 2^53 − 1", () => {
  const plaintext = Uint8Array.of(1, 2, 3);
  for (const counter of [0, 1, 255, 256, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 0x12_3456_789a_bcde, 2 ** 53 - 1]) {
    const nonce = new Uint8Array(12);
    new DataView(nonce.buffer).setBigUint64(4, BigInt(counter), true);
    const sealed = seal(KEY, counter, plaintext, KEY);
    assert.deepEqual(sealed, referenceSeal(KEY, nonce, plaintext, KEY), `${counter}`);
    assert.deepEqual(open(KEY, counter, sealed, KEY), plaintext);
    assert.equal(open(KEY, counter === 0 ? 1 : counter - 1, sealed, KEY), null);
  }
});

Deno.test("open() and openX() refuse every flipped bit, cut and addition", () => {
  const nonce = new Uint8Array(24).fill(9);
  const plaintext = Uint8Array.from({ length: 32 }, (_, i) => i);
  const sealed = seal(KEY, 5, plaintext, KEY);
  const sealedX = sealX(KEY, nonce, plaintext, KEY);
  for (let bit = 0; bit < 8 * sealed.length; bit++) {
    assert.equal(open(KEY, 5, flip(sealed, bit), KEY), null);
    assert.equal(openX(KEY, nonce, flip(sealedX, bit), KEY), null);
  }
  for (let bit = 0; bit < 8 * KEY.length; bit++) {
    assert.equal(open(KEY, 5, sealed, flip(KEY, bit)), null);
    assert.equal(openX(KEY, nonce, sealedX, flip(KEY, bit)), null);
  }
  for (let length = 0; length < sealed.length; length++) {
    assert.equal(open(KEY, 5, sealed.slice(0, length), KEY), null);
    assert.equal(openX(KEY, nonce, sealedX.slice(0, length), KEY), null);
  }
  assert.equal(open(KEY, 5, concat(sealed, Uint8Array.of(0)), KEY), null);
});

Deno.test("open() throws on a key of another length: that is no refused tag", () => {
  assert.throws(() => open(new Uint8Array(31), 0, new Uint8Array(32), KEY), RangeError);
});

function decodeCases(groups: typeof chacha.testGroups, ivSize: number): Case[] {
  return groups.filter((group) => group.ivSize === ivSize).flatMap(({ tests }) =>
    tests.map(({ tcId, key, iv, aad, msg, ct, tag, result }) => ({
      id: `case ${tcId}`,
      key: hex(key),
      iv: hex(iv),
      ad: hex(aad),
      plaintext: hex(msg),
      sealed: hex(ct + tag),
      isValid: result === "valid",
    }))
  );
}

function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const flipped = bytes.slice();
  flipped[bit >> 3] ^= 1 << (bit & 7);
  return flipped;
}

function hex(text: string): Uint8Array {
  const bytes = decodeHex(text);
  assert(bytes, `not hex: ${text}`);
  return bytes;
}
