/**
 * The packet kernel as an `Aead` engine: WebAssembly SIMD, no flags, everywhere. The first KERNEL_SCRATCH_BYTES of the
 * memory are its own.
 */
import type { Aead } from "./aead.ts";
import { PLAIN_KERNEL, RELAXED_KERNEL } from "./kernel/bytes.ts";

/** What the compiled module exports; offsets, lengths and counters are 32-bit integers. */
interface KernelExports {
  init(): void;
  seal(key: number, low: number, high: number, dst: number, src: number, length: number): void;
  open(key: number, low: number, high: number, dst: number, src: number, length: number): number;
  sum(offset: number, length: number, initial: number): number;
}

export interface KernelAead extends Aead {
  /** The Internet checksum's sum over the same memory, see plane/checksum.ts. */
  sum(offset: number, length: number, initial: number): number;
}

/** Which builds this engine compiles; the faster one first. */
export const KERNEL_BUILDS: readonly ("relaxed" | "plain")[] = ["relaxed", "plain"];

/**
 * The kernel over a memory of fixed size, or null where WebAssembly SIMD is missing.
 *
 * @param build which one; by default the fastest that compiles
 */
export function createKernelAead(memory: WebAssembly.Memory, build?: "relaxed" | "plain"): KernelAead | null {
  for (const candidate of build === undefined ? KERNEL_BUILDS : [build]) {
    const bytes = decodeBase64(candidate === "relaxed" ? RELAXED_KERNEL : PLAIN_KERNEL);
    if (!WebAssembly.validate(bytes)) continue;
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
    const { init, seal, open, sum } = exports as unknown as KernelExports;
    init();
    return {
      name: `kernel-${candidate}`,
      seal,
      open: (key, low, high, dst, src, length) => open(key, low, high, dst, src, length) === 1,
      sum,
    };
  }
  return null;
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}
