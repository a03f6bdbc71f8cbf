import assert from "node:assert/strict";
import { parseKey } from "./pubkey.ts";

const KEY = "4BvDD1LU0hWTyZ9UqnNDsZvdPUDOTj7+tSIqeCLGpU0=";

Deno.test("parseKey() ignores white space and zero bytes behind the key", () => {
  for (const tail of ["", "\n", "\r\n", " \t\v\f\0\n"]) assert.equal(parseKey(bytes(KEY + tail)).length, 32);
});

Deno.test("parseKey() refuses a key of another length or form", () => {
  const bad = ["", KEY.slice(1), ` ${KEY}`, KEY.replace("0=", "1="), KEY.replace("=", "A"), KEY.replace("B", "*")];
  for (const text of bad) {
    assert.throws(() => parseKey(bytes(text)), {
      name: "OperatorError",
      message: "Key is not the correct length or format",
    });
  }
});

Deno.test("parseKey() refuses anything else behind the key", () => {
  assert.throws(() => parseKey(bytes(`${KEY}\nx`)), { message: "Trailing characters found after key" });
});

Deno.test("parseKey() never repeats what it was given", () => {
  assert.throws(() => parseKey(bytes(`${KEY.slice(0, 43)}!`)), (error) => !String(error).includes(KEY.slice(0, 8)));
});

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
