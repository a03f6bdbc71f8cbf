/** What an engine is timed with: a burst of packets that differ, spread over a megabyte as in a running data plane. */
import { type Aead, ENGINE_BYTES } from "../../crypto/aead.ts";

/** Packets of one burst, fewer if they do not fit. */
const PACKETS = 64;
const PAGE = 65_536;
const PAGES = 17;
const KEY = ENGINE_BYTES;
const TAG_BYTES = 16;
/** An IP packet lies behind a header of 16 bytes and is not aligned to more than 4. */
const FIRST = PAGE + 4;

export class Burst {
  readonly aead: Aead;
  readonly packets: number;
  readonly #size: number;
  readonly #stride: number;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  /** The sealed packets, put back before they are opened again. */
  readonly #sealed: Uint8Array<ArrayBuffer>;

  constructor(create: (memory: WebAssembly.Memory) => Aead, size: number) {
    const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
    this.#bytes = new Uint8Array(memory.buffer as ArrayBuffer);
    this.#size = size;
    this.#stride = Math.max(1024, Math.ceil((size + 2 * TAG_BYTES) / 64) * 64 + 64);
    this.packets = Math.min(PACKETS, Math.floor((PAGES - 2) * PAGE / this.#stride));
    this.aead = create(memory);
    for (let at = PAGE; at < this.#bytes.length; at += PAGE) {
      crypto.getRandomValues(this.#bytes.subarray(at, at + PAGE));
    }
    this.seal();
    this.#sealed = this.#bytes.slice();
  }

  seal(): void {
    for (let i = 0, at = FIRST; i < this.packets; i++, at += this.#stride) {
      this.aead.seal(KEY, i, 1, at, at, this.#size);
    }
  }

  /** Seals as a data plane does that sends the packets together; the same as `seal` for an engine without it. */
  push(): void {
    if (this.aead.sealPush === undefined || this.aead.sealFlush === undefined) return this.seal();
    for (let i = 0, at = FIRST; i < this.packets; i++, at += this.#stride) {
      this.aead.sealPush(KEY, i, 1, at, at, this.#size);
    }
    this.aead.sealFlush();
  }

  /** Makes the packets sealed ones again: before each `open`, outside what is timed. */
  restore(): void {
    this.#bytes.set(this.#sealed.subarray(PAGE), PAGE);
  }

  open(): void {
    for (let i = 0, at = FIRST; i < this.packets; i++, at += this.#stride) {
      if (!this.aead.open(KEY, i, 1, at, at, this.#size)) throw new Error(`${this.aead.name} does not open its own`);
    }
  }
}
