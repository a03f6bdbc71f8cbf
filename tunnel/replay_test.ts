import { deepStrictEqual, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { ReferenceReplay } from "../tests/reference/replay.ts";
import { REPLAY_WORDS, ReplayWindows } from "./replay.ts";

interface Scenario {
  name: string;
  counters: string[];
  accept: boolean[];
}

function accept(windows: ReplayWindows, counter: bigint, slot = 0): boolean {
  return windows.accept(slot, Number(counter & 0xffffffffn), Number(counter >> 32n));
}

function oneWindow(): ReplayWindows {
  return new ReplayWindows(new Uint32Array(REPLAY_WORDS));
}

Deno.test("accept() answers as every scenario of the vectors says", () => {
  const file = new URL("../tests/vectors/replay_window_scenarios.json", import.meta.url);
  const scenarios: Scenario[] = JSON.parse(Deno.readTextFileSync(file)).scenarios;
  strictEqual(scenarios.length, 13);
  for (const { name, counters, accept: expected } of scenarios) {
    const windows = oneWindow();
    const answers = counters.map((counter) => accept(windows, BigInt(counter)));
    deepStrictEqual(answers, expected, name);
  }
});

// After the description of the Linux counter self-test in tests/vectors/kernel-selftests.md.
const W = 8128n;
const L = W + 1n;
const M = 2n ** 64n - 2n ** 13n - 1n;

Deno.test("accept() answers as the Linux self-test's ordered list", () => {
  const list: [bigint, boolean][] = [
    [0n, true],
    [1n, true],
    [1n, false],
    [9n, true],
    [8n, true],
    [7n, true],
    [7n, false],
    [L, true],
    [L - 1n, true],
    [L - 1n, false],
    [L - 2n, true],
    [2n, true],
    [2n, false],
    [L + 16n, true],
    [3n, false],
    [L + 16n, false],
    [4n * L, true],
    [4n * L - (L - 1n), true],
    [10n, false],
    [4n * L - L, false],
    [4n * L - (L + 1n), false],
    [4n * L - (L - 2n), true],
    [4n * L + 1n - L, false],
    [0n, false],
    [M, false],
    [M - 1n, true],
    [M, false],
    [M - 1n, false],
    [M - 2n, true],
    [M + 1n, false],
    [M + 2n, false],
    [M - 2n, false],
    [M - 3n, true],
    [0n, false],
  ];
  const windows = oneWindow();
  list.forEach(([counter, expected], step) => strictEqual(accept(windows, counter), expected, `step ${step}`));
});

/** Counters from `from` to `to`, both included, upward or downward. */
function range(from: bigint, to: bigint): bigint[] {
  const step = from <= to ? 1n : -1n;
  const counters: bigint[] = [];
  for (let counter = from; counter !== to + step; counter += step) counters.push(counter);
  return counters;
}

// The description says W+1 down to 0 and W+2 down to 1; but W+1 behind is outside, so these runs end one earlier.
Deno.test("accept() takes whole windows upward and downward, as in the Linux self-test", () => {
  const runs: [string, bigint[], [bigint, boolean][]][] = [
    ["1..W upward", range(1n, W), [[0n, true], [0n, false]]],
    ["2..W+1 upward", range(2n, W + 1n), [[1n, true], [0n, false]]],
    ["W+1..1 downward", range(W + 1n, 1n), [[0n, false]]],
    ["W..0 downward", range(W, 0n), [[0n, false]]],
    ["W+2..2 downward", range(W + 2n, 2n), [[1n, false], [0n, false]]],
    ["W..1 downward, then ahead", range(W, 1n), [[W + 1n, true], [0n, false]]],
    ["W..1 downward, then back", range(W, 1n), [[0n, true], [W + 1n, true]]],
  ];
  for (const [name, counters, after] of runs) {
    const windows = oneWindow();
    for (const counter of counters) strictEqual(accept(windows, counter), true, `${name}: ${counter}`);
    for (const [counter, expected] of after) strictEqual(accept(windows, counter), expected, `${name}: ${counter}`);
  }
});

Deno.test("accept() agrees with a set of all counters on random walks over the full 64 bits", () => {
  const starts = [0n, 2n ** 32n - 9000n, 2n ** 53n - 9000n, 2n ** 63n, M - 20_000n];
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.constant(1n) },
    { weight: 2, arbitrary: fc.bigInt(-2n, 70n) },
    { weight: 3, arbitrary: fc.bigInt(-8200n, 0n) },
    { weight: 1, arbitrary: fc.bigInt(8000n, 8500n) },
    { weight: 1, arbitrary: fc.bigInt(-(2n ** 40n), 2n ** 40n) },
  );
  const walks = fc.tuple(fc.constantFrom(...starts), fc.array(step, { maxLength: 400, size: "max" }));
  const property = fc.property(walks, ([start, steps]) => {
    const windows = oneWindow();
    const twin = new ReferenceReplay();
    let counter = start;
    for (const offset of steps) {
      counter = (counter + offset) & (2n ** 64n - 1n);
      strictEqual(accept(windows, counter), twin.accept(counter), `counter ${counter}`);
    }
  });
  fc.assert(property, { numRuns: 300 });
});

Deno.test("accept() takes the halves of a counter as signed numbers too", () => {
  const windows = oneWindow();
  strictEqual(windows.accept(0, -1, 0), true);
  strictEqual(windows.accept(0, 2 ** 32 - 1, 0), false);
  strictEqual(windows.accept(0, 0, -(2 ** 31)), true);
  strictEqual(windows.accept(0, 0, 2 ** 31), false);
  strictEqual(windows.accept(0, -1, -1), false);
});

Deno.test("reset() forgets one slot and leaves its neighbours", () => {
  const windows = new ReplayWindows(new Uint32Array(3 * REPLAY_WORDS));
  for (let slot = 0; slot < 3; slot++) {
    strictEqual(accept(windows, 2n ** 40n + 5n, slot), true);
    strictEqual(accept(windows, 2n ** 40n - 8000n, slot), true);
  }
  windows.reset(1);
  strictEqual(accept(windows, 0n, 1), true);
  strictEqual(accept(windows, 2n ** 40n - 8000n, 1), true);
  for (const slot of [0, 2]) {
    strictEqual(accept(windows, 0n, slot), false);
    strictEqual(accept(windows, 2n ** 40n + 5n, slot), false);
    strictEqual(accept(windows, 2n ** 40n - 8000n, slot), false);
  }
});
