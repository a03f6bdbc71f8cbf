import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { ENGINE_BYTES } from "./aead.ts";
import { testAeadConformance } from "./aead_conformance.ts";
import { createKernelAead, KERNEL_BUILDS, type KernelAead } from "./kernel_aead.ts";
import { KERNEL_SCRATCH_BYTES } from "./kernel/layout.ts";

// The builds for experimental features of V8 are tested with their flags by tests/kernel/experimental_test.ts.
for (const build of KERNEL_BUILDS) {
  if (createKernelAead(new WebAssembly.Memory({ initial: 1, maximum: 1 }), build) !== null) {
    testAeadConformance(`kernel-${build}`, (memory) => createKernelAead(memory, build)!);
  } else {
    Deno.test({ name: `kernel-${build} (SKIPPED: needs flags of V8)`, ignore: true, fn: () => {} });
  }
}

Deno.test("kernel sum() agrees with the definition at every length and alignment", () => {
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 });
  const bytes = new Uint8Array(memory.buffer);
  const kernel = createKernelAead(memory)!;
  bytes.set(randomBytes(4000), KERNEL_SCRATCH_BYTES);
  for (let length = 0; length < 1600; length += length < 80 ? 1 : 97) {
    for (let at = KERNEL_SCRATCH_BYTES; at < KERNEL_SCRATCH_BYTES + 17; at++) {
      let sum = 0x1234_5678;
      for (let i = 0; i < length; i++) sum += i % 2 === 0 ? bytes[at + i] * 256 : bytes[at + i];
      while (sum > 0xffff) sum = Math.floor(sum / 65536) + sum % 65536;
      assert.equal(kernel.sum(at, length, 0x1234_5678), sum, `${length} bytes at ${at}`);
    }
  }
  bytes.fill(255, KERNEL_SCRATCH_BYTES, KERNEL_SCRATCH_BYTES + 65_535);
  assert.equal(kernel.sum(KERNEL_SCRATCH_BYTES, 65_534, 0), 0xffff);
});

Deno.test("kernel keeps to the bytes of an engine", () => {
  assert.ok(KERNEL_SCRATCH_BYTES <= ENGINE_BYTES);
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 });
  const bytes = new Uint8Array(memory.buffer).fill(0xb7);
  const kernel = createKernelAead(memory)!;
  for (const length of [0, 64, 300, 1420, 9000]) {
    kernel.seal(65_536, 1, 0, 70_000, 70_000, length);
    assert.ok(kernel.open(65_536, 1, 0, 70_000, 70_000, length));
  }
  assert.ok(bytes.subarray(KERNEL_SCRATCH_BYTES, 69_000).every((byte) => byte === 0xb7));
});

for (const build of KERNEL_BUILDS) {
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 });
  const kernel = createKernelAead(memory, build);
  if (kernel === null) continue;
  Deno.test(`kernel-${build} leaves nothing of a packet's key in its scratch`, () => testErasure(kernel, memory));
}

function testErasure(kernel: KernelAead, memory: WebAssembly.Memory): void {
  const bytes = new Uint8Array(memory.buffer);
  const before = bytes.slice(0, KERNEL_SCRATCH_BYTES);
  for (const length of [0, 64, 300, 700, 1420]) {
    const at = KERNEL_SCRATCH_BYTES;
    bytes.set(randomBytes(2000), at);
    kernel.seal(at, 1, 0, at + 64, at + 64, length);
    assert.ok(kernel.open(at, 1, 0, at + 64, at + 64, length));
    // The last block holds the tag, which is public.
    const after = bytes.slice(0, KERNEL_SCRATCH_BYTES);
    const tagAt = after.findIndex((byte, i) => byte !== before[i]);
    after.fill(0, tagAt, tagAt + 16);
    assert.deepEqual(after, before, `${length} bytes`);
  }
}
