/**
 * The packet kernel as an `Aead` engine: WebAssembly SIMD, everywhere; its wide builds need flags of V8.
 */
import type { Aead } from "./aead.ts";
import { PLAIN_KERNEL, RELAXED_KERNEL, WIDE_ARITHMETIC_KERNEL, WIDE_KERNEL } from "./kernel/bytes.ts";
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
export const KERNEL_BUILDS: readonly KernelBuild[] = ["relaxed", "plain", "wide", "wide-arithmetic"];

const BYTES: Record<KernelBuild, string> = {
  relaxed: RELAXED_KERNEL,
  plain: PLAIN_KERNEL,
  wide: WIDE_KERNEL,
  "wide-arithmetic": WIDE_ARITHMETIC_KERNEL,
};

/** Compiled once, so that what has been tested and optimised over one memory is what runs over another. */
const modules = new Map<KernelBuild, WebAssembly.Module | null>();

/**
 * The kernel over a memory of fixed size, or null where this runtime does not take it.
 *
 * @param build which one; by default the fastest that compiles and needs no flags of V8
 */
export function createKernelAead(memory: WebAssembly.Memory, build?: KernelBuild): KernelAead | null {
  for (const candidate of build === undefined ? ["relaxed", "plain"] as const : [build]) {
    const module = moduleOf(candidate);
    if (module === null) continue;
    const { exports } = new WebAssembly.Instance(module, { env: { memory } });
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

/** Null if this runtime does not compile it. */
function moduleOf(build: KernelBuild): WebAssembly.Module | null {
  let module = modules.get(build);
  if (module === undefined) {
    const bytes = decodeBase64(BYTES[build]);
    module = WebAssembly.validate(bytes) ? new WebAssembly.Module(bytes) : null;
    modules.set(build, module);
  }
  return module;
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}
