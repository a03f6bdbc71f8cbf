/**
 * ChaCha20, four blocks at a time. Of V8's 15 usable vector registers twelve hold the state, but for two of words 8 to 11,
 * which wait in memory.
 */
import { ROTATE_16, ROTATE_8, stateRow } from "./layout.ts";
import { initial, type Lanes, quarterRounds, range } from "./lanes.ts";

export function fourLanes(relaxed: boolean): Lanes {
  return {
    sets: [0],
    locals: LOCALS,
    doubleRound: (poly) => doubleRound(relaxed, poly),
    end: "",
    words,
  };
}

const LOCALS = [...range(0, 8), ...range(12, 16)].map((i) => `let x${i} = ${initial(i, 0)};`).join(" ") +
  `let c = ${initial(8, 0)}, d = ${initial(9, 0)};` +
  `const m16 = v128.load(${ROTATE_16}), m8 = v128.load(${ROTATE_8});` +
  [10, 11].map((i) => `v128.store(${stateRow(i, 0)}, ${initial(i, 0)});`).join(" ");

/** Where a double round finds word `i`: in a local, words 8 to 11 in two shared ones. */
function local(i: number): string {
  return i >= 8 && i < 12 ? (i % 2 === 0 ? "c" : "d") : `x${i}`;
}

/** Columns 0, 1 use words 8, 9; columns 2, 3 then 10, 11, which stay for diagonals 0, 1; 2, 3 take 8, 9 again. */
function doubleRound(relaxed: boolean, poly: string[]): string {
  const store = (i: number): string => `v128.store(${stateRow(i, 0)}, ${local(i)});`;
  const load = (i: number): string => `${local(i)} = v128.load(${stateRow(i, 0)});`;
  const pair = (...quads: number[][]): string => quarterRounds(relaxed, quads.map((quad) => quad.map(local)));
  return `
${pair([0, 4, 8, 12], [1, 5, 9, 13])}
${store(8)} ${store(9)} ${load(10)} ${load(11)}
${poly[0] ?? ""}
${pair([2, 6, 10, 14], [3, 7, 11, 15])}
${poly[1] ?? ""}
${pair([0, 5, 10, 15], [1, 6, 11, 12])}
${store(10)} ${store(11)} ${load(8)} ${load(9)}
${poly[2] ?? ""}
${pair([2, 7, 8, 13], [3, 4, 9, 14])}`;
}

function words(group: number): string[] {
  return range(4 * group, 4 * group + 4).map((i) =>
    `i32x4.add(${i === 10 || i === 11 ? `v128.load(${stateRow(i, 0)})` : local(i)}, ${initial(i, 0)})`
  );
}
