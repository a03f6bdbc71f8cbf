import assert from "node:assert/strict";
import { formatAgo, formatBytes, formatDuration } from "./wg_amounts.ts";
import { wantsColors, withoutColors } from "./wg_colors.ts";

Deno.test("formatDuration() skips what is zero and knows one from many", () => {
  const cases: [number, string][] = [
    [0, ""],
    [1, "1 second"],
    [60, "1 minute"],
    [3661, "1 hour, 1 minute, 1 second"],
    [86_402, "1 day, 2 seconds"],
    [2 * 31_536_000 + 3 * 86_400, "2 years, 3 days"],
  ];
  for (const [seconds, text] of cases) assert.equal(withoutColors(formatDuration(seconds)), text);
  assert.equal(formatDuration(5), "5 \x1b[36mseconds\x1b[0m");
});

Deno.test("formatAgo() tells of now, the past, and a clock that was set back", () => {
  assert.equal(formatAgo(100, 100), "Now");
  assert.equal(withoutColors(formatAgo(100, 161)), "1 minute, 1 second ago");
  assert.equal(
    withoutColors(formatAgo(101, 100)),
    "(System clock wound backward; connection problems may ensue.)",
  );
});

Deno.test("formatBytes() rounds halves to the even side, as C does", () => {
  const cases: [number, string][] = [
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1.00 KiB"],
    [1152, "1.12 KiB"],
    [1408, "1.38 KiB"],
    [2 ** 20 - 1, "1024.00 KiB"],
    [5 * 2 ** 30, "5.00 GiB"],
    [2 ** 52, "4096.00 TiB"],
  ];
  for (const [bytes, text] of cases) assert.equal(withoutColors(formatBytes(bytes)), text);
});

Deno.test("wantsColors() follows WG_COLOR_MODE, then the terminal and NO_COLOR", () => {
  const table: [Record<string, string>, boolean, boolean][] = [
    [{}, true, true],
    [{}, false, false],
    [{ WG_COLOR_MODE: "always", NO_COLOR: "1" }, false, true],
    [{ WG_COLOR_MODE: "never" }, true, false],
    [{ WG_COLOR_MODE: "auto" }, true, true],
    [{ NO_COLOR: "1" }, true, false],
    [{ NO_COLOR: "" }, true, true],
  ];
  for (const [environment, isTerminal, colors] of table) {
    assert.equal(wantsColors((name) => environment[name], isTerminal), colors, JSON.stringify(environment));
  }
});
