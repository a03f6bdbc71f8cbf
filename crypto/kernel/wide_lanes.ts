/**
 * ChaCha20, eight blocks at a time, written such that V8's revectorisation makes one vector of 256 bits of each two of 128.
 *
 * It begins at stores to neighbouring addresses and follows both sides back, which must be alike step by step. So the two
 * sets stand statement beside statement, asc does not optimise this build, all sixteen words stay in locals from the first
 * round to the last, and the stores behind the rounds make the whole of them one tree; words 4 to 7 come along with the
 * others. What it cannot pair are shuffles, so rotations are shifts, and splats of different values: word 12 goes through
 * memory. V8 spills 12 vectors in a double round. State in memory during the rounds costs 14 % more (1,420 bytes in a row
 * 1,065 for 936 ns, AMD Zen 3), for V8 then also stores half of each vector twice.
 */
import { ROWS, stateRow } from "./layout.ts";
import { columns8, diagonals8, IN_ROWS, initial, type Lanes, range, SETS } from "./lanes.ts";

export const WIDE_LANES: Lanes = {
  sets: SETS,

  locals: SETS.map((set) => `v128.store(${stateRow(12, set)}, ${initial(12, set)});`).join(" ") +
    range(0, 16).flatMap((i) => SETS.map((set) => `let x${i}_${set} = ${i === 12 ? row(i, set) : initial(i, set)};`))
      .join(" "),

  doubleRound: (poly) => columns8(quarter, poly) + diagonals8(quarter, poly),

  end: IN_ROWS.flatMap((i) => SETS.map((set) => `v128.store(${ROWS}, x${i}_${set}, ${stateRow(i, set) - ROWS});`))
    .join("\n"),

  words: (group, set) =>
    range(4 * group, 4 * group + 4).map((i) =>
      `i32x4.add(${group === 1 ? `x${i}_${set}` : row(i, set)}, ${initial(i, set)})`
    ),
};

/** Loads a word of the state; the two sets' loads may differ in nothing but their immediate offset. */
function row(i: number, set: number): string {
  return `v128.load(${ROWS}, ${stateRow(i, set) - ROWS})`;
}

function quarter(a: number, b: number, c: number, d: number): string {
  const each = (line: (set: number) => string): string => SETS.map(line).join(" ");
  const step = (operation: string, x: number, y: number): string =>
    each((set) => `x${x}_${set} = ${operation}(x${x}_${set}, x${y}_${set});`);
  const rotate = (x: number, bits: number): string =>
    each((set) => `x${x}_${set} = v128.or(i32x4.shl(x${x}_${set}, ${bits}), i32x4.shr_u(x${x}_${set}, ${32 - bits}));`);
  const half = (first: number, second: number): string => `
${step("i32x4.add", a, b)} ${step("v128.xor", d, a)} ${rotate(d, first)}
${step("i32x4.add", c, d)} ${step("v128.xor", b, c)} ${rotate(b, second)}`;
  return half(16, 12) + half(8, 7);
}
