/**
 * Compiles the packet kernel and writes its bytes as base64 into `crypto/kernel/bytes.ts`, so that the program reads no file for it.
 * The compiler is deterministic: `--check` compiles again and compares.
 *
 * `deno task kernel [--check | --print]`
 */
import asc from "assemblyscript/asc";
import { kernelSource } from "../../crypto/kernel/source.ts";

const TARGET = new URL("../../crypto/kernel/bytes.ts", import.meta.url);
const FLAGS = ["--runtime", "stub", "--noAssert", "-O3", "--enable", "simd", "--importMemory", "--memoryBase", "1024"];

async function compile(relaxed: boolean): Promise<Uint8Array> {
  let binary: Uint8Array | null = null;
  const flags = relaxed ? [...FLAGS, "--enable", "relaxed-simd"] : FLAGS;
  const { error, stderr } = await asc.main(["kernel.ts", "--outFile", "kernel.wasm", ...flags], {
    readFile: (name: string) => name === "kernel.ts" ? kernelSource(relaxed) : null,
    writeFile: (_name: string, contents: string | Uint8Array) => {
      if (typeof contents !== "string") binary = contents;
    },
    listFiles: () => [],
  });
  if (error !== null || binary === null) throw new Error(`The kernel does not compile:\n${stderr.toString()}`);
  return binary;
}

function render(relaxed: Uint8Array, plain: Uint8Array): string {
  return `/** Built by tests/kernel/build.ts from source.ts; never edited. */

/** With relaxed SIMD. */
export const RELAXED_KERNEL =
  "${relaxed.toBase64()}";

/** With the SIMD that every engine has. */
export const PLAIN_KERNEL =
  "${plain.toBase64()}";
`;
}

if (import.meta.main) {
  const write = (text: string): void => void Deno.stdout.writeSync(new TextEncoder().encode(text));
  if (Deno.args.includes("--print")) {
    write(kernelSource(true));
  } else {
    const text = render(await compile(true), await compile(false));
    if (!Deno.args.includes("--check")) {
      await Deno.writeTextFile(TARGET, text);
    } else if (text !== await Deno.readTextFile(TARGET)) {
      throw new Error("crypto/kernel/bytes.ts is not what source.ts compiles to; run `deno task kernel`");
    }
  }
}
