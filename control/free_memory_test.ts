import assert from "node:assert/strict";
import { libc } from "../ffi/libc.ts";
import { releaseFreeMemory } from "./free_memory.ts";

const ignore = Deno.build.os !== "linux" || libc().malloc_trim === null;

Deno.test({
  name: "releaseFreeMemory() gives back what was freed between what stays",
  ignore,
  fn: () => {
    // Pieces below the size that the library maps apart; every hundredth stays and pins what lies below it.
    const pieces = Array.from({ length: 2_000 }, () => new Uint8Array(16 * 1024).fill(1));
    const kept = pieces.filter((_, i) => i % 100 === 99);
    for (const [i, piece] of pieces.entries()) if (i % 100 !== 99) piece.buffer.transfer(0);
    const before = Deno.memoryUsage().rss;
    releaseFreeMemory();
    const released = before - Deno.memoryUsage().rss;
    assert.ok(released > 16 << 20, `${released} bytes were given back`);
    assert.ok(kept.every((piece) => piece.every((byte) => byte === 1)));
  },
});
