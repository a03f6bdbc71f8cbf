/**
 * The AssemblyScript source of the packet kernel: ChaCha20-Poly1305 (RFC 8439) over four blocks at a time in SIMD, with
 * Poly1305 in scalar code woven into the ChaCha rounds, and the Internet checksum's sum (RFC 1071).
 *
 * AssemblyScript has neither macros nor multi-value returns, so the unrolled rounds are written by functions here; what
 * they write is ordinary AssemblyScript, readable with `deno task kernel --print`.
 *
 * ## ChaCha20, four lanes
 * Each v128 holds one state word of four consecutive blocks. V8 has 15 usable vector registers, so only two of x8 … x11
 * are in locals (`c`, `d`); the other two wait in memory. Columns 0, 1 use x8, x9; columns 2, 3 then x10, x11, which stay
 * for diagonals 0, 1; diagonals 2, 3 take x8, x9 again: four loads and four stores per double round.
 *
 * ## Poly1305, 16 multiplications a block
 * Limbs at 2^0, 2^32, 2^64, 2^96; h3 up to 34 bits and a carry. Clamping makes r1 … r3 multiples of four, so
 * s = r + (r >> 2) is exactly 5/4 r: what wraps around 2^130 − 5. All sums stay below 2^64. No power of r is needed, so
 * small packets pay nothing.
 *
 * ## Fusion
 * The loop body of a double round also does two Poly blocks: they use the integer units while ChaCha uses the vector
 * units. seal: group 0 gives the Poly key and the keystream of the first 192 bytes; each later group authenticates what
 * lies encrypted behind it. open: the first 192 bytes alone, then each group authenticates its own bytes before the XOR.
 *
 * ## Memory
 * The first KERNEL_SCRATCH_BYTES of the memory are the kernel's.
 */

export const KERNEL_SCRATCH_BYTES = 1024;

// Scratch layout.
const ROTATE_16 = 256;
const ROTATE_8 = ROTATE_16 + 16;
const LANES = ROTATE_8 + 16;
const SPILL = LANES + 16 + 16;
const KEYSTREAM = SPILL + 64;
const BLOCK = KEYSTREAM + 256;
const H = BLOCK + 16;
const R = H + 32;
const PAD = R + 32;

/** "expa" "nd 3" "2-by" "te k". */
const SIGMA = ["0x61707865", "0x3320646e", "0x79622d32", "0x6b206574"];

const GROUP_BYTES = 256;
const FIRST_BYTES = 192;

/** Where a double round finds word `i`: in a local, x8 … x11 in the two shared ones. */
function word(i: number): string {
  return i >= 8 && i < 12 ? (i % 2 === 0 ? "c" : "d") : `x${i}`;
}

/** Two quarter rounds, statement beside statement. */
function quarterRounds(relaxed: boolean, ...quads: number[][]): string {
  const swizzle = relaxed ? "i8x16.relaxed_swizzle" : "v128.swizzle";
  const lines: string[] = [];
  const each = (line: (a: string, b: string, c: string, d: string) => string): void => {
    for (const [a, b, c, d] of quads) lines.push(line(word(a), word(b), word(c), word(d)));
  };
  const shift = (x: string, bits: number): string =>
    `${x} = v128.or(i32x4.shl(${x}, ${bits}), i32x4.shr_u(${x}, ${32 - bits}));`;
  each((a, b) => `${a} = i32x4.add(${a}, ${b});`);
  each((a, _b, _c, d) => `${d} = ${swizzle}(v128.xor(${d}, ${a}), m16);`);
  each((_a, _b, c, d) => `${c} = i32x4.add(${c}, ${d});`);
  each((_a, b, c) => `${b} = v128.xor(${b}, ${c});`);
  each((_a, b) => shift(b, 12));
  each((a, b) => `${a} = i32x4.add(${a}, ${b});`);
  each((a, _b, _c, d) => `${d} = ${swizzle}(v128.xor(${d}, ${a}), m8);`);
  each((_a, _b, c, d) => `${c} = i32x4.add(${c}, ${d});`);
  each((_a, b, c) => `${b} = v128.xor(${b}, ${c});`);
  each((_a, b) => shift(b, 7));
  return lines.join("\n");
}

