/**
 * The Internet checksum's sum, in JavaScript: the reference, and what runs where no engine brings a faster one.
 *
 * Spec: RFC 1071.
 */

/**
 * Adds the big-endian 16-bit words of `length` bytes at `offset` to `initial`; an odd last byte counts as the high one.
 *
 * @param initial a sum so far, below 2^32
 * @returns the sum folded to 16 bits, not complemented
 */
export type InternetSum = (offset: number, length: number, initial: number) => number;

export function createInternetSum(view: DataView): InternetSum {
  return function internetSum(offset: number, length: number, initial: number): number {
    // A number stays exact for 2^21 words more than a packet can hold.
    let sum = initial;
    const end = offset + length;
    let at = offset;
    for (; at + 4 <= end; at += 4) sum += view.getUint32(at);
    if (at + 2 <= end) {
      sum += view.getUint16(at);
      at += 2;
    }
    if (at < end) sum += view.getUint8(at) << 8;
    return foldSum(sum);
  };
}

/** Folds a sum below 2^53 to 16 bits with end-around carries. */
export function foldSum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = Math.floor(folded / 0x10000) + (folded % 0x10000);
  return folded;
}
