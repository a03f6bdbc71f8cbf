import assert from "node:assert/strict";
import { testAeadConformance } from "../crypto/aead_conformance.ts";
import { libcrypto, openLibcrypto } from "../ffi/libcrypto.ts";
import { createNativeAead } from "./native_aead.ts";

if (libcrypto() === null) {
  Deno.test({ name: "native (no libcrypto on this host)", ignore: true, fn: () => {} });
} else {
  testAeadConformance("native", (memory) => createNativeAead(memory)!);
}

Deno.test("createNativeAead() is null without a libcrypto", () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  assert.equal(createNativeAead(memory, openLibcrypto(["libcrypto-of-nobody.so.0"])), null);
});
