/**
 * Hexadecimal and base64 text of keys. Characters are computed with arithmetic, without tables and without branches
 * on their values, so that neither cache nor timing tells a secret key.
 *
 * Spec: RFC 4648 §4, §8.
 */

const KEY_BYTES = 32;
/** Characters of a 32-byte key in base64, the padding included. */
const KEY_BASE64_CHARACTERS = 44;
const PADDING = 0x3d;

/** Lower-case hexadecimal. */
export function encodeHex(bytes: Uint8Array): string {
  const codes = new Uint8Array(bytes.length * 2);
  for (let i = 0; i < bytes.length; i++) {
    codes[2 * i] = hexCharacter(bytes[i] >> 4);
    codes[2 * i + 1] = hexCharacter(bytes[i] & 15);
  }
  return takeText(codes);
}

/** The bytes of hexadecimal text in either case, or null for anything else. */
export function decodeHex(text: string): Uint8Array | null {
  if (text.length % 2 !== 0) return null;
  const bytes = new Uint8Array(text.length / 2);
  let fault = 0;
  for (let i = 0; i < bytes.length; i++) {
    const high = hexValue(text.charCodeAt(2 * i));
    const low = hexValue(text.charCodeAt(2 * i + 1));
    fault |= high | low;
    bytes[i] = (high << 4) | low;
  }
  return rejectOn(fault, bytes);
}

/** Base64 with padding. */
export function encodeBase64(bytes: Uint8Array): string {
  const codes = new Uint8Array(Math.ceil(bytes.length / 3) * 4);
  for (let from = 0, to = 0; from < bytes.length; from += 3, to += 4) {
    // Bytes past the end are undefined, which the shifts read as zero.
    const word = (bytes[from] << 16) | (bytes[from + 1] << 8) | bytes[from + 2];
    for (let i = 0; i < 4; i++) codes[to + i] = base64Character((word >> (18 - 6 * i)) & 63);
  }
  const missing = codes.length / 4 * 3 - bytes.length;
  codes.fill(PADDING, codes.length - missing);
  return takeText(codes);
}

/**
 * The 32 bytes of a key in base64, or null unless it is exactly the text that `encodeBase64` writes: 43 characters, the
 * two spare bits of the last one zero, and one `=`.
 */
export function decodeKeyBase64(text: string): Uint8Array | null {
  if (text.length !== KEY_BASE64_CHARACTERS || text.charCodeAt(KEY_BASE64_CHARACTERS - 1) !== PADDING) return null;
  const bytes = new Uint8Array(KEY_BYTES);
  let fault = 0;
  let word = 0;
  let bits = 0;
  let length = 0;
  for (let i = 0; i < KEY_BASE64_CHARACTERS - 1; i++) {
    const value = base64Value(text.charCodeAt(i));
    fault |= value;
    word = (word << 6) | (value & 63);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[length++] = word >> bits;
    word &= (1 << bits) - 1;
  }
  // What is left are the spare bits; a non-zero one becomes a negative number.
  return rejectOn(fault | -word, bytes);
}

/** All ones if `from ≤ code ≤ to`, else zero. */
function rangeMask(code: number, from: number, to: number): number {
  return ((from - 1 - code) & (code - to - 1)) >> 31;
}

/** 0…15 to 0…9a…f: the gap between `9` and `a` is 39. */
function hexCharacter(value: number): number {
  return value + 48 + (((9 - value) >> 31) & 39);
}

/** 0…15, or −1. */
function hexValue(code: number): number {
  return -1 + (rangeMask(code, 48, 57) & (code - 47)) + (rangeMask(code, 65, 70) & (code - 54)) +
    (rangeMask(code, 97, 102) & (code - 86));
}

/** 0…63 to A…Z a…z 0…9 + /: each term is the jump of the character codes at that value. */
function base64Character(value: number): number {
  return value + 65 + (((25 - value) >> 31) & 6) - (((51 - value) >> 31) & 75) - (((61 - value) >> 31) & 15) +
    (((62 - value) >> 31) & 3);
}

/** 0…63, or −1. */
function base64Value(code: number): number {
  return -1 + (rangeMask(code, 65, 90) & (code - 64)) + (rangeMask(code, 97, 122) & (code - 70)) +
    (rangeMask(code, 48, 57) & (code + 5)) + (rangeMask(code, 43, 43) & 63) + (rangeMask(code, 47, 47) & 64);
}

/** The text of ASCII codes, which are erased. */
function takeText(codes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < codes.length; i++) text += String.fromCharCode(codes[i]);
  codes.fill(0);
  return text;
}

/** `bytes`, or null with the bytes erased if `fault` is negative. */
function rejectOn(fault: number, bytes: Uint8Array): Uint8Array | null {
  if (fault >= 0) return bytes;
  bytes.fill(0);
  return null;
}
