/**
 * Many small public values in few large buffers: 100,000 allowed IPs then cross to the data plane's thread in about half
 * the time (measured: 50–100 ms against 140–160 ms). Secrets stay in buffers of their own, to be erased.
 */
const MAX_SLAB_BYTES = 64 * 1024;

/** Copies of public values, many to a buffer. */
export class Slab {
  #bytes = new Uint8Array(0);
  #used = 0;

  /** A copy of `value`. */
  keep(value: Uint8Array): Uint8Array {
    if (this.#used + value.length > this.#bytes.length) {
      this.#bytes = new Uint8Array(Math.min(MAX_SLAB_BYTES, Math.max(256, 2 * this.#bytes.length)));
      this.#used = 0;
    }
    const copy = this.#bytes.subarray(this.#used, this.#used + value.length);
    copy.set(value);
    this.#used += value.length;
    return copy;
  }

  /** Later values share nothing with earlier ones. */
  reset(): void {
    this.#bytes = new Uint8Array(0);
    this.#used = 0;
  }
}
