/**
 * ChaCha20 as AssemblyScript, four or eight blocks at a time, with Poly1305 blocks woven into the rounds.
 *
 * Each v128 holds one state word of four consecutive blocks. A quarter round is a chain of 14 dependent operations, so
 * four lanes are bound by latency where a vector operation takes two cycles (AMD Zen 5: 171 ns for 256 bytes, with or
 * without 20 Poly1305 blocks beside it). Two sets of four lanes fill the gaps: 293 ns for 512 bytes with 32 Poly1305
 * blocks. That is 14 % less for the same bytes on an idle core, and 16 % less (570 for 680 ns) while neighbours take half
 * of it, where not latency but the number of instructions counts.
 *
 * V8 has 15 usable vector registers. What decides is words 4 to 7, the last that a quarter round makes and the first
 * that the next one needs: in eight lanes these eight vectors stay in locals. All others are loaded from and stored to
 * constant rows, which is hidden by the 12 cycles that they are not needed for. The two sets come one after the other in
 * each quarter round, for then 14 registers suffice and the processor overlaps them all the same; statement beside
 * statement V8 spills 24 times in a double round (9,000 bytes: 5.5 for 5.3 µs). In four lanes only two of words 8 to 11
 * wait in memory.
 *
 * Spec: RFC 8439 §2.3.
 */
import { FIRST_KEYSTREAM, KEYSTREAM, LANES, ROTATE_16, ROTATE_8, ROWS, stateRow, tableRow } from "./layout.ts";
import type { PolyCode } from "./poly1305.ts";

/** "expa" "nd 3" "2-by" "te k". */
const SIGMA = ["0x61707865", "0x3320646e", "0x79622d32", "0x6b206574"];
const DOUBLE_ROUNDS = 10;
/** Poly1305 blocks in one double round. */
export const BLOCKS_IN_4 = 3;
export const BLOCKS_IN_8 = 4;

/**
 * relaxed: relaxed SIMD, one instruction for a rotation by 16 or 8; plain: the SIMD that every engine has; wide: eight
 * lanes written such that V8, given `--experimental-wasm-revectorize`, makes each two vectors one of 256 bits.
 */
export type KernelBuild = "relaxed" | "plain" | "wide" | "wide-arithmetic";

/** `init`, `setTable`, the wiping, `rounds4` and `rounds8`. */
export function chachaFunctions(build: KernelBuild, poly: PolyCode): string {
  const relaxed = build !== "plain";
  return `
/** Writes the constants that the rounds load. Call once per memory. */
export function init(): void {
  v128.store(${ROTATE_16}, i8x16(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  v128.store(${ROTATE_8}, i8x16(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14));
  v128.store(${LANES}, i32x4(0, 1, 2, 3));
  ${SIGMA.map((constant, i) => `v128.store(${tableRow(i)}, i32x4.splat(${constant}));`).join("\n")}
}

/** The initial state of a packet's blocks; the nonce is 0, low, high. */
function setTable(key: usize, low: u32, high: u32): void {
  ${range(4, 12).map((i) => `v128.store(${tableRow(i)}, v128.load_splat<u32>(key, ${4 * (i - 4)}));`).join("\n")}
  v128.store(${tableRow(14)}, i32x4.splat(low)); v128.store(${tableRow(15)}, i32x4.splat(high));
}

/** Erases what \`setTable\` and \`rounds4\` left. */
function wipe4(): void {
  const zero = i32x4.splat(0);
  ${[...range(4, 12), 14, 15].map((i) => `v128.store(${tableRow(i)}, zero);`).join("\n")}
  ${range(8, 12).map((i) => `v128.store(${stateRow(i, 0)}, zero);`).join("\n")}
  ${range(0, 16).map((i) => `v128.store(${FIRST_KEYSTREAM + 16 * i}, zero);`).join("\n")}
}

/** Erases what \`rounds8\` left, or \`rounds4\` of a later group. */
function wipe8(): void {
  const zero = i32x4.splat(0);
  ${IN_ROWS.flatMap((i) => SETS.map((set) => `v128.store(${stateRow(i, set)}, zero);`)).join("\n")}
  ${range(0, 32).map((i) => `v128.store(${KEYSTREAM + 16 * i}, zero);`).join("\n")}
}
${rounds(4, poly, BLOCKS_IN_4, LOCALS_4, start4(), (blocks) => doubleRound4(relaxed, blocks), words4)}
${
    rounds(
      8,
      poly,
      BLOCKS_IN_8,
      LOCALS_8,
      start8(),
      build === "wide" || build === "wide-arithmetic" ? doubleRoundWide : (blocks) => doubleRound8(relaxed, blocks),
      words8,
    )
  }`;
}

/** The sets of four lanes in eight. */
const SETS = [0, 1];
/** Words that eight lanes keep in memory. */
const IN_ROWS = [...range(0, 4), ...range(8, 16)];

