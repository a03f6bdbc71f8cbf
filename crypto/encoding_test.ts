import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { decodeHex, decodeKeyBase64, encodeBase64, encodeHex } from "./encoding.ts";

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

Deno.test("encodeHex() writes what Buffer writes", () => {
  assert.equal(encodeHex(everyByte()), Buffer.from(everyByte()).toString("hex"));
  assert.equal(encodeHex(new Uint8Array(0)), "");
});

Deno.test("decodeHex() reads either case", () => {
  assert.deepEqual(decodeHex(encodeHex(everyByte())), everyByte());
  assert.deepEqual(decodeHex(encodeHex(everyByte()).toUpperCase()), everyByte());
  assert.deepEqual(decodeHex("aBcD"), Uint8Array.of(0xab, 0xcd));
  assert.deepEqual(decodeHex(""), new Uint8Array(0));
});

Deno.test("decodeHex() refuses an odd length and every other character in either place", () => {
  for (const text of ["0", "abc", " ab", "0x"]) assert.equal(decodeHex(text), null, text);
  for (let code = 0; code < 0x1_0000; code++) {
    const character = String.fromCharCode(code);
    const isDigit = /^[0-9a-fA-F]$/.test(character);
    assert.equal(decodeHex(`0${character}`) !== null, isDigit, `low character ${code}`);
    assert.equal(decodeHex(`${character}0`) !== null, isDigit, `high character ${code}`);
  }
});

Deno.test("encodeBase64() writes what Buffer writes at every length", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
    assert.equal(encodeBase64(bytes), Buffer.from(bytes).toString("base64"));
  }));
  assert.equal(encodeBase64(everyByte()), Buffer.from(everyByte()).toString("base64"));
});

Deno.test("decodeKeyBase64() reads what encodeBase64() writes of a key", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
    assert.deepEqual(decodeKeyBase64(encodeBase64(key)), key);
  }));
});

Deno.test("decodeKeyBase64() knows exactly the 64 characters, in every place", () => {
  for (const at of [0, 1, 2, 3, 41]) {
    for (let code = 0; code < 0x1_0000; code++) {
      const character = String.fromCharCode(code);
      const text = "A".repeat(at) + character + "A".repeat(42 - at) + "=";
      const key = decodeKeyBase64(text);
      assert.equal(key !== null, BASE64.includes(character), `character ${code} at ${at}`);
      if (key !== null) assert.deepEqual(key, new Uint8Array(Buffer.from(text, "base64")));
    }
  }
});

Deno.test("decodeKeyBase64() refuses a last character with spare bits", () => {
  for (let value = 0; value < 64; value++) {
    const key = decodeKeyBase64("A".repeat(42) + BASE64[value] + "=");
    assert.equal(key !== null, value % 4 === 0, BASE64[value]);
    if (key !== null) assert.equal(key[31], value >> 2);
  }
});

Deno.test("decodeKeyBase64() refuses other lengths, paddings and spaces", () => {
  const text = encodeBase64(new Uint8Array(32).fill(7));
  const wrong = [
    "",
    "=",
    text.slice(0, -1),
    text + "=",
    text.slice(0, -2) + "==",
    text.slice(0, -1) + "A",
    ` ${text}`,
    `${text}\n`,
    ` ${text.slice(1)}`,
    text.replaceAll("=", "\uff1d"),
    encodeBase64(new Uint8Array(31)),
    encodeBase64(new Uint8Array(33)),
  ];
  assert(decodeKeyBase64(text));
  for (const each of wrong) assert.equal(decodeKeyBase64(each), null, JSON.stringify(each));
});

function everyByte(): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, i) => i);
}
