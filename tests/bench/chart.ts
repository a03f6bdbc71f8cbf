/**
 * The ratios as a drawing: a bar for each metric from 1, where both are equal, to culvert's ratio on a logarithmic
 * scale, a whisker from the least to the greatest pair, and a tick at the goal. Colours follow the reader's theme.
 */
import { compare, type Comparison, type Results, type Row } from "./results.ts";
import { figure } from "./table.ts";

const WIDTH = 860;
const ROW = 26;
const LABELS = 250;
const PLOT = 330;
const PLOT_END = LABELS + PLOT;
const FIGURES = PLOT_END + 16;
const HEAD = 92;
const FOOT = 34;
const BAR = 12;

/** Ratios drawn at the left and at the right edge at least; gridlines in between. */
const LEAST = 0.5;
const MOST = 4;
const GRID = [0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32];

const STYLE = `
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-size: 17px; font-weight: 600; }
.faint { fill: #59636e; font-size: 12px; }
.grid { stroke: #d1d9e0; }
.one { stroke: #59636e; stroke-width: 1.5; }
.win { fill: #2da44e; }
.loss { fill: #bf8700; }
.spread { stroke: #1f2328; stroke-width: 1.2; fill: none; }
.goal { stroke: #8250df; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .faint { fill: #9198a1; }
  .grid { stroke: #3d444d; }
  .one { stroke: #9198a1; }
  .win { fill: #3fb950; }
  .loss { fill: #d29922; }
  .spread { stroke: #f0f6fc; }
  .goal { stroke: #ab7df8; }
}`;

interface Drawn {
  readonly row: Row;
  readonly comparison: Comparison;
}

type Scale = (ratio: number) => number;

/** An SVG document. @throws RangeError if there is nothing to compare with */
export function drawChart(results: Results): string {
  const { rival } = results;
  if (rival === null) throw new RangeError("Cannot draw ratios without somebody to compare with");
  const drawn: Drawn[] = [];
  for (const row of results.rows) {
    const comparison = compare(results, row, rival);
    // A percentage of one's own other figure is no race.
    if (comparison !== null && row.metric.unit !== "%") drawn.push({ row, comparison });
  }
  const more = drawn.filter(({ row }) => row.metric.better === "more");
  const less = drawn.filter(({ row }) => row.metric.better === "less");
  const scale = makeScale(drawn);
  const parts: string[] = [];
  let y = HEAD;
  for (const [title, group] of [["More is better", more], ["Less is better", less]] as const) {
    if (group.length === 0) continue;
    parts.push(text(LABELS - 12, y, title, "faint", "end"), ...grid(scale, y - 12, group.length));
    y += ROW - 8;
    for (const one of group) parts.push(...bar(one, scale, y + (group.indexOf(one) * ROW)));
    y += group.length * ROW + ROW;
  }
  const height = y + FOOT - ROW;
  const title = `${results.subject} against ${rival}`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${
      escape(title)
    }">`,
    `<style>${STYLE}</style>`,
    text(20, 32, title, "title"),
    text(20, 54, "Ratio of medians, pair by pair; whiskers: least and greatest pair; violet: the goal", "faint"),
    ...parts,
    text(20, height - 12, `${results.date} · ${results.machine.processor} · ${results.machine.cores} cores`, "faint"),
    "</svg>",
    "",
  ].join("\n");
}

/** Logarithmic, so that half and twice are equally far from 1. */
function makeScale(drawn: readonly Drawn[]): Scale {
  const ratios = drawn.flatMap(({ row, comparison: { ratio } }) => [ratio.least, ratio.most, row.metric.goal ?? 1]);
  const positive = ratios.filter((ratio) => ratio > 0);
  const least = Math.log(Math.min(LEAST, ...positive));
  const most = Math.log(Math.max(MOST, ...positive));
  return (ratio) => LABELS + PLOT * (Math.log(Math.max(ratio, Math.exp(least))) - least) / (most - least);
}

function grid(scale: Scale, y: number, rows: number): string[] {
  const parts: string[] = [];
  for (const ratio of GRID) {
    const x = scale(ratio);
    if (x < LABELS - 0.5 || x > PLOT_END + 0.5) continue;
    parts.push(line(x, y + 16, x, y + 16 + rows * ROW, ratio === 1 ? "one" : "grid"));
    // The left edge is the place of the heading.
    if (x < LABELS + 14) continue;
    parts.push(text(x, y + 12, `${ratio}×`, "faint", "middle"));
  }
  return parts;
}

function bar({ row, comparison: { own, other, ratio } }: Drawn, scale: Scale, y: number): string[] {
  const { better, goal, label, unit } = row.metric;
  const middle = y + ROW / 2;
  const [one, end] = [scale(1), scale(ratio.median)];
  const wins = better === "more" ? ratio.median >= 1 : ratio.median <= 1;
  const width = Math.max(Math.abs(end - one), 1).toFixed(1);
  const parts = [
    text(LABELS - 12, middle + 4, label, "", "end"),
    `<rect class="${wins ? "win" : "loss"}" x="${Math.min(one, end).toFixed(1)}" y="${middle - BAR / 2}" ` +
    `width="${width}" height="${BAR}" rx="2"/>`,
    line(scale(ratio.least), middle, scale(ratio.most), middle, "spread"),
    text(FIGURES, middle + 4, `${ratio.median.toFixed(2)}×`),
    text(FIGURES + 58, middle + 4, `${figure(own.median)} : ${figure(other.median)} ${unit}`, "faint"),
  ];
  if (goal !== undefined) parts.push(line(scale(goal), middle - 9, scale(goal), middle + 9, "goal"));
  return parts;
}

function line(x1: number, y1: number, x2: number, y2: number, style: string): string {
  const [a, b, c, d] = [x1, y1, x2, y2].map((value) => value.toFixed(1));
  return `<line class="${style}" x1="${a}" y1="${b}" x2="${c}" y2="${d}"/>`;
}

function text(x: number, y: number, content: string, style = "", anchor = "start"): string {
  const attributes = `${style === "" ? "" : ` class="${style}"`}${
    anchor === "start" ? "" : ` text-anchor="${anchor}"`
  }`;
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${attributes}>${escape(content)}</text>`;
}

function escape(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
