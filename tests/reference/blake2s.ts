/**
 * BLAKE2s as slowly and as plainly as RFC 7693 words it, to compare the fast one with.
 *
 * Spec: RFC 7693 §2, §3.
 */
const IV = [
  0x6a09e667,
  0xbb67ae85,
  0x3c6ef372,
  0xa54ff53a,
  0x510e527f,
  0x9b05688c,
  0x1f83d9ab,
  0x5be0cd19,
];

/** §2.7. */
const SIGMA = [
  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
  [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
  [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
  [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
  [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
  [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
  [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
  [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
  [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
  [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

/** The hash of `input` with an output of `outBytes` and a key of up to 32 bytes. */
export function referenceBlake2s(input: Uint8Array, key: Uint8Array = new Uint8Array(0), outBytes = 32): Uint8Array {
  const h = [...IV];
  h[0] = (h[0] ^ 0x01010000 ^ (key.length << 8) ^ outBytes) >>> 0;
  const data: number[] = [];
  if (key.length > 0) data.push(...key, ...new Array<number>(64 - key.length).fill(0));
  data.push(...input);
  const count = data.length;
  while (data.length === 0 || data.length % 64 !== 0) data.push(0);
  for (let at = 0; at < data.length; at += 64) {
    const last = at + 64 === data.length;
    compress(h, data.slice(at, at + 64), last ? count : at + 64, last);
  }
  return Uint8Array.from({ length: outBytes }, (_, i) => (h[i >> 2] >>> (8 * (i % 4))) & 255);
}

/** HMAC over it. Spec: RFC 2104 §2. */
export function referenceHmac(key: Uint8Array, input: Uint8Array): Uint8Array {
  const padded = new Array<number>(64).fill(0);
  (key.length > 64 ? referenceBlake2s(key) : key).forEach((byte, i) => padded[i] = byte);
  const inner = referenceBlake2s(Uint8Array.from([...padded.map((byte) => byte ^ 0x36), ...input]));
  return referenceBlake2s(Uint8Array.from([...padded.map((byte) => byte ^ 0x5c), ...inner]));
}

/** §3.2. */
function compress(h: number[], block: number[], count: number, last: boolean): void {
  const m = Array.from({ length: 16 }, (_, i) => new DataView(Uint8Array.from(block).buffer).getUint32(4 * i, true));
  const v = [...h, ...IV];
  v[12] = (v[12] ^ count) >>> 0;
  if (last) v[14] = ~v[14] >>> 0;
  for (const s of SIGMA) {
    mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
    mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
    mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
    mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
    mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
    mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
    mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
    mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
  }
  for (let i = 0; i < 8; i++) h[i] = (h[i] ^ v[i] ^ v[i + 8]) >>> 0;
}

/** §3.1. */
function mix(v: number[], a: number, b: number, c: number, d: number, x: number, y: number): void {
  v[a] = (v[a] + v[b] + x) % 2 ** 32;
  v[d] = rotateRight(v[d] ^ v[a], 16);
  v[c] = (v[c] + v[d]) % 2 ** 32;
  v[b] = rotateRight(v[b] ^ v[c], 12);
  v[a] = (v[a] + v[b] + y) % 2 ** 32;
  v[d] = rotateRight(v[d] ^ v[a], 8);
  v[c] = (v[c] + v[d]) % 2 ** 32;
  v[b] = rotateRight(v[b] ^ v[c], 7);
}

function rotateRight(word: number, bits: number): number {
  return ((word >>> bits) | (word << (32 - bits))) >>> 0;
}
