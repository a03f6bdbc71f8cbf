import { ok, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { IndexTable } from "./index_table.ts";

/** Deterministic random bytes: xorshift32. */
function seededRandom(seed: number): (out: Uint8Array) => void {
  let state = seed | 1;
  return (out) => {
    for (let i = 0; i < out.length; i++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      out[i] = state >>> 8;
    }
  };
}

/** Hands out the given indices one after another, then repeats the last. */
function scripted(indices: number[]): (out: Uint8Array) => void {
  let next = 0;
  return (out) => {
    const index = indices[Math.min(next++, indices.length - 1)];
    new DataView(out.buffer).setUint32(0, index, true);
  };
}

Deno.test("allocate() hands out indices that lookup() finds until release()", () => {
  const table = new IndexTable(seededRandom(1), 100);
  const index = table.allocate(42);
  ok(index >= 0 && index < 2 ** 32);
  strictEqual(table.size, 1);
  strictEqual(table.lookup(index), 42);
  strictEqual(table.lookup((index ^ 1) >>> 0), -1);
  strictEqual(table.release(index), true);
  strictEqual(table.lookup(index), -1);
  strictEqual(table.release(index), false);
  strictEqual(table.size, 0);
});

Deno.test("allocate() accepts the indices 0 and 2^32 - 1 and the value 0", () => {
  const table = new IndexTable(scripted([0, 2 ** 32 - 1]), 4);
  strictEqual(table.lookup(0), -1);
  strictEqual(table.allocate(0), 0);
  strictEqual(table.allocate(2 ** 32 - 2), 2 ** 32 - 1);
  strictEqual(table.lookup(0), 0);
  strictEqual(table.lookup(2 ** 32 - 1), 2 ** 32 - 2);
  strictEqual(table.lookup(-1), 2 ** 32 - 2);
  strictEqual(table.release(0), true);
  strictEqual(table.lookup(0), -1);
});

Deno.test("allocate() draws again for an index in use and gives up on a stuck generator", () => {
  const table = new IndexTable(scripted([7, 7, 7, 9, 9]), 8);
  strictEqual(table.allocate(1), 7);
  strictEqual(table.allocate(2), 9);
  strictEqual(table.allocate(3), -1);
  strictEqual(table.size, 2);
  strictEqual(table.lookup(7), 1);
});

Deno.test("allocate() returns -1 when the table is full", () => {
  const table = new IndexTable(seededRandom(2), 5);
  const indices = [10, 11, 12, 13, 14].map((value) => table.allocate(value));
  strictEqual(table.allocate(15), -1);
  strictEqual(table.size, 5);
  table.release(indices[2]);
  ok(table.allocate(16) >= 0);
});

Deno.test("set() points an index elsewhere and refuses an unknown one", () => {
  const table = new IndexTable(scripted([5]), 4);
  table.allocate(1);
  table.set(5, 2);
  strictEqual(table.lookup(5), 2);
  throws(() => table.set(6, 2), RangeError);
  throws(() => table.set(5, -1), RangeError);
});

Deno.test("release() keeps colliding indices reachable, also around the end of the table", () => {
  // Capacity 8 makes 16 places: all these indices want the last two.
  const indices = [15, 31, 47, 14, 63, 30];
  for (const gone of indices) {
    const table = new IndexTable(scripted(indices), 8);
    indices.forEach((_, value) => table.allocate(value));
    strictEqual(table.release(gone), true);
    indices.forEach((index, value) => strictEqual(table.lookup(index), index === gone ? -1 : value));
  }
});

Deno.test("IndexTable agrees with a Map through random operations", () => {
  const operation = fc.tuple(fc.constantFrom("allocate", "release", "set", "lookup"), fc.nat(63));
  const property = fc.property(fc.array(operation, { maxLength: 300, size: "max" }), (operations) => {
    // Few distinct indices, crowded into few places.
    const twin = new Map<number, number>();
    let draw = 0;
    const table = new IndexTable((out) => new DataView(out.buffer).setUint32(0, draw, true), 16);
    for (const [operation, number] of operations) {
      const index = (number & 7) * 32 + (number >>> 3) * 5;
      if (operation === "allocate") {
        draw = index;
        const expected = twin.has(index) || twin.size === 16 ? -1 : index;
        strictEqual(table.allocate(number), expected);
        if (expected !== -1) twin.set(index, number);
      } else if (operation === "release") {
        strictEqual(table.release(index), twin.delete(index));
      } else if (operation === "set" && twin.has(index)) {
        table.set(index, number + 1);
        twin.set(index, number + 1);
      }
      strictEqual(table.size, twin.size);
      for (let n = 0; n < 64; n++) {
        const any = (n & 7) * 32 + (n >>> 3) * 5;
        strictEqual(table.lookup(any), twin.get(any) ?? -1);
      }
    }
  });
  fc.assert(property, { numRuns: 200 });
});

Deno.test("lookup() stays right through 200,000 replacements at capacity", () => {
  const table = new IndexTable(seededRandom(3), 1000);
  const indices: number[] = [];
  for (let value = 0; value < 1000; value++) indices.push(table.allocate(value));
  for (let round = 0; round < 200_000; round++) {
    const slot = round % 1000;
    strictEqual(table.release(indices[slot]), true);
    indices[slot] = table.allocate(slot);
  }
  strictEqual(new Set(indices).size, 1000);
  indices.forEach((index, value) => strictEqual(table.lookup(index), value));
  for (const index of indices) table.release(index);
  strictEqual(table.size, 0);
});
