/** A virtual week under 100 seeds. */
import assert from "node:assert/strict";
import { realSuite } from "../../crypto/real_suite.ts";
import { cheapSuite } from "./cheap_suite.ts";
import { underSeeds } from "./seeds.ts";
import { Week, type WeekReport } from "./week.ts";

const SEEDS = 100;
/** Every 20th seed runs on the real suite, every tenth is searched for secrets. */
const REAL_EVERY = 20;
const WATCHED_EVERY = 10;

Deno.test("Device keeps every promise for a virtual week on a bad link, under 100 seeds", () => {
  const reports: WeekReport[] = [];
  underSeeds(SEEDS, (seed) => {
    const isReal = seed % REAL_EVERY === 0;
    reports.push(new Week(seed, isReal ? realSuite : cheapSuite, seed % WATCHED_EVERY === 0).run());
  });
  for (const report of reports) {
    // A week without traffic, losses, rekeys or erasures would have shown nothing.
    assert.ok(report.asked > 5_000 && report.delivered > report.asked / 2 && report.delivered < report.asked);
    assert.ok(report.initiations > 300 && report.rekeys > 10 && report.erasures > 50 && report.recoveries > 5);
  }
  assert.ok(reports.some((report) => report.quickRecoveries > 0));
});
