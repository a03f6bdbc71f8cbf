/**
 * How a build does the rounds of one group of blocks, as AssemblyScript, and what the ways have in common: each v128 holds
 * one state word of four consecutive blocks, called lanes.
 *
 * Spec: RFC 8439 §2.3.
 */
import { LANES, tableRow } from "./layout.ts";

export interface Lanes {
  /** Numbers of the sets of four lanes. */
  readonly sets: readonly number[];
  /** Declares what the rounds work on, with the initial state in it. */
  readonly locals: string;
  /** A column round and a diagonal round, with the code of some Poly1305 blocks between their quarter rounds. */
  doubleRound(poly: string[]): string;
  /** After the rounds, before `words`. */
  readonly end: string;
  /** Four words of one set at the end of the rounds, with the initial state added. */
  words(group: number, set: number): string[];
}

/** The sets of four lanes in eight. */
export const SETS = [0, 1];
/** Words of eight lanes that are in memory, during or at the end of the rounds. */
export const IN_ROWS = [...range(0, 4), ...range(8, 16)];

/** Word `i` of the initial state of one set of lanes. */
export function initial(i: number, set: number): string {
  if (i === 12) return `i32x4.add(i32x4.splat(counter + ${4 * set}), v128.load(${LANES}))`;
  return i === 13 ? "i32x4.splat(0)" : `v128.load(${tableRow(i)})`;
}

/** Quarter rounds of several quadruples of locals, statement beside statement. */
export function quarterRounds(relaxed: boolean, quads: string[][]): string {
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

/** The code of a quarter round of four words. */
export type Quarter = (a: number, b: number, c: number, d: number) => string;

/** Four quarter rounds, some with a Poly1305 block after them. */
export function columns8(quarter: Quarter, poly: string[]): string {
  return `
${quarter(0, 4, 8, 12)}
${poly[0] ?? ""}
${quarter(1, 5, 9, 13)}
${quarter(2, 6, 10, 14)}
${poly[1] ?? ""}
${quarter(3, 7, 11, 15)}`;
}

export function diagonals8(quarter: Quarter, poly: string[]): string {
  return `
${quarter(0, 5, 10, 15)}
${poly[2] ?? ""}
${quarter(1, 6, 11, 12)}
${quarter(2, 7, 8, 13)}
${quarter(3, 4, 9, 14)}`;
}

/** The whole numbers from `from` up to `to`. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
