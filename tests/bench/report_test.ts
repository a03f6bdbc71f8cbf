/** The reports over one small set of results. */
import assert from "node:assert/strict";
import { drawChart } from "./chart.ts";
import { replaceSection } from "./document.ts";
import { compare, missedFloors, type Results, type Row } from "./results.ts";
import { describeRun, figure, makeTables, toMarkdown, toText } from "./table.ts";

const TCP: Row = {
  metric: { name: "tcp", label: "TCP", unit: "Mbit/s", better: "more", goal: 1.5, floor: 1.3 },
  samples: { culvert: [2800, 3000, 4200], "wireguard-go": [2000, 2000, 3000], old: [500, null, 600] },
};
const CPU: Row = {
  metric: { name: "cpu", label: "CPU", unit: "ms", better: "less", goal: 0.65, floor: 0.75 },
  samples: { culvert: [80, 80, 80], "wireguard-go": [100, 100, 100] },
};
const PEERS: Row = {
  metric: { name: "configure", label: "10,000 peers", unit: "ms", better: "less", limit: 2000 },
  samples: { culvert: [1500, null, null], "wireguard-go": [3000, null, null] },
};

function results(rows: Row[], rival: string | null = "wireguard-go"): Results {
  const machine = {
    processor: "<CPU> & co",
    cores: 2,
    memoryGigabytes: 8,
    kernel: "6.1",
    deno: "2",
    v8: "13",
    iperf: "iperf 3.12",
    v8Flags: "",
  };
  const contestants = ["culvert", "wireguard-go", "old", "absent"].map((name, i) => {
    return { name, version: "1", role: i === 0 ? "subject" : "peer" };
  });
  const rest = { pairs: 3, seconds: 5, loadBefore: 0, subject: "culvert", contestants, failures: [] };
  return { date: "2026-01-02 03:04 UTC", machine, rival, rows, ...rest };
}

Deno.test("compare() judges the median of the pairs' ratios, not the ratio of the medians", () => {
  const comparison = compare(results([TCP]), TCP, "wireguard-go");
  assert.deepEqual(comparison?.ratio, { median: 1.4, least: 1.4, most: 1.5, count: 3 });
  assert.equal(comparison?.verdict, "floor");
});

Deno.test("compare() has no verdict on others than the rival, and nothing on who was not measured", () => {
  assert.equal(compare(results([TCP]), TCP, "old")?.verdict, "");
  assert.equal(compare(results([TCP]), TCP, "old")?.ratio.count, 2);
  assert.equal(compare(results([TCP]), TCP, "absent"), null);
});

Deno.test("missedFloors() knows which way is better, and limits", () => {
  assert.deepEqual(missedFloors(results([TCP, CPU, PEERS])), ["CPU: a ratio of 0.80, floor 0.75"]);
  const tight = { ...PEERS, metric: { ...PEERS.metric, limit: 1000 } };
  assert.deepEqual(missedFloors(results([tight])), ["10,000 peers: 1500 ms, limit 1000"]);
});

Deno.test("makeTables() shows who was measured and nobody else", () => {
  const [rival, medians, ratios] = makeTables(results([TCP, CPU, PEERS]));
  assert.equal(rival.rows.length, 3);
  assert.deepEqual(rival.rows[2].slice(3), ["0.50", "–", "≤ 2,000 ms", "reached"]);
  assert.deepEqual(medians.head, ["", "culvert", "wireguard-go", "old"]);
  assert.deepEqual(medians.rows[1], ["CPU, ms", "80.0", "100", "–"]);
  assert.deepEqual(ratios.rows, [["TCP, Mbit/s", "6.30"]]);
});

Deno.test("makeTables() does without a rival", () => {
  assert.deepEqual(makeTables(results([TCP], null)).map(({ title }) => title), [
    "Medians of all",
    "Ratios, culvert divided by",
  ]);
});

Deno.test("toText() and toMarkdown() keep the columns", () => {
  const table = { title: "T", head: ["", "a|b"], rows: [["µs", "1"], ["long", "22"]] };
  assert.equal(toText(table), "T\n\n      a|b\n────  ───\nµs      1\nlong   22\n");
  assert.equal(toMarkdown(table), "T:\n\n|  | a\\|b |\n| --- | ---: |\n| µs | 1 |\n| long | 22 |\n");
});

Deno.test("figure() gives three digits or whole numbers", () => {
  assert.deepEqual([null, 0.123, 12.34, 1234.5].map(figure), ["–", "0.12", "12.3", "1,235"]);
});

Deno.test("describeRun() tells machine, versions and date", () => {
  const text = describeRun(results([])).join("\n");
  for (const part of ["2026-01-02", "<CPU> & co", "Linux 6.1", "Deno 2", "wireguard-go 1"]) {
    assert.ok(text.includes(part), `${part} is missing in ${text}`);
  }
});

Deno.test("drawChart() draws a bar for each comparison, and escapes what it is told", () => {
  const svg = drawChart(results([TCP, CPU, PEERS]));
  assert.equal(svg.match(/<rect class="win"/g)?.length, 3);
  assert.ok(svg.includes("&lt;CPU> &amp; co"));
  assert.ok(svg.includes("prefers-color-scheme: dark"));
  assert.throws(() => drawChart(results([TCP], null)), RangeError);
});

Deno.test("replaceSection() replaces what is between its own markers", () => {
  const text = "a\n<!-- x: begin, by hand -->\nold\n<!-- x: end -->\nb\n<!-- y: begin -->\n<!-- y: end -->\n";
  assert.equal(
    replaceSection(text, "x", "new\n"),
    "a\n<!-- x: begin, by hand -->\n\nnew\n\n<!-- x: end -->\nb\n<!-- y: begin -->\n<!-- y: end -->\n",
  );
  assert.throws(() => replaceSection(text, "z", "new"), Error);
});
