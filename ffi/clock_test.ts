import assert from "node:assert/strict";
import "./testing.ts";
import { bootMilliseconds, wallMilliseconds } from "./clock.ts";
import { readTextFile } from "./file.ts";

Deno.test("bootMilliseconds() agrees with /proc/uptime", () => {
  const before = bootMilliseconds();
  const uptime = 1000 * Number(readTextFile("/proc/uptime").split(" ")[0]);
  // uptime has two decimals, cut off.
  assert.ok(uptime > before - 20 && uptime < bootMilliseconds() + 20, `${before} ${uptime}`);
});

Deno.test("bootMilliseconds() never goes back and has fractions", () => {
  let last = bootMilliseconds();
  let fractions = 0;
  for (let i = 0; i < 10_000; i++) {
    const now = bootMilliseconds();
    assert.ok(now >= last);
    if (now !== Math.floor(now)) fractions++;
    last = now;
  }
  assert.ok(fractions > 9_000);
});

Deno.test("wallMilliseconds() agrees with Date.now()", () => {
  const before = Date.now();
  const now = wallMilliseconds();
  assert.ok(now >= before && now <= Date.now() + 1, `${before} ${now}`);
});
