/**
 * The packet kernel as an `Aead` engine: WebAssembly SIMD, no flags, everywhere.
 */
import type { Aead } from "./aead.ts";
import { PLAIN_KERNEL, RELAXED_KERNEL, WIDE_KERNEL, WIDE_ARITHMETIC_KERNEL, RELAXED_ARITHMETIC_KERNEL } from "./kernel/bytes.ts";
import type { KernelBuild } from "./kernel/chacha20.ts";

/** What the compiled module exports; offsets, lengths and counters are 32-bit integers. */
interface KernelExports {
  init(): void;
  seal(key: number, low: number, high: number, dst: number, src: number, length: number): void;
  sealPush(key: number, low: number, high: number, dst: number, src: number, length: number): void;
  sealFlush(): void;
  open(key: number, low: number, high: number, dst: number, src: number, length: number): number;
  sum(offset: number, length: number, initial: number): number;
}

export interface KernelAead extends Required<Aead> {
  /** The Internet checksum's sum over the same memory, see plane/checksum.ts. */
  sum(offset: number, length: number, initial: number): number;
}

/** The builds of the kernel. */
export const KERNEL_BUILDS: readonly KernelBuild[] = ["relaxed", "plain", "wide", "wide-arithmetic", "relaxed-arithmetic"];

const BYTES: Record<KernelBuild, string> = { relaxed: RELAXED_KERNEL, plain: PLAIN_KERNEL, wide: WIDE_KERNEL, "wide-arithmetic": WIDE_ARITHMETIC_KERNEL, "relaxed-arithmetic": RELAXED_ARITHMETIC_KERNEL };

/**
 * The kernel over a memory of fixed size, or null where WebAssembly SIMD is missing.
 *
 * @param build which one; by default the fastest that compiles and needs no flags of V8
 */
export function createKernelAead(memory: WebAssembly.Memory, build?: KernelBuild): KernelAead | null {
  for (const candidate of build === undefined ? ["relaxed", "plain"] as const : [build]) {
    const bytes = decodeBase64(BYTES[candidate]);
    if (!WebAssembly.validate(bytes)) continue;
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory } });
    const { init, seal, sealPush, sealFlush, open, sum } = exports as unknown as KernelExports;
    init();
    return {
      name: `kernel-${candidate}`,
      seal,
      sealPush,
      sealFlush,
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
