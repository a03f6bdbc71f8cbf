/** Results as text: aligned tables for the terminal, the same ones in Markdown. */
import { compare, medianOf, type Results, type Row } from "./results.ts";

export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

const VERDICTS = { goal: "reached", floor: "above the floor", missed: "MISSED", "": "" };
const NONE = "–";

/** The tables of a run: against the rival, all medians, all ratios. */
export function makeTables(results: Results): Table[] {
  const tables: Table[] = [];
  if (results.rival !== null) tables.push(rivalTable(results, results.rival));
  tables.push(medianTable(results));
  tables.push(
    ratioTable(results, measured(results).filter((name) => name !== results.subject && name !== results.rival)),
  );
  return tables.filter(({ rows }) => rows.length > 0);
}

/** Where, when and with what. */
export function describeRun({ date, machine, pairs, seconds, contestants, loadBefore }: Results): string[] {
  const { processor, cores, memoryGigabytes, kernel, deno, v8, iperf, v8Flags } = machine;
  const versions = contestants.filter(({ role }) => role === "subject" || role === "peer")
    .map(({ name, version }) => `${name}${name.includes(version.replace(/^0\.0\./, "")) ? "" : ` ${version}`}`);
  return [
    `${date}; ${processor}, ${cores} cores for both ends and iperf3, ${memoryGigabytes} GB; Linux ${kernel}`,
    `Deno ${deno}, V8 ${v8}${v8Flags === "" ? "" : ` with ${v8Flags}`}; ${iperf}; ${versions.join(", ")}`,
    `Medians of ${pairs} alternated rounds of ${seconds} s [least – most]; load before the run ${
      loadBefore.toFixed(2)
    }`,
  ];
}

export function toText({ title, head, rows }: Table): string {
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((cells) => [...cells[i]].length)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, i) => i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])).join("  ").trimEnd();
  const rule = widths.map((width) => "─".repeat(width)).join("  ");
  return [title, "", line(head), rule, ...rows.map(line), ""].join("\n");
}

export function toMarkdown({ title, head, rows }: Table): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  const rule = head.map((_, i) => i === 0 ? "---" : "---:");
  return [`${title}:`, "", line(head), line(rule), ...rows.map(line), ""].join("\n");
}

/** A figure with the precision that a measurement of this kind has. */
export function figure(value: number | null): string {
  if (value === null) return NONE;
  if (value >= 100) return Math.round(value).toLocaleString("en");
  return value.toFixed(value >= 10 ? 1 : 2);
}

function rivalTable(results: Results, rival: string): Table {
  const rows: string[][] = [];
  for (const row of results.rows) {
    const comparison = compare(results, row, rival);
    if (comparison === null) continue;
    const { own, other, ratio, verdict } = comparison;
    const spread = ratio.count < 2 ? NONE : `${ratio.least.toFixed(2)} – ${ratio.most.toFixed(2)}`;
    const cells = [labelOf(row), withSpread(own), withSpread(other), ratio.median.toFixed(2), spread];
    rows.push([...cells, aim(row), VERDICTS[verdict]]);
  }
  const head = ["", results.subject, rival, "ratio", "least – most", "goal (floor)", ""];
  return { title: `${results.subject} against the newest wireguard-go found`, head, rows };
}

function medianTable(results: Results): Table {
  const names = measured(results);
  const rows = results.rows.map((row) => [labelOf(row), ...names.map((name) => figure(medianOf(row, name)))]);
  return { title: "Medians of all", head: ["", ...names], rows };
}

function ratioTable(results: Results, names: readonly string[]): Table {
  const rows: string[][] = [];
  for (const row of results.rows) {
    const ratios = names.map((name) => compare(results, row, name)?.ratio.median ?? null);
    if (ratios.some((ratio) => ratio !== null)) rows.push([labelOf(row), ...ratios.map(ratioText)]);
  }
  return { title: `Ratios, ${results.subject} divided by`, head: ["", ...names], rows };
}

/** Contestants that any row has figures of. */
function measured({ contestants, rows }: Results): string[] {
  const names = contestants.map(({ name }) => name);
  return names.filter((name) => rows.some((row) => medianOf(row, name) !== null));
}

function ratioText(ratio: number | null): string {
  return ratio === null ? NONE : ratio.toFixed(2);
}

function withSpread(
  { median, least, most, count }: { median: number; least: number; most: number; count: number },
): string {
  return count < 2 || least === most ? figure(median) : `${figure(median)} [${figure(least)} – ${figure(most)}]`;
}

/** What the figure or the ratio should be. */
function aim({ metric: { better, goal, floor, limit, unit } }: Row): string {
  const sign = better === "more" ? "≥" : "≤";
  if (limit !== undefined) return `${sign} ${limit.toLocaleString("en")} ${unit}`;
  if (goal === undefined) return "";
  return `${sign} ${goal}${floor === goal ? "" : ` (${floor})`}`;
}

function labelOf({ metric }: Row): string {
  return `${metric.label}, ${metric.unit}`;
}
