import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { compareTai64n, writeTai64n } from "./tai64n.ts";

interface Vectors {
  encode: { unix_seconds: number; nanoseconds: number; tai64n_exact: string; tai64n_whitened: string }[];
  order: { stored: string; new: string; accept: boolean }[];
}

const VECTORS: Vectors = JSON.parse(
  Deno.readTextFileSync(new URL("../tests/vectors/tai64n.json", import.meta.url)),
);

function stamp(unixMilliseconds: number): Uint8Array {
  const out = new Uint8Array(12);
  writeTai64n(out, 0, unixMilliseconds);
  return out;
}

Deno.test("writeTai64n() encodes as the vectors say", () => {
  strictEqual(VECTORS.encode.length, 6);
  for (const { unix_seconds, nanoseconds, tai64n_exact, tai64n_whitened } of VECTORS.encode) {
    // A number of milliseconds cannot hold the last nanoseconds of a second; do not let it round up to the next one.
    const milliseconds = Math.min(unix_seconds * 1000 + nanoseconds / 1e6, unix_seconds * 1000 + 999.999);
    strictEqual(Buffer.from(stamp(milliseconds)).toString("hex"), tai64n_whitened);
    strictEqual(tai64n_exact.slice(0, 18), tai64n_whitened.slice(0, 18));
  }
});

Deno.test("writeTai64n() writes 12 bytes at the offset and nothing else", () => {
  const out = new Uint8Array(20).fill(0xaa);
  writeTai64n(out, 4, 0);
  strictEqual(Buffer.from(out).toString("hex"), "aaaaaaaa400000000000000a00000000aaaaaaaa");
});

Deno.test("writeTai64n() copes with clocks before 1970 and far ahead", () => {
  strictEqual(Buffer.from(stamp(-10_000)).toString("hex"), "400000000000000000000000");
  strictEqual(Buffer.from(stamp(-10_500)).toString("hex"), "3fffffffffffffff1d000000");
  strictEqual(Buffer.from(stamp(8.64e15)).toString("hex"), "400007dba821800a00000000");
});

Deno.test("writeTai64n() writes equal stamps within a step of 16.7 ms and greater ones 20 ms apart", () => {
  const base = 1_700_000_000_000;
  for (const later of [0, 0.00001, 0.001, 1, 10, 16]) deepStrictEqual(stamp(base + later), stamp(base));
  ok(compareTai64n(stamp(base + 16.8), stamp(base)) > 0);
  const property = fc.property(fc.nat(2 ** 42), (milliseconds) => {
    ok(compareTai64n(stamp(milliseconds + 20), stamp(milliseconds)) > 0);
    ok(compareTai64n(stamp(milliseconds + 1), stamp(milliseconds)) >= 0);
    strictEqual(Buffer.from(stamp(milliseconds)).readBigUInt64BE(), 2n ** 62n + 10n + BigInt(milliseconds) / 1000n);
  });
  fc.assert(property, { numRuns: 1000 });
});

Deno.test("compareTai64n() orders as the vectors say", () => {
  strictEqual(VECTORS.order.length, 6);
  for (const { stored, new: received, accept } of VECTORS.order) {
    const [a, b] = [Buffer.from(received, "hex"), Buffer.from(stored, "hex")];
    strictEqual(compareTai64n(a, b) > 0, accept);
    strictEqual(Math.sign(compareTai64n(a, b)), a.compare(b));
    strictEqual(Math.sign(compareTai64n(b, a)), b.compare(a));
  }
});
