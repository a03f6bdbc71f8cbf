import assert from "node:assert/strict";
import { type Aead, ENGINE_BYTES } from "./aead.ts";
import { faultOfAead, SELF_TEST_BYTES } from "./aead_self_test.ts";
import { createKernelAead, type KernelAead } from "./kernel_aead.ts";
import { createNobleAead } from "./noble_aead.ts";

const AT = ENGINE_BYTES + 3;
const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
const bytes = new Uint8Array(memory.buffer);
const kernel = createKernelAead(memory)!;

/** The kernel with one function replaced. */
function faulty(change: Partial<KernelAead>): Aead {
  return { ...kernel, ...change };
}

Deno.test("faultOfAead() takes noble, whose the answers are, and the kernel", () => {
  assert.equal(faultOfAead(createNobleAead(memory), memory, AT), null);
  assert.equal(faultOfAead(kernel, memory, AT), null);
});

Deno.test("faultOfAead() keeps to its bytes", () => {
  bytes.fill(0xb7);
  const engine = createKernelAead(memory)!;
  assert.equal(faultOfAead(engine, memory, AT), null);
  const outside = [...bytes.subarray(ENGINE_BYTES, AT), ...bytes.subarray(AT + SELF_TEST_BYTES)];
  assert.ok(outside.length > 0 && outside.every((byte) => byte === 0xb7));
});

Deno.test("faultOfAead() finds one wrong bit in one length, sealed alone or in a row", () => {
  for (const length of [0, 1, 15, 16, 191, 193, 448, 449, 512, 1420, 9000]) {
    const spoil: (seal: Aead["seal"], at: (dst: number) => number) => Aead["seal"] = (seal, at) => {
      return (key, low, high, dst, src, size) => {
        seal(key, low, high, dst, src, size);
        if (size === length) bytes[at(dst)] ^= 0x80;
      };
    };
    const tag = faulty({ seal: spoil(kernel.seal, (dst) => dst + length + length % 16) });
    assert.equal(faultOfAead(tag, memory, AT), `a packet of ${length} bytes is sealed wrongly`);
    const row = faulty({ sealPush: spoil(kernel.seal, (dst) => dst + length + 15) });
    assert.equal(faultOfAead(row, memory, AT), `in a row, a packet of ${length} bytes is sealed wrongly`);
    if (length === 0) continue;
    // With the right tag: the ciphertext that was authenticated is not the one in memory.
    const text = faulty({ sealPush: spoil(kernel.seal, (dst) => dst + length - 1) });
    assert.equal(faultOfAead(text, memory, AT), `a packet of ${length} bytes is refused`);
  }
});

Deno.test("faultOfAead() finds an engine that takes, shows or spoils what it should not", () => {
  const careless = faulty({ open: (...packet) => kernel.open(...packet) || true });
  assert.equal(faultOfAead(careless, memory, AT), "a forged packet of 0 bytes is taken");
  const talkative = faulty({
    open: (key, low, high, dst, src, length) => {
      const isOpen = kernel.open(key, low, high, dst, src, length);
      if (!isOpen && length === 512) bytes[dst + 511] = 1;
      return isOpen;
    },
  });
  assert.equal(faultOfAead(talkative, memory, AT), "a forged packet of 512 bytes is shown");
  const wrong = faulty({
    open: (key, low, high, dst, src, length) => {
      const isOpen = kernel.open(key, low, high, dst, src, length);
      if (isOpen && length === 1420) bytes[dst + 700] ^= 1;
      return isOpen;
    },
  });
  assert.equal(faultOfAead(wrong, memory, AT), "a packet of 1420 bytes is opened wrongly");
  const strict = faulty({ open: () => false });
  assert.equal(faultOfAead(strict, memory, AT), "a packet of 0 bytes is refused");
});
