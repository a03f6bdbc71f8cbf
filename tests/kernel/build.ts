/**
 * Compiles the packet kernel and writes its bytes as base64 into `crypto/kernel/bytes.ts`, so that the program reads no file for it.
 * The compiler is deterministic: `--check` compiles again and compares.
 *
 * `deno task kernel [--check | --print]`
 */
import asc from "assemblyscript/asc";
import type { KernelBuild } from "../../crypto/kernel/chacha20.ts";
import { writeWideArithmetic } from "../../crypto/kernel/wide_arithmetic.ts";
import { kernelSource } from "../../crypto/kernel/source.ts";

const TARGET = new URL("../../crypto/kernel/bytes.ts", import.meta.url);
const FLAGS = ["--runtime", "stub", "--noAssert", "--enable", "simd", "--importMemory", "--memoryBase", "2560"];
const RELAXED = ["--enable", "relaxed-simd"];
/** The wide builds are not optimised: V8 and the stand-ins for wide arithmetic want code in the order it is written in. */
const BUILD_FLAGS: Record<KernelBuild, string[]> = {
  relaxed: [...FLAGS, ...RELAXED, "-O3"],
  plain: [...FLAGS, "-O3"],
  wide: [...FLAGS, ...RELAXED, "-O0"],
  "wide-arithmetic": [...FLAGS, ...RELAXED, "-O0"],
};

async function compile(build: KernelBuild): Promise<string> {
  let binary: Uint8Array | null = null;
  const { error, stderr } = await asc.main(["kernel.ts", "--outFile", "kernel.wasm", ...BUILD_FLAGS[build]], {
    readFile: (name: string) => name === "kernel.ts" ? kernelSource(build) : null,
    writeFile: (_name: string, contents: string | Uint8Array) => {
      if (typeof contents !== "string") binary = contents;
    },
    listFiles: () => [],
  });
  if (error !== null || binary === null) throw new Error(`The kernel does not compile:\n${stderr.toString()}`);
  const wide = writeWideArithmetic(binary);
  if ((wide > 0) !== (build === "wide-arithmetic")) throw new Error(`${build} has ${wide} wide instructions`);
  return (binary as Uint8Array).toBase64();
}

async function render(): Promise<string> {
  return `/** Built by tests/kernel/build.ts from source.ts; never edited. */

/** With relaxed SIMD. */
export const RELAXED_KERNEL =
  "${await compile("relaxed")}";

/** With the SIMD that every engine has. */
export const PLAIN_KERNEL =
  "${await compile("plain")}";

/** For V8 with --experimental-wasm-revectorize. */
export const WIDE_KERNEL =
  "${await compile("wide")}";

/** For V8 with --experimental-wasm-revectorize and --experimental-wasm-wide-arithmetic. */
export const WIDE_ARITHMETIC_KERNEL =
  "${await compile("wide-arithmetic")}";
`;
}

if (import.meta.main) {
  const write = (text: string): void => void Deno.stdout.writeSync(new TextEncoder().encode(text));
  if (Deno.args.includes("--print")) {
    write(kernelSource("relaxed"));
  } else {
    const text = await render();
    if (!Deno.args.includes("--check")) {
      await Deno.writeTextFile(TARGET, text);
    } else if (text !== await Deno.readTextFile(TARGET)) {
      throw new Error("crypto/kernel/bytes.ts is not what source.ts compiles to; run `deno task kernel`");
    }
  }
}
