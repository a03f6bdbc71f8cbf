import assert from "node:assert/strict";
import { OperatorError } from "./errors.ts";
import { Interruption } from "./interruption.ts";

Deno.test("Interruption holds the first signal back and tells of it", async () => {
  using interruption = new Interruption();
  // Waiting for a signal alone keeps no program running.
  const awake = setInterval(() => {}, 10);
  interruption.check();
  assert.equal(await interruption.unless(Promise.resolve(7)), 7);
  const never = interruption.unless(new Promise<never>(() => {}));
  Deno.kill(Deno.pid, "SIGHUP");
  await assert.rejects(never, { name: "OperatorError", message: "interrupted by SIGHUP" });
  assert.throws(() => interruption.check(), OperatorError);
  await assert.rejects(interruption.unless(Promise.resolve(7)), OperatorError);
  clearInterval(awake);
});

Deno.test("Interruption.unless() passes a task's own failure on", async () => {
  using interruption = new Interruption();
  await assert.rejects(interruption.unless(Promise.reject(new RangeError("no"))), RangeError);
});