/** One Poly1305 block at `at`: h = (h + m) · r. */
function polyBlock(at: string): string {
  return `
a0 = h0 + load<u32>(${at}); a1 = h1 + load<u32>(${at}, 4);
a2 = h2 + load<u32>(${at}, 8); a3 = h3 + load<u32>(${at}, 12) + 0x100000000;
y0 = a0 * r0 + a1 * s3 + a2 * s2 + a3 * s1;
y1 = a0 * r1 + a1 * r0 + a2 * s3 + a3 * s2;
y2 = a0 * r2 + a1 * r1 + a2 * r0 + a3 * s3;
y3 = a0 * r3 + a1 * r2 + a2 * r1 + a3 * r0;
y0 += (y3 >> 34) * 5;
y1 += y0 >> 32; h0 = y0 & 0xffffffff;
y2 += y1 >> 32; h1 = y1 & 0xffffffff;
h3 = (y3 & 0x3ffffffff) + (y2 >> 32); h2 = y2 & 0xffffffff;`;
}

function doubleRound(relaxed: boolean, firstBlock: string, secondBlock: string): string {
  return `
${quarterRounds(relaxed, [0, 4, 8, 12], [1, 5, 9, 13])}
v128.store(${SPILL}, c); v128.store(${SPILL + 16}, d);
c = v128.load(${SPILL + 32}); d = v128.load(${SPILL + 48});
${firstBlock}
${quarterRounds(relaxed, [2, 6, 10, 14], [3, 7, 11, 15])}
${quarterRounds(relaxed, [0, 5, 10, 15], [1, 6, 11, 12])}
v128.store(${SPILL + 32}, c); v128.store(${SPILL + 48}, d);
c = v128.load(${SPILL}); d = v128.load(${SPILL + 16});
${secondBlock}
${quarterRounds(relaxed, [2, 7, 8, 13], [3, 4, 9, 14])}`;
}

/** The initial state of four blocks from `counter` on. */
function initialState(): string {
  const key = (i: number): string => `v128.load_splat<u32>(key, ${4 * (i - 4)})`;
  return `
${SIGMA.map((constant, i) => `x${i} = i32x4.splat(${constant});`).join("\n")}
${[4, 5, 6, 7].map((i) => `x${i} = ${key(i)};`).join("\n")}
c = ${key(8)}; d = ${key(9)};
v128.store(${SPILL + 32}, ${key(10)}); v128.store(${SPILL + 48}, ${key(11)});
x12 = i32x4.add(i32x4.splat(counter), v128.load(${LANES})); x13 = i32x4.splat(0);
x14 = i32x4.splat(low); x15 = i32x4.splat(high);`;
}

/** Adds the initial state to four words and turns four lanes of words into four blocks of bytes, t0 … t3. */
function blocksOf(group: number): string {
  const names = [0, 1, 2, 3].map((i) => {
    const index = group * 4 + i;
    if (index === 10) return `v128.load(${SPILL + 32})`;
    if (index === 11) return `v128.load(${SPILL + 48})`;
    return word(index);
  });
  const initial = [0, 1, 2, 3].map((i) => {
    const index = group * 4 + i;
    if (index < 4) return `i32x4.splat(${SIGMA[index]})`;
    if (index < 12) return `v128.load_splat<u32>(key, ${4 * (index - 4)})`;
    if (index === 12) return `i32x4.add(i32x4.splat(counter), v128.load(${LANES}))`;
    return index === 13 ? "i32x4.splat(0)" : `i32x4.splat(${index === 14 ? "low" : "high"})`;
  });
  const sum = (i: number): string => `i32x4.add(${names[i]}, ${initial[i]})`;
  return `
t0 = ${sum(0)}; t1 = ${sum(1)}; t2 = ${sum(2)}; t3 = ${sum(3)};
u0 = v128.shuffle<u32>(t0, t1, 0, 4, 1, 5); u1 = v128.shuffle<u32>(t0, t1, 2, 6, 3, 7);
u2 = v128.shuffle<u32>(t2, t3, 0, 4, 1, 5); u3 = v128.shuffle<u32>(t2, t3, 2, 6, 3, 7);
t0 = v128.shuffle<u64>(u0, u2, 0, 2); t1 = v128.shuffle<u64>(u0, u2, 1, 3);
t2 = v128.shuffle<u64>(u1, u3, 0, 2); t3 = v128.shuffle<u64>(u1, u3, 1, 3);`;
}

/** XORs the keystream of four blocks into `GROUP_BYTES` at src, to dst. */
function xorGroup(): string {
  return [0, 1, 2, 3].map((group) =>
    blocksOf(group) + [0, 1, 2, 3].map((block) => {
      const at = block * 64 + group * 16;
      return `v128.store(dst, v128.xor(t${block}, v128.load(src, ${at})), ${at});`;
    }).join("\n")
  ).join("\n");
}

/** Leaves the keystream of four blocks in the scratch. */
function storeKeystream(): string {
  return [0, 1, 2, 3].map((group) =>
    blocksOf(group) +
    [0, 1, 2, 3].map((block) => `v128.store(${KEYSTREAM + block * 64 + group * 16}, t${block});`).join("\n")
  ).join("\n");
}