/**
 * One group of blocks: from src to dst if \`whole\`, else its keystream goes to \`to\`. Authenticates \`fused\` double
 * rounds full of Poly1305 blocks at \`mac\` and \`rest\` blocks after them, all before it writes.
 */
function rounds(
  lanes: number,
  poly: PolyCode,
  blocks: number,
  locals: string,
  start: string,
  doubleRound: (poly: string[]) => string,
  words: (group: number, set: number) => string[],
): string {
  const sets = lanes === 4 ? [0] : SETS;
  const isWide = doubleRound === doubleRoundWide;
  if (isWide) {
    locals = LOCALS_WIDE;
    start = "";
  }
  const woven = Array.from({ length: blocks }, (_, i) => poly.block(`mac + ${16 * i}`));
  const output = (line: (block: number, at: number) => string): string =>
    sets.flatMap((set) =>
      range(0, 4).map((group) =>
        transpose(words(group, set)) +
        range(0, 4).map((block) => line(block, 256 * set + 64 * block + 16 * group)).join("\n")
      )
    ).join("\n");
  return `
function rounds${lanes}(counter: u32, dst: usize, src: usize, mac: usize, fused: i32, rest: i32, whole: bool, to: usize): void {
  ${locals}
  let t0 = i32x4.splat(0), t1 = t0, t2 = t0, t3 = t0, u0 = t0, u1 = t0, u2 = t0, u3 = t0;
  const m16 = v128.load(${ROTATE_16}), m8 = v128.load(${ROTATE_8});
  ${poly.locals}
  ${start}
  let left = ${DOUBLE_ROUNDS} - fused;
  for (; fused > 0; fused--) {
    ${doubleRound(woven)}
    mac += ${16 * blocks};
  }
  for (; left > 0; left--) {
    ${doubleRound([])}
  }
  for (; rest > 0; rest--) {
    ${poly.block("mac")}
    mac += 16;
  }
  ${poly.store}
  ${
    isWide
      ? IN_ROWS.flatMap((i) => SETS.map((set) => `v128.store(${ROWS}, x${i}_${set}, ${stateRow(i, set) - ROWS});`))
        .join("\n")
      : ""
  }
  if (whole) {
    ${output((block, at) => `v128.store(dst, v128.xor(t${block}, v128.load(src, ${at})), ${at});`)}
  } else {
    ${output((block, at) => `v128.store(to, t${block}, ${at});`)}
  }
}`;
}

/** Turns four lanes of four words into four blocks of bytes, t0 … t3. */
function transpose(words: string[]): string {
  return `
t0 = ${words[0]}; t1 = ${words[1]}; t2 = ${words[2]}; t3 = ${words[3]};
u0 = v128.shuffle<u32>(t0, t1, 0, 4, 1, 5); u1 = v128.shuffle<u32>(t0, t1, 2, 6, 3, 7);
u2 = v128.shuffle<u32>(t2, t3, 0, 4, 1, 5); u3 = v128.shuffle<u32>(t2, t3, 2, 6, 3, 7);
t0 = v128.shuffle<u64>(u0, u2, 0, 2); t1 = v128.shuffle<u64>(u0, u2, 1, 3);
t2 = v128.shuffle<u64>(u1, u3, 0, 2); t3 = v128.shuffle<u64>(u1, u3, 1, 3);
`;
}

/** Word `i` of the initial state of one set of lanes. */
function initial(i: number, set: number): string {
  if (i === 12) return `i32x4.add(i32x4.splat(counter + ${4 * set}), v128.load(${LANES}))`;
  return i === 13 ? "i32x4.splat(0)" : `v128.load(${tableRow(i)})`;
}

// Four lanes.

const LOCALS_4 = [...range(0, 8), ...range(12, 16)].map((i) => `let x${i} = ${initial(i, 0)};`).join(" ") +
  `let c = ${initial(8, 0)}, d = ${initial(9, 0)};`;

/** Where a double round finds word `i`: in a local, words 8 to 11 in two shared ones. */
function local4(i: number): string {
  return i >= 8 && i < 12 ? (i % 2 === 0 ? "c" : "d") : `x${i}`;
}

function start4(): string {
  return [10, 11].map((i) => `v128.store(${stateRow(i, 0)}, ${initial(i, 0)});`).join(" ");
}

