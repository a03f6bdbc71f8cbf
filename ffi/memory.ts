/** Addresses of JavaScript memory, for structures that the kernel follows. */

/**
 * Where the first byte of `view` lies. The address holds as long as the underlying buffer is reachable, is not
 * transferred and (WebAssembly) does not grow; keeping only the number does not keep the buffer.
 */
export function addressOf(view: Uint8Array): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(view as Uint8Array<ArrayBuffer>));
}

/** Writes a pointer field of a structure. */
export function writePointer(view: DataView, at: number, address: bigint): void {
  view.setBigUint64(at, address, true);
}

/** Bytes of text with the terminating NUL that C wants. A NUL inside would cut the text, so it is refused. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new TypeError("Text for the system must not contain NUL");
  const bytes = new TextEncoder().encode(text);
  const out = new Uint8Array(bytes.length + 1);
  out.set(bytes);
  return out;
}

/**
 * `base + offset` without BigInt arithmetic, which allocates (7–9 % of the CPU in a packet loop): one cell is rewritten
 * through a 32-bit alias and read as a 64-bit number.
 */
export class Address {
  /** Kept so that the memory outlives the address. */
  readonly memory: Uint8Array;
  readonly #cell = new BigUint64Array(1);
  readonly #words = new Uint32Array(this.#cell.buffer);
  readonly #low: number;
  readonly #high: number;

  /** @param memory whose first byte is offset 0 */
  constructor(memory: Uint8Array) {
    this.memory = memory;
    this.#cell[0] = addressOf(memory);
    this.#low = this.#words[0];
    this.#high = this.#words[1];
  }

  /** The address of byte `offset`, 0 … 2^32−1. */
  at(offset: number): bigint {
    const low = this.#low + offset;
    this.#words[0] = low;
    this.#words[1] = low >= 0x1_0000_0000 ? this.#high + 1 : this.#high;
    return this.#cell[0];
  }

  /** Writes the address of byte `offset` as a pointer field of a structure. */
  write(view: DataView, at: number, offset: number): void {
    const low = this.#low + offset;
    view.setUint32(at, low, true);
    view.setUint32(at + 4, low >= 0x1_0000_0000 ? this.#high + 1 : this.#high, true);
  }
}
