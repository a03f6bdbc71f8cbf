import assert from "node:assert/strict";
import { MAX_RESTARTS, PERIOD, RestartLimit } from "./restart_limit.ts";

Deno.test("RestartLimit.next() grows the pauses, and ends when there were too many in a while", () => {
  const limit = new RestartLimit();
  const pauses = Array.from({ length: MAX_RESTARTS }, (_, i) => limit.next(i));
  assert.deepEqual(pauses, [0, 250, 500, 1000, 2000]);
  assert.equal(limit.next(10), null);
  assert.equal(limit.next(PERIOD - 1), null);
  // The first one is forgotten by now, the others are not.
  assert.equal(limit.next(PERIOD), 2000);
  assert.equal(limit.next(10 * PERIOD), 0);
});