/** Columns 0, 1 use words 8, 9; columns 2, 3 then 10, 11, which stay for diagonals 0, 1; 2, 3 take 8, 9 again. */
function doubleRound4(relaxed: boolean, poly: string[]): string {
  const store = (i: number): string => `v128.store(${stateRow(i, 0)}, ${local4(i)});`;
  const load = (i: number): string => `${local4(i)} = v128.load(${stateRow(i, 0)});`;
  const pair = (...quads: number[][]): string => quarterRounds(relaxed, quads.map((quad) => quad.map(local4)));
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

/** Four words at the end of the rounds. */
function words4(group: number): string[] {
  return range(4 * group, 4 * group + 4).map((i) =>
    `i32x4.add(${i === 10 || i === 11 ? `v128.load(${stateRow(i, 0)})` : local4(i)}, ${initial(i, 0)})`
  );
}

// Eight lanes.

const LOCALS_8 =
  range(4, 8).flatMap((i) => SETS.map((set) => `let x${i}_${set} = v128.load(${tableRow(i)});`)).join(" ") +
  "let wa0 = i32x4.splat(0), wc0 = wa0, wd0 = wa0, wa1 = wa0, wc1 = wa0, wd1 = wa0;";

const LOCALS_WIDE = SETS.map((set) => `v128.store(${stateRow(12, set)}, ${initial(12, set)});`).join(" ") +
  range(0, 16).flatMap((i) =>
    SETS.map((set) =>
      `let x${i}_${set} = ${i === 12 ? `v128.load(${ROWS}, ${stateRow(12, set) - ROWS})` : initial(i, set)};`
    )
  ).join(" ");

function start8(): string {
  return IN_ROWS.flatMap((i) => SETS.map((set) => `v128.store(${stateRow(i, set)}, ${initial(i, set)});`)).join("\n");
}

function doubleRound8(relaxed: boolean, poly: string[]): string {
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

type Quarter = (a: number, b: number, c: number, d: number) => string;

function columns8(quarter: Quarter, poly: string[]): string {
  return `
${quarter(0, 4, 8, 12)}
${poly[0] ?? ""}
${quarter(1, 5, 9, 13)}
${quarter(2, 6, 10, 14)}
${poly[1] ?? ""}
${quarter(3, 7, 11, 15)}`;
}

function diagonals8(quarter: Quarter, poly: string[]): string {
  return `
${quarter(0, 5, 10, 15)}
${poly[2] ?? ""}
${quarter(1, 6, 11, 12)}
${quarter(2, 7, 8, 13)}
${poly[3] ?? ""}
${quarter(3, 4, 9, 14)}`;
}

function doubleRoundWide(poly: string[]): string {
  const each = (line: (set: number) => string): string => SETS.map(line).join(" ");
  const step = (operation: string, x: number, y: number): string =>
    each((set) => `x${x}_${set} = ${operation}(x${x}_${set}, x${y}_${set});`);
  const rotate = (x: number, bits: number): string =>
    each((set) => `x${x}_${set} = v128.or(i32x4.shl(x${x}_${set}, ${bits}), i32x4.shr_u(x${x}_${set}, ${32 - bits}));`);
  const half = (first: number, second: number, a: number, b: number, c: number, d: number): string => `
${step("i32x4.add", a, b)} ${step("v128.xor", d, a)} ${rotate(d, first)}
${step("i32x4.add", c, d)} ${step("v128.xor", b, c)} ${rotate(b, second)}`;
  const quarter = (a: number, b: number, c: number, d: number): string => `
${half(16, 12, a, b, c, d)} ${half(8, 7, a, b, c, d)}`;
  return columns8(quarter, poly) + diagonals8(quarter, poly);
}

function words8(group: number, set: number): string[] {
  return range(4 * group, 4 * group + 4).map((i) =>
    `i32x4.add(${group === 1 ? `x${i}_${set}` : `v128.load(${stateRow(i, set)})`}, ${initial(i, set)})`
  );
}

// Both.

/** Quarter rounds of several quadruples of locals, statement beside statement. */
function quarterRounds(relaxed: boolean, quads: string[][]): string {
  const swizzle = relaxed ? "i8x16.relaxed_swizzle" : "v128.swizzle";
  const each = (line: (a: string, b: string, c: string, d: string) => string): string =>
    quads.map(([a, b, c, d]) => line(a, b, c, d)).join(" ");
  const rotate = (x: string, bits: number): string =>
    `${x} = v128.or(i32x4.shl(${x}, ${bits}), i32x4.shr_u(${x}, ${32 - bits}));`;
  const half = (mask: string, bits: number): string[] => [
    each((a, b) => `${a} = i32x4.add(${a}, ${b});`),
    each((a, _b, _c, d) => `${d} = ${swizzle}(v128.xor(${d}, ${a}), ${mask});`),
    each((_a, _b, c, d) => `${c} = i32x4.add(${c}, ${d});`),
    each((_a, b, c) => `${b} = v128.xor(${b}, ${c});`),
    each((_a, b) => rotate(b, bits)),
  ];
  return [...half("m16", 12), ...half("m8", 7)].join("\n");
}

/** The whole numbers from `from` up to `to`. */
function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