const CHACHA_LOCALS =
  [...Array.from({ length: 16 }, (_, i) => i).filter((i) => i < 8 || i > 11).map((i) => `x${i}`), "c", "d"]
    .concat(["t0", "t1", "t2", "t3", "u0", "u1", "u2", "u3"])
    .map((name) => `let ${name} = i32x4.splat(0);`).join(" ") +
  ` const m16 = v128.load(${ROTATE_16}); const m8 = v128.load(${ROTATE_8});`;

const POLY_LOCALS = `let a0: u64, a1: u64, a2: u64, a3: u64, y0: u64, y1: u64, y2: u64, y3: u64;
let h0 = load<u64>(${H}), h1 = load<u64>(${H + 8}), h2 = load<u64>(${H + 16}), h3 = load<u64>(${H + 24});
const r0 = load<u64>(${R}), r1 = load<u64>(${R + 8}), r2 = load<u64>(${R + 16}), r3 = load<u64>(${R + 24});
const s1 = r1 + (r1 >> 2), s2 = r2 + (r2 >> 2), s3 = r3 + (r3 >> 2);`;

const STORE_H = `store<u64>(${H}, h0); store<u64>(${H + 8}, h1); store<u64>(${H + 16}, h2); store<u64>(${H + 24}, h3);`;

/** The keystream of blocks 0 … 3, with the Poly key taken from block 0. */
function firstGroup(relaxed: boolean): string {
  return `
/** Keystream of blocks 0 to 3 into the scratch; block 0 is the one-time Poly1305 key. */
function begin(key: usize, low: u32, high: u32): void {
  const counter: u32 = 0;
  ${CHACHA_LOCALS}
  ${initialState()}
  for (let i = 0; i < 10; i++) {
    ${doubleRound(relaxed, "", "")}
  }
  ${storeKeystream()}
  store<u64>(${R}, load<u32>(${KEYSTREAM}) & 0x0fffffff);
  store<u64>(${R + 8}, load<u32>(${KEYSTREAM + 4}) & 0x0ffffffc);
  store<u64>(${R + 16}, load<u32>(${KEYSTREAM + 8}) & 0x0ffffffc);
  store<u64>(${R + 24}, load<u32>(${KEYSTREAM + 12}) & 0x0ffffffc);
  v128.store(${PAD}, v128.load(${KEYSTREAM + 16}));
  v128.store(${H}, i32x4.splat(0)); v128.store(${H + 16}, i32x4.splat(0));
}`;
}

/**
 * Groups of 256 bytes from src to dst, authenticating `blocks` (even, at most 20 for each group) Poly blocks at `mac` on
 * the way. `partial`: the keystream goes to the scratch instead.
 */
function groupFunction(relaxed: boolean, name: string, finish: string): string {
  return `
function ${name}(key: usize, low: u32, high: u32, counter: u32, dst: usize, src: usize, mac: usize, pairs: i32): void {
  ${CHACHA_LOCALS}
  ${POLY_LOCALS}
  ${initialState()}
  let rounds = 10 - pairs;
  for (; pairs > 0; pairs--) {
    ${doubleRound(relaxed, polyBlock("mac"), polyBlock("mac + 16"))}
    mac += 32;
  }
  for (; rounds > 0; rounds--) {
    ${doubleRound(relaxed, "", "")}
  }
  ${finish}
  ${STORE_H}
}`;
}

