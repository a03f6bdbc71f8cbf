/** Room for more in flat arrays. */

/**
 * Copies `former` to the start of `larger` and gives the former memory back at once, not when a garbage collector comes
 * by; `former` must not be used any more.
 */
export function moveInto<T extends Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>>(larger: T, former: T): T {
  larger.set(former);
  former.buffer.transfer(0);
  return larger;
}
