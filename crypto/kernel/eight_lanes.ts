/**
 * ChaCha20, eight blocks at a time, as two sets of four lanes in vectors of 128 bits.
 *
 * What decides is words 4 to 7, the last that a quarter round makes and the first that the next one needs: these eight
 * vectors stay in locals. All others are loaded from and stored to constant rows, which is hidden by the 12 cycles that
 * they are not needed for. The two sets come one after the other in each quarter round, for then 14 registers suffice and
 * the processor overlaps them all the same; statement beside statement V8 spills 24 times in a double round (9,000 bytes:
 * 5.5 for 5.3 µs).
 */
import { ROTATE_16, ROTATE_8, stateRow, tableRow } from "./layout.ts";
import { columns8, diagonals8, IN_ROWS, initial, type Lanes, quarterRounds, range, SETS } from "./lanes.ts";

export function eightLanes(relaxed: boolean): Lanes {
  return {
    sets: SETS,
    locals: LOCALS,
    doubleRound: (poly) => doubleRound(relaxed, poly),
    end: "",
    words,
  };
}

const LOCALS =
  range(4, 8).flatMap((i) => SETS.map((set) => `let x${i}_${set} = v128.load(${tableRow(i)});`)).join(" ") +
  "let wa0 = i32x4.splat(0), wc0 = wa0, wd0 = wa0;" +
  `const m16 = v128.load(${ROTATE_16}), m8 = v128.load(${ROTATE_8});` +
  IN_ROWS.flatMap((i) => SETS.map((set) => `v128.store(${stateRow(i, set)}, ${initial(i, set)});`)).join("\n");

function doubleRound(relaxed: boolean, poly: string[]): string {
  const quarter = (a: number, b: number, c: number, d: number): string =>
    SETS.map((set) => `
wa0 = v128.load(${stateRow(a, set)}); wd0 = v128.load(${stateRow(d, set)}); wc0 = v128.load(${stateRow(c, set)});
${quarterRounds(relaxed, [["wa0", `x${b}_${set}`, "wc0", "wd0"]])}
v128.store(${stateRow(a, set)}, wa0); v128.store(${stateRow(d, set)}, wd0); v128.store(${stateRow(c, set)}, wc0);`)
      .join(
        "",
      );
  return columns8(quarter, poly) + diagonals8(quarter, poly);
}

function words(group: number, set: number): string[] {
  return range(4 * group, 4 * group + 4).map((i) =>
    `i32x4.add(${group === 1 ? `x${i}_${set}` : `v128.load(${stateRow(i, set)})`}, ${initial(i, set)})`
  );
}
