/**
 * Timestamps of initiations: TAI64N, coarse on purpose, so that a stranger learns little about our clock.
 *
 * ```
 * 2^62 + 10 + Unix seconds, u64 | nanoseconds u32, low 24 bits cleared
 * ```
 *
 * Integers big-endian, so stamps compare as bytes. Steps are 2^24 ns = 16.777216 ms.
 *
 * Spec: WireGuard paper §5.4.2; https://cr.yp.to/libtai/tai64.html.
 */
import { TIMESTAMP_BYTES } from "./limits.ts";

/** TAI was ten seconds ahead when Unix time began; leap seconds since then are not counted. */
const TAI_OFFSET = 10;
const TAI_BASE_HIGH = 2 ** 30;
const NANOSECONDS_STEP = 2 ** 24;

/**
 * Writes the 12 bytes of a stamp.
 *
 * @param unixMilliseconds wall clock; fractions count
 */
export function writeTai64n(out: Uint8Array, offset: number, unixMilliseconds: number): void {
  const unixSeconds = Math.floor(unixMilliseconds / 1000);
  const nanoseconds = (unixMilliseconds - unixSeconds * 1000) * 1e6;
  const seconds = unixSeconds + TAI_OFFSET;
  const high = Math.floor(seconds / 2 ** 32);
  writeUint32(out, offset, TAI_BASE_HIGH + high);
  writeUint32(out, offset + 4, seconds - high * 2 ** 32);
  writeUint32(out, offset + 8, Math.floor(nanoseconds / NANOSECONDS_STEP) * NANOSECONDS_STEP);
}

/** Negative, zero or positive as the 12-byte stamp `a` is older than, equal to or newer than `b`. */
export function compareTai64n(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < TIMESTAMP_BYTES; i++) {
    if (a[i] !== b[i]) return a[i] - b[i];
  }
  return 0;
}

function writeUint32(out: Uint8Array, offset: number, value: number): void {
  out[offset] = value >>> 24;
  out[offset + 1] = value >>> 16;
  out[offset + 2] = value >>> 8;
  out[offset + 3] = value;
}
