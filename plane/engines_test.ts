import assert from "node:assert/strict";
import { type Aead, ENGINE_BYTES } from "../crypto/aead.ts";
import { testAeadConformance } from "../crypto/aead_conformance.ts";
import { createKernelAead } from "../crypto/kernel_aead.ts";
import { createNobleAead } from "../crypto/noble_aead.ts";
import { libcrypto } from "../ffi/libcrypto.ts";
import { ENGINE_NAMES } from "./choices.ts";
import type { Create } from "./engine_contest.ts";
import { createEngine, enginesBySize, fastestEngine } from "./engines.ts";

// Loaded once for the thread and never closed: not the leak of one test.
libcrypto();

testAeadConformance("engines chosen by size", (memory) => {
  const [kernel, noble] = [createKernelAead(memory)!, createNobleAead(memory)];
  return enginesBySize([kernel, noble, kernel, noble]);
});

Deno.test("createEngine() makes every engine of this host, and what one seals another opens", () => {
  const memory = memoryOf(3);
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
  assert.throws(() => createEngine("enigma", memoryOf(1), assert.fail), RangeError);
});

Deno.test("fastestEngine() takes an experimental kernel that is faster, and not one that fails its self-test", () => {
  const kernel: Create = (memory) => createKernelAead(memory)!;
  const wide = (isRight: boolean): Create => (memory) => {
    const engine = createKernelAead(memory)!;
    // Faster at a full packet without the last of its work, which is only noticed by looking.
    const seal: Aead["seal"] = (key, low, high, dst, src, length) => {
      if (isRight || length !== 449) engine.seal(key, low, high, dst, src, length);
    };
    return { name: "wide", seal, open: engine.open };
  };
  const slow: Create = (memory) => {
    const engine = createKernelAead(memory)!;
    const seal: Aead["seal"] = (...packet) => {
      for (let i = 0; i < 4; i++) engine.seal(...packet);
    };
    return { name: "slow", seal, open: engine.open };
  };
  const lines: string[] = [];
  const choose = (kernel: Create, wide: Create): string => {
    const engines = new Map([["kernel", kernel], ["kernel-wide", wide]]);
    return fastestEngine(memoryOf(1), engines, (line) => lines.push(line)).name;
  };
  assert.equal(choose(slow, wide(true)), "wide");
  assert.equal(choose(kernel, slow), "kernel-relaxed");
  assert.deepEqual(lines, []);
  assert.equal(choose(slow, wide(false)), "slow");
  assert.deepEqual(lines, [
    "The AEAD engine kernel-wide is not used: in its self-test, a packet of 449 bytes is sealed wrongly",
  ]);
});

Deno.test("fastestEngine() is noble where there is nothing else that works", () => {
  assert.equal(fastestEngine(memoryOf(1), new Map(), assert.fail).name, "noble");
  const blind: Create = (memory) => ({ ...createKernelAead(memory)!, open: () => true });
  const lines: string[] = [];
  const engines = new Map([["kernel-wide", blind]]);
  assert.equal(fastestEngine(memoryOf(1), engines, (line) => lines.push(line)).name, "noble");
  assert.equal(lines.length, 1);
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

function memoryOf(pages: number): WebAssembly.Memory {
  return new WebAssembly.Memory({ initial: pages, maximum: pages });
}

/** Only what this host lacks may be missing. */
function engineOrNull(name: string, memory: WebAssembly.Memory): Aead | null {
  try {
    return createEngine(name, memory, assert.fail);
  } catch (error) {
    assert.ok(error instanceof Error && error.message.startsWith("Cannot use the AEAD engine"), String(error));
    assert.ok(!["auto", "noble"].includes(name));
    return null;
  }
}
