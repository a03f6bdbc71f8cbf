/**
 * The kernel's part of the memory. Only constant addresses: V8 checks no bounds on them, as it does, in Deno, on every
 * other access.
 */

/** The first bytes stay free: they are where an offset that was forgotten points. */
const START = 256;

/** Masks that rotate each 32-bit lane by 16 and by 8, loaded before the rounds: V8 turns constants into slow shuffles. */
export const ROTATE_16 = START;
export const ROTATE_8 = ROTATE_16 + 16;
/** 0, 1, 2, 3: what the counters of four lanes differ by. */
export const LANES = ROTATE_8 + 16;

/** The initial state of a packet, 16 words, each four times; word 12, the block counter, differs from group to group. */
export const TABLE = LANES + 16;
/** State of the rounds: 16 words, each 2 × 16 bytes for two sets of four lanes. Words 4 to 7 are never here. */
export const ROWS = TABLE + 16 * 16;
/** Keystream that is not used as it comes: that of the first group, then that of a later one. */
export const FIRST_KEYSTREAM = ROWS + 16 * 32;
export const KEYSTREAM = FIRST_KEYSTREAM + 512;
/** A partial block, the block of lengths; at last the tag. */
export const BLOCK = KEYSTREAM + 512;
/** Poly1305: accumulator and clamped key in limbs of 32 bits, each as u64; then the pad. */
export const H = BLOCK + 16;
export const R = H + 32;
export const PAD = R + 32;

/** What the kernel uses of the memory, from offset 0. */
export const KERNEL_SCRATCH_BYTES = PAD + 16;

/** Where a word of the initial state lies. */
export function tableRow(word: number): number {
  return TABLE + 16 * word;
}

/** Where a word of the state of the rounds lies, for one of the two sets of lanes. */
export function stateRow(word: number, set: number): number {
  return ROWS + 32 * word + 16 * set;
}
