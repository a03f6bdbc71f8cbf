/**
 * Poly1305 with products of 128 bits: four wide multiplications and two narrow ones a block.
 *
 * Limbs at 2^0, 2^64 and 2^128. Clamping makes r1 a multiple of four and r0, r1 < 2^60, so s = r1 + (r1 >> 2) is exactly
 * 5/4 r1: what wraps around 2^130 − 5. Between blocks h2 holds all that lies above 2^128, below 2^63; its part above
 * 2^130 is folded in, times five, when the next block is added. Then a2 <= 3 + 1 + 2, and no sum leaves its 128 bits:
 *
 *     a0·r0 + a1·s                          < 2.25 · 2^124
 *     a2·s + (the high half of that)        < (7.5 + 2.25) · 2^60
 *     a0·r1 + a1·r0 + 2^64 (a2·r0 + 1)      < 2^127
 *
 * Spec: RFC 8439 §2.5.
 */
import { BLOCK, H, PAD, R } from "./layout.ts";
import type { PolyCode } from "./poly1305.ts";
import { addWide, multiplyWide } from "./wide_arithmetic.ts";

/** Folds what h2 has above 2^130 into h0; leaves the carry into h1, up to 2 with what it holds before, in `carry`. */
const FOLD = `${addWide("carry", "h0", ["carry", "h0"], ["zero", "((h2 >> 2) * 5)"])} h2 &= 3;`;

export const POLY_WIDE: PolyCode = {
  locals: `const zero: u64 = 0, one: u64 = 1;
let carry: u64, m0: u64, m1: u64, p0: u64, p1: u64, q0: u64, q1: u64;
let h0 = load<u64>(${H}), h1 = load<u64>(${H + 8}), h2 = load<u64>(${H + 16});
const r0 = load<u64>(${R}), r1 = load<u64>(${R + 8}), s = r1 + (r1 >> 2);`,

  block: (at) => `
m0 = load<u64>(${at}); m1 = load<u64>(${at}, 8);
${addWide("carry", "h0", ["zero", "h0"], ["zero", "m0"])}
${FOLD}
${addWide("h2", "h1", ["h2", "h1"], ["one", "m1"])}
${addWide("h2", "h1", ["h2", "h1"], ["zero", "carry"])}
${multiplyWide("p1", "p0", "h0", "r0")}
${multiplyWide("q1", "q0", "h1", "s")}
${addWide("p1", "p0", ["p1", "p0"], ["q1", "q0"])}
p1 += h2 * s; h2 *= r0;
${multiplyWide("q1", "q0", "h0", "r1")}
h0 = p0;
${addWide("p1", "p0", ["h2", "p1"], ["q1", "q0"])}
${multiplyWide("q1", "q0", "h1", "r0")}
${addWide("h2", "h1", ["p1", "p0"], ["q1", "q0"])}`,

  store: `store<u64>(${H}, h0); store<u64>(${H + 8}, h1); store<u64>(${H + 16}, h2);`,

  key: `
store<u64>(${R}, load<u64>(from) & 0x0ffffffc0fffffff);
store<u64>(${R + 8}, load<u64>(from, 8) & 0x0ffffffc0ffffffc);`,

  tag: `
carry = 0;
${FOLD}
${addWide("h2", "h1", ["h2", "h1"], ["zero", "carry"])}
// h < 2^130 + 5 · 2^61, so that h + 5 reaches 2^130 exactly if h >= 2^130 − 5.
m0 = 5;
${addWide("carry", "p0", ["zero", "h0"], ["zero", "m0"])}
${addWide("carry", "p1", ["zero", "h1"], ["zero", "carry"])}
carry = 0 - ((h2 + carry) >> 2);
h0 ^= (h0 ^ p0) & carry; h1 ^= (h1 ^ p1) & carry;
m0 = load<u64>(${PAD}); m1 = load<u64>(${PAD + 8});
${addWide("h1", "h0", ["h1", "h0"], ["m1", "m0"])}
store<u64>(${BLOCK}, h0); store<u64>(${BLOCK + 8}, h1);`,
};
