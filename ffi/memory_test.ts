import assert from "node:assert/strict";
import "./testing.ts";
import { close, pipe } from "./file.ts";
import { libc } from "./libc.ts";
import { Address, addressOf, cString, writePointer } from "./memory.ts";
import { IOVEC_BASE, IOVEC_BYTES, IOVEC_LENGTH } from "./socket.ts";

Deno.test("addressOf() follows the view's offset, also in a WebAssembly memory", () => {
  const memory = new Uint8Array(new WebAssembly.Memory({ initial: 1, maximum: 1 }).buffer);
  assert.equal(addressOf(memory.subarray(100)) - addressOf(memory), 100n);
});

Deno.test("addressOf() of a small buffer is stable", () => {
  const small = new Uint8Array(4);
  const first = addressOf(small);
  for (let i = 0; i < 1000; i++) new Uint8Array(10_000);
  assert.equal(addressOf(small), first);
});

Deno.test("Address.at() adds beyond 32 bits", () => {
  const memory = new Uint8Array(64);
  const address = new Address(memory);
  const base = addressOf(memory);
  for (const offset of [0, 1, 63, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
    assert.equal(address.at(offset), base + BigInt(offset));
  }
  assert.equal(address.at(5), base + 5n, "the high word must come back");
});

Deno.test("Address.write() writes what at() returns", () => {
  const address = new Address(new Uint8Array(64));
  const view = new DataView(new ArrayBuffer(16));
  for (const offset of [0, 17, 0xffff_ffff]) {
    address.write(view, 8, offset);
    assert.equal(view.getBigUint64(8, true), address.at(offset));
  }
});

Deno.test("Address points system calls into a memory", () => {
  const memory = new Uint8Array(new WebAssembly.Memory({ initial: 1, maximum: 1 }).buffer);
  memory.set([1, 2, 3, 4], 1000);
  const address = new Address(memory);
  const { readFd, writeFd } = pipe();
  try {
    assert.equal(libc().writeAt(writeFd, address.at(1000), 4), 4);
    const iovec = new Uint8Array(IOVEC_BYTES);
    const view = new DataView(iovec.buffer);
    writePointer(view, IOVEC_BASE, address.at(2000));
    view.setBigUint64(IOVEC_LENGTH, 4n, true);
    assert.equal(libc().readv(readFd, iovec, 1), 4);
    assert.deepEqual(memory.slice(2000, 2005), Uint8Array.of(1, 2, 3, 4, 0));
  } finally {
    close(readFd);
    close(writeFd);
  }
});

Deno.test("cString() ends with NUL and refuses one inside", () => {
  assert.deepEqual(cString("aé"), Uint8Array.of(0x61, 0xc3, 0xa9, 0));
  assert.throws(() => cString("a\0b"), TypeError);
});