/** The whole module as AssemblyScript. */
export function kernelSource(relaxed: boolean): string {
  return `// Generated by crypto/kernel/source.ts.

/** Writes the constants that the rounds load. Call once per memory. */
export function init(): void {
  v128.store(${ROTATE_16}, i8x16(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  v128.store(${ROTATE_8}, i8x16(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14));
  v128.store(${LANES}, i32x4(0, 1, 2, 3));
}
${firstGroup(relaxed)}
${groupFunction(relaxed, "group", xorGroup())}
${groupFunction(relaxed, "lastGroup", storeKeystream())}

/** XORs \`length\` bytes with keystream from the scratch. */
function xor(dst: usize, src: usize, keystream: usize, length: i32): void {
  for (; length >= 16; length -= 16) {
    v128.store(dst, v128.xor(v128.load(src), v128.load(keystream)));
    dst += 16; src += 16; keystream += 16;
  }
  for (; length > 0; length--) {
    store<u8>(dst++, load<u8>(src++) ^ load<u8>(keystream++));
  }
}

/** Authenticates \`length\` bytes at \`at\`, the last block filled up with zeros. */
function authenticate(at: usize, length: i32): void {
  ${POLY_LOCALS}
  for (; length >= 16; length -= 16) {
    ${polyBlock("at")}
    at += 16;
  }
  if (length > 0) {
    v128.store(${BLOCK}, i32x4.splat(0));
    memory.copy(${BLOCK}, at, length);
    ${polyBlock(String(BLOCK))}
  }
  ${STORE_H}
}

/** The length block, the reduction below 2^130 − 5 and the pad: the tag, left at BLOCK. */
function finish(length: u32): void {
  store<u64>(${BLOCK}, 0); store<u64>(${BLOCK + 8}, length);
  authenticate(${BLOCK}, 16);
  let h0 = load<u64>(${H}), h1 = load<u64>(${H + 8}), h2 = load<u64>(${H + 16}), h3 = load<u64>(${H + 24});
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
  c += (h3 & 0xffffffff) + load<u32>(${PAD + 12}); store<u32>(${BLOCK + 12}, <u32> c);
  // Nothing of the one-time key stays behind.
  memory.fill(${SPILL}, 0, 64); memory.fill(${KEYSTREAM}, 0, 256);
  memory.fill(${H}, 0, ${PAD + 16 - H});
}

export function seal(key: usize, low: u32, high: u32, dst: usize, src: usize, length: i32): void {
  begin(key, low, high);
  const first = min(length, ${FIRST_BYTES});
  xor(dst, src, ${KEYSTREAM + 64}, first);
  let at: usize = first, mac: usize = 0, counter: u32 = 4, left = length - first;
  for (; left > 0; left -= ${GROUP_BYTES}) {
    // Everything before \`at\` is a whole number of block pairs: 192, then 256 at a time.
    const pairs = <i32> ((at - mac) >> 5);
    if (left >= ${GROUP_BYTES}) {
      group(key, low, high, counter, dst + at, src + at, dst + mac, pairs);
      mac = at; at += ${GROUP_BYTES}; counter += 4;
    } else {
      lastGroup(key, low, high, counter, 0, 0, dst + mac, pairs);
      xor(dst + at, src + at, ${KEYSTREAM}, left);
      mac = at;
    }
  }
  authenticate(dst + mac, length - <i32> mac);
  finish(length);
  v128.store(dst + length, v128.load(${BLOCK}));
}

export function open(key: usize, low: u32, high: u32, dst: usize, src: usize, length: i32): i32 {
  const tag = v128.load(src + length);
  begin(key, low, high);
  const first = min(length, ${FIRST_BYTES});
  authenticate(src, first);
  xor(dst, src, ${KEYSTREAM + 64}, first);
  let at: usize = first, counter: u32 = 4, left = length - first;
  for (; left >= ${GROUP_BYTES}; left -= ${GROUP_BYTES}) {
    group(key, low, high, counter, dst + at, src + at, src + at, ${GROUP_BYTES / 32});
    at += ${GROUP_BYTES}; counter += 4;
  }
  if (left > 0) {
    const pairs = left >> 5;
    lastGroup(key, low, high, counter, 0, 0, src + at, pairs);
    authenticate(src + at + (pairs << 5), left - (pairs << 5));
    xor(dst + at, src + at, ${KEYSTREAM}, left);
  }
  finish(length);
  if (!v128.any_true(v128.xor(tag, v128.load(${BLOCK})))) return 1;
  memory.fill(dst, 0, length);
  return 0;
}

/** RFC 1071: adds \`length\` bytes as big-endian words to \`initial\`; folded to 16 bits, not complemented. */
export function sum(at: usize, length: i32, initial: u32): u32 {
  let lanes = i32x4.splat(0);
  for (; length >= 16; length -= 16) {
    lanes = i32x4.add(lanes, i32x4.extadd_pairwise_i16x8_u(v128.load(at)));
    at += 16;
  }
  let total: u64 = <u64> <u32> i32x4.extract_lane(lanes, 0) + <u64> <u32> i32x4.extract_lane(lanes, 1) +
    <u64> <u32> i32x4.extract_lane(lanes, 2) + <u64> <u32> i32x4.extract_lane(lanes, 3);
  for (; length >= 2; length -= 2) { total += load<u16>(at); at += 2; }
  if (length > 0) total += load<u8>(at);
  // The sum of swapped words is the swapped sum.
  while (total > 0xffff) total = (total >> 16) + (total & 0xffff);
  total = ((total >> 8) | (total << 8)) & 0xffff;
  total += initial;
  while (total > 0xffff) total = (total >> 16) + (total & 0xffff);
  return <u32> total;
}
`;
}
