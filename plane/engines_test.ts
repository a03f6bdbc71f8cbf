import assert from "node:assert/strict";
import { type Aead, ENGINE_BYTES } from "../crypto/aead.ts";
import { testAeadConformance } from "../crypto/aead_conformance.ts";
import { createKernelAead } from "../crypto/kernel_aead.ts";
import { createNobleAead } from "../crypto/noble_aead.ts";
import { libcrypto } from "../ffi/libcrypto.ts";
import { ENGINE_NAMES } from "./choices.ts";
import { createEngine, enginesBySize } from "./engines.ts";

// Loaded once for the thread and never closed: not the leak of one test.
libcrypto();

testAeadConformance("engines chosen by size", (memory) => {
  const [kernel, noble] = [createKernelAead(memory)!, createNobleAead(memory)];
  return enginesBySize([kernel, noble, kernel, noble]);
});

Deno.test("createEngine() makes every engine of this host, and what one seals another opens", () => {
  const memory = new WebAssembly.Memory({ initial: 3, maximum: 3 });
  const packet = 65_536;
  new Uint8Array(memory.buffer).fill(7, ENGINE_BYTES, ENGINE_BYTES + 32);
  for (const name of ENGINE_NAMES) {
    const engine = engineOrNull(name, memory);
    if (engine === null) continue;
    engine.seal(ENGINE_BYTES, 5, 6, packet, packet, 1000);
    assert.ok(createNobleAead(memory).open(ENGINE_BYTES, 5, 6, packet, packet, 1000), name);
  }
});

Deno.test("createEngine() refuses an unknown name", () => {
  assert.throws(() => createEngine("enigma", new WebAssembly.Memory({ initial: 1, maximum: 1 })), RangeError);
});

Deno.test("enginesBySize() gives each packet to the engine of its size", () => {
  const taken: string[] = [];
  const engine = (name: string): Aead => ({
    name,
    seal: (): void => void taken.push(name),
    open: (): boolean => taken.push(name) > 0,
  });
  const mixed = enginesBySize([engine("a"), engine("b"), engine("c"), engine("d")]);
  for (const length of [0, 64, 181, 182, 512, 852, 853, 1420, 1500, 3574, 3575, 9000, 65_535]) {
    mixed.seal(0, 0, 0, 0, 0, length);
    assert.ok(mixed.open(0, 0, 0, 0, 0, length));
  }
  assert.equal(taken.filter((_, i) => i % 2 === 0).join(""), "aaabbbccccddd");
  assert.equal(taken.filter((_, i) => i % 2 === 1).join(""), "aaabbbccccddd");
  const one = engine("one");
  assert.equal(enginesBySize([one, one, one, one]), one);
});

/** Only what this host lacks may be missing. */
function engineOrNull(name: string, memory: WebAssembly.Memory): Aead | null {
  try {
    return createEngine(name, memory);
  } catch (error) {
    assert.ok(error instanceof Error && error.message.startsWith("Cannot use the AEAD engine"), String(error));
    assert.ok(!["auto", "noble"].includes(name));
    return null;
  }
}
