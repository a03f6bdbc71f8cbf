import assert from "node:assert/strict";
import { PublicKeys } from "./public_keys.ts";

const CAPACITY = 64;

function key(number: number): Uint8Array {
  // Keys that differ late: what decides must be all of them, not their first bytes.
  const bytes = new Uint8Array(32).fill(7);
  bytes[31] = number;
  bytes[27] = number >>> 8;
  return bytes;
}

Deno.test("PublicKeys agrees with a Map through 20,000 random changes", () => {
  const keys = new PublicKeys(CAPACITY);
  const twin = new Map<number, number>();
  let state = 7;
  const random = (below: number): number => (state = (state * 48_271) % 0x7fff_ffff) % below;
  let most = 0;
  for (let i = 0; i < 20_000; i++) {
    const number = random(300);
    const slot = twin.get(number);
    assert.equal(keys.find(key(number)), slot ?? -1);
    if (slot !== undefined) {
      assert.deepEqual(keys.at(slot), key(number));
      keys.remove(slot);
      twin.delete(number);
    } else if (twin.size < CAPACITY) {
      const used = new Set(twin.values());
      let free = random(CAPACITY);
      while (used.has(free)) free = (free + 1) % CAPACITY;
      keys.add(free, key(number));
      twin.set(number, free);
    }
    most = Math.max(most, twin.size);
    assert.equal(keys.size, twin.size);
    if (i % 100 === 0) assert.deepEqual([...keys.slots()], [...twin.values()].sort((a, b) => a - b));
  }
  assert.equal(most, CAPACITY);
});

Deno.test("PublicKeys.add() refuses a slot that is in use", () => {
  const keys = new PublicKeys(2);
  keys.add(1, key(1));
  assert.throws(() => keys.add(1, key(2)), RangeError);
  assert.equal(keys.has(0), false);
  assert.equal(keys.find(key(2)), -1);
});
