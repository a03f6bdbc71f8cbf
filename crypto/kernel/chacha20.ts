/**
 * ChaCha20 as AssemblyScript, four or eight blocks at a time, with Poly1305 blocks woven into the rounds.
 *
 * Each v128 holds one state word of four consecutive blocks. A quarter round is a chain of 14 dependent operations, so
 * four lanes are bound by latency where a vector operation takes two cycles (AMD Zen 5: 171 ns for 256 bytes, with or
 * without 20 Poly1305 blocks beside it). Two sets of four lanes fill the gaps: 293 ns for 512 bytes with 32 Poly1305
 * blocks. That is 14 % less for the same bytes on an idle core, and 16 % less (570 for 680 ns) while neighbours take half
 * of it, where not latency but the number of instructions counts.
 *
 * Spec: RFC 8439 §2.3.
 */
import { eightLanes } from "./eight_lanes.ts";
import { fourLanes } from "./four_lanes.ts";
import { IN_ROWS, type Lanes, range, SETS } from "./lanes.ts";
import { FIRST_KEYSTREAM, KEYSTREAM, LANES, ROTATE_16, ROTATE_8, stateRow, tableRow } from "./layout.ts";
import type { PolyCode } from "./poly1305.ts";
import { WIDE_LANES } from "./wide_lanes.ts";

/** "expa" "nd 3" "2-by" "te k". */
const SIGMA = ["0x61707865", "0x3320646e", "0x79622d32", "0x6b206574"];
const DOUBLE_ROUNDS = 10;
/**
 * Poly1305 blocks in one double round. Eight lanes make 32 blocks' bytes in ten of them, but four blocks in eight rounds
 * and none in two are 3 to 7 % slower.
 */
const BLOCKS = 3;

/**
 * relaxed: relaxed SIMD, one instruction for a rotation by 16 or 8; plain: the SIMD that every engine has; wide: eight
 * lanes written such that V8, given `--experimental-wasm-revectorize`, makes each two vectors one of 256 bits;
 * wide-arithmetic: the same with Poly1305 in products of 128 bits, which need `--experimental-wasm-wide-arithmetic`.
 */
export type KernelBuild = "relaxed" | "plain" | "wide" | "wide-arithmetic";

/** `init`, `setTable`, the wiping, `rounds4` and `rounds8`. */
export function chachaFunctions(build: KernelBuild, poly: PolyCode): string {
  const relaxed = build !== "plain";
  const isWide = build === "wide" || build === "wide-arithmetic";
  return `
/** Writes the constants that the rounds load. Call once per memory. */
export function init(): void {
  v128.store(${ROTATE_16}, i8x16(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  v128.store(${ROTATE_8}, i8x16(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14));
  v128.store(${LANES}, i32x4(0, 1, 2, 3));
  ${SIGMA.map((constant, i) => `v128.store(${tableRow(i)}, i32x4.splat(${constant}));`).join("\n")}
}

/** How many of \`ready\` blocks the rounds of a group authenticate. */
function weave(ready: i32): i32 {
  return min(ready / ${BLOCKS}, ${DOUBLE_ROUNDS}) * ${BLOCKS};
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
  ${range(16, 32).map((i) => `v128.store(${FIRST_KEYSTREAM + 16 * i}, zero);`).join("\n")}
  ${range(0, 32).map((i) => `v128.store(${KEYSTREAM + 16 * i}, zero);`).join("\n")}
}
${rounds(poly, fourLanes(relaxed))}
${rounds(poly, isWide ? WIDE_LANES : eightLanes(relaxed))}`;
}

/**
 * One group of blocks: from src to dst if `whole`, else its keystream goes to `to`. Authenticates Poly1305 blocks
 * from `mac` on, `woven` in its rounds, a number that `weave` has found, and `rest` after them, all before it
 * writes.
 */
function rounds(poly: PolyCode, { sets, locals, doubleRound, end, words }: Lanes): string {
  const loop = (count: string, blocks: number): string => `
  for (; ${count} > 0; ${count}--) {
    ${doubleRound(range(0, blocks).map((i) => poly.block(`mac + ${16 * i}`)))}
    mac += ${16 * blocks};
  }`;
  const output = (line: (block: number, at: number) => string): string =>
    sets.flatMap((set) =>
      range(0, 4).map((group) =>
        transpose(words(group, set)) +
        range(0, 4).map((block) => line(block, 256 * set + 64 * block + 16 * group)).join("\n")
      )
    ).join("\n");
  return `
function rounds${4 * sets.length}(
  counter: u32, dst: usize, src: usize, mac: usize, woven: i32, rest: i32, whole: bool, to: usize
): void {
  ${locals}
  let t0 = i32x4.splat(0), t1 = t0, t2 = t0, t3 = t0, u0 = t0, u1 = t0, u2 = t0, u3 = t0;
  ${poly.locals}
  let fused = woven / ${BLOCKS}, left = ${DOUBLE_ROUNDS} - fused;
  ${loop("fused", BLOCKS)}
  ${loop("left", 0)}
  for (; rest > 0; rest--) {
    ${poly.block("mac")}
    mac += 16;
  }
  ${poly.store}
  ${end}
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
