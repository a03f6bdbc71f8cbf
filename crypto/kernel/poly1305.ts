/**
 * Poly1305 as AssemblyScript: 16 multiplications a block.
 *
 * Limbs at 2^0, 2^32, 2^64, 2^96; h3 up to 34 bits and a carry. Clamping makes r1 … r3 multiples of four, so
 * s = r + (r >> 2) is exactly 5/4 r: what wraps around 2^130 − 5. All sums stay below 2^64. No power of r is needed, so
 * small packets pay nothing.
 *
 * Spec: RFC 8439 §2.5.
 */
import { BLOCK, H, PAD, R } from "./layout.ts";

/** How a build does Poly1305, as AssemblyScript. */
export interface PolyCode {
  /** Declares what `block` works on, from what lies at H and R. */
  readonly locals: string;
  /** One block at `at`: h = (h + m) · r. */
  block(at: string): string;
  /** Puts h back. */
  readonly store: string;
  /** Takes r from 16 bytes at `from`. */
  readonly key: string;
  /** Writes h modulo 2^130 − 5, plus the pad, to BLOCK. */
  readonly tag: string;
}

/** With what every engine has. */
export const POLY: PolyCode = {
  locals: `let a0: u64, a1: u64, a2: u64, a3: u64, y0: u64, y1: u64, y2: u64, y3: u64;
let h0 = load<u64>(${H}), h1 = load<u64>(${H + 8}), h2 = load<u64>(${H + 16}), h3 = load<u64>(${H + 24});
const r0 = load<u64>(${R}), r1 = load<u64>(${R + 8}), r2 = load<u64>(${R + 16}), r3 = load<u64>(${R + 24});
const s1 = r1 + (r1 >> 2), s2 = r2 + (r2 >> 2), s3 = r3 + (r3 >> 2);`,

  block: (at) => `
a0 = h0 + load<u32>(${at}); a1 = h1 + load<u32>(${at}, 4);
a2 = h2 + load<u32>(${at}, 8); a3 = h3 + load<u32>(${at}, 12) + 0x100000000;
y0 = a0 * r0 + a1 * s3 + a2 * s2 + a3 * s1;
y1 = a0 * r1 + a1 * r0 + a2 * s3 + a3 * s2;
y2 = a0 * r2 + a1 * r1 + a2 * r0 + a3 * s3;
y3 = a0 * r3 + a1 * r2 + a2 * r1 + a3 * r0;
y0 += (y3 >> 34) * 5;
y1 += y0 >> 32; h0 = y0 & 0xffffffff;
y2 += y1 >> 32; h1 = y1 & 0xffffffff;
h3 = (y3 & 0x3ffffffff) + (y2 >> 32); h2 = y2 & 0xffffffff;`,

  store: `store<u64>(${H}, h0); store<u64>(${H + 8}, h1); store<u64>(${H + 16}, h2); store<u64>(${H + 24}, h3);`,

  key: `
store<u64>(${R}, load<u32>(from) & 0x0fffffff);
store<u64>(${R + 8}, load<u32>(from, 4) & 0x0ffffffc);
store<u64>(${R + 16}, load<u32>(from, 8) & 0x0ffffffc);
store<u64>(${R + 24}, load<u32>(from, 12) & 0x0ffffffc);`,

  tag: `
let c: u64 = (h3 >> 34) * 5;
h3 &= 0x3ffffffff;
c += h0; h0 = c & 0xffffffff; c >>= 32;
c += h1; h1 = c & 0xffffffff; c >>= 32;
c += h2; h2 = c & 0xffffffff; c >>= 32;
h3 += c;
// h + 5 reaches 2^130 exactly if h >= 2^130 - 5.
let g0: u64 = h0 + 5, g1: u64 = h1 + (g0 >> 32), g2: u64 = h2 + (g1 >> 32), g3: u64 = h3 + (g2 >> 32);
const take: u64 = 0 - (g3 >> 34);
h0 ^= (h0 ^ g0) & take; h1 ^= (h1 ^ g1) & take; h2 ^= (h2 ^ g2) & take; h3 ^= (h3 ^ g3) & take;
c = (h0 & 0xffffffff) + load<u32>(${PAD}); store<u32>(${BLOCK}, <u32> c); c >>= 32;
c += (h1 & 0xffffffff) + load<u32>(${PAD + 4}); store<u32>(${BLOCK + 4}, <u32> c); c >>= 32;
c += (h2 & 0xffffffff) + load<u32>(${PAD + 8}); store<u32>(${BLOCK + 8}, <u32> c); c >>= 32;
c += (h3 & 0xffffffff) + load<u32>(${PAD + 12}); store<u32>(${BLOCK + 12}, <u32> c);`,
};

/** `keyPoly` and `finish`. */
export function polyFunctions(poly: PolyCode): string {
  return `
/** Takes the one-time key from 32 bytes at \`from\`. */
function keyPoly(from: usize): void {
  ${poly.key}
  v128.store(${PAD}, v128.load(from, 16));
  v128.store(${H}, i32x4.splat(0)); v128.store(${H + 16}, i32x4.splat(0));
}

/** The 1 to 15 bytes at \`at\` and zeros, left at BLOCK. */
function lastBlock(at: usize, length: i32, total: i32): void {
  if (total >= 16) {
    // Sixteen bytes that end with them, shifted; memory.copy would be a call out of the kernel.
    const low = load<u64>(at + length - 16), high = load<u64>(at + length - 8), shift = <u64> (128 - 8 * length);
    store<u64>(${BLOCK}, shift < 64 ? (low >> shift) | (high << (64 - shift)) : high >> (shift - 64));
    store<u64>(${BLOCK + 8}, shift < 64 ? high >> shift : 0);
  } else {
    v128.store(${BLOCK}, i32x4.splat(0));
    memory.copy(${BLOCK}, at, length);
  }
}

/**
 * Authenticates the last \`length\` bytes of \`total\`, which lie at \`at\`, the last block filled up with zeros, and the
 * block of lengths; then the reduction below 2^130 − 5 and the pad: the tag, left at BLOCK.
 */
function finish(at: usize, length: i32, total: i32): void {
  ${poly.locals}
  for (; length >= 16; length -= 16) {
    ${poly.block("at")}
    at += 16;
  }
  if (length > 0) {
    lastBlock(at, length, total);
    ${poly.block(String(BLOCK))}
  }
  store<u64>(${BLOCK}, 0); store<u64>(${BLOCK + 8}, total);
  ${poly.block(String(BLOCK))}
  ${poly.tag}
}`;
}
