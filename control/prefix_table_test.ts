import assert from "node:assert/strict";
import fc from "fast-check";
import { PrefixTable } from "./prefix_table.ts";

type Change = readonly [kind: "give" | "remove" | "clear" | "move", prefix: number, owner: number];
const changes: fc.Arbitrary<Change[]> = fc.array(
  fc.tuple(fc.constantFrom("give", "give", "give", "remove", "clear", "move"), fc.nat(120), fc.nat(4)),
  { maxLength: 200, size: "max" },
);

/** Prefix by number: IPv4 and IPv6 ones with the same bytes, and the same address with two lengths. */
function prefix(number: number): [address: Uint8Array, cidr: number] {
  const address = new Uint8Array(number % 2 === 0 ? 4 : 16);
  address.set([10, number >> 2]);
  return [address, (number & 2) === 0 ? 16 : 24];
}

/** As the table, a list for each owner. */
function change(twin: number[][], [kind, number, owner]: Change): void {
  const holder = twin.find((list) => list.includes(number));
  if (kind === "clear") twin[owner] = [];
  if (kind === "remove" && holder !== undefined) holder.splice(holder.indexOf(number), 1);
  if (kind !== "give" || holder === twin[owner]) return;
  if (holder !== undefined) holder.splice(holder.indexOf(number), 1);
  twin[owner].push(number);
}

Deno.test("PrefixTable gives every prefix one owner and keeps each owner's order, as plain lists do", () => {
  fc.assert(fc.property(changes, (all) => {
    const table = new PrefixTable();
    const twin: number[][] = [[], [], [], [], []];
    for (const each of all) {
      const [kind, number, owner] = each;
      if (kind === "give") table.give(...prefix(number), owner);
      else if (kind === "remove") table.remove(...prefix(number));
      else if (kind === "clear") table.clear(owner);
      else {
        const copy = table.copy(owner);
        table.clear(owner);
        table.restore(owner, copy);
      }
      change(twin, each);
    }
    for (const [owner, numbers] of twin.entries()) {
      const expected = numbers.map((number) => prefix(number)).map(([address, cidr]) => ({ address, cidr }));
      assert.deepEqual([...table.list(owner)], expected);
      assert.equal(table.has(owner), numbers.length > 0);
      for (const number of numbers) assert.equal(table.owner(...prefix(number)), owner);
    }
    assert.equal(table.size, twin.flat().length);
  }));
});

Deno.test("PrefixTable needs at most 100 bytes for each of 100,000 prefixes", () => {
  const table = new PrefixTable();
  for (let i = 0; i < 100_000; i++) table.give(Uint8Array.of(10, i >> 16, i >> 8, i), 32, i % 10_000);
  assert.equal(table.size, 100_000);
  assert.ok(table.bytes / table.size < 100, `${table.bytes / table.size} bytes`);
});
