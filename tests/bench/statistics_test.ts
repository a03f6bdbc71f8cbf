import assert from "node:assert/strict";
import { pairRatios, summarise } from "./statistics.ts";

Deno.test("summarise() takes the middle sample, or the mean of the two in the middle", () => {
  assert.deepEqual(summarise([5, 1, 3]), { median: 3, least: 1, most: 5, count: 3 });
  assert.deepEqual(summarise([4, 1, 2, 9]), { median: 3, least: 1, most: 9, count: 4 });
});

Deno.test("summarise() leaves out failed rounds, and has nothing to say about none", () => {
  assert.deepEqual(summarise([null, 7, null]), { median: 7, least: 7, most: 7, count: 1 });
  assert.equal(summarise([null]), null);
  assert.equal(summarise([]), null);
});

Deno.test("pairRatios() divides round by round", () => {
  assert.deepEqual(pairRatios([2, 9, 4], [1, 3, 8]), [2, 3, 0.5]);
});

Deno.test("pairRatios() has no ratio for a round that one of both did not complete", () => {
  assert.deepEqual(pairRatios([2, null, 4, 5], [null, 3, 0]), [null, null, null, null]);
});
