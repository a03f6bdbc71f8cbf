/**
 * The builds of the kernel for V8's experimental features, in a Deno that has been given the flags for them: the
 * conformance suite on optimised code, and whether V8 makes of them what they are written for.
 */
import assert from "node:assert/strict";

const ROOT = new URL("../../", import.meta.url);
const FLAGS = ["--experimental-wasm-revectorize", "--experimental-wasm-wide-arithmetic"];
const decoder = new TextDecoder();

const known = (await runDeno(["eval"], FLAGS, [""])).isSuccess;
const skip = known ? "" : ` (SKIPPED: Deno ${Deno.version.deno} does not know ${FLAGS.join(" ")})`;

Deno.test({
  name: `kernel builds for experimental features conform, optimised${skip}`,
  ignore: !known,
  fn: async () => {
    // Without Liftoff, V8 optimises each function before its first call.
    const { isSuccess, text } = await runDeno(["test", "-A", "--no-check"], [...FLAGS, "--no-liftoff"], [
      "crypto/kernel_aead_test.ts",
    ]);
    assert.ok(isSuccess, text);
    for (const build of ["kernel-wide", "kernel-wide-arithmetic"]) {
      const passed = text.split("\n").filter((line) => line.startsWith(`${build} `) && line.includes("... ok"));
      assert.equal(passed.length, 12, `${build}:\n${text}`);
    }
  },
});

const hasVectors = known && (await trace("wide")).includes("Begin revec function");

Deno.test({
  name: `V8 makes vectors of 256 bits of the wide kernels${
    hasVectors ? "" : `${skip} (SKIPPED: not on this processor)`
  }`,
  ignore: !hasVectors,
  fn: async () => {
    for (const build of ["wide", "wide-arithmetic"]) {
      // "DecideVectorize 1631: Save: 354, cost: 18": instructions, of which the rounds of eight lanes have 336.
      const saved = [...(await trace(build)).matchAll(/ Save: (\d+), cost: (\d+)/g)];
      const best = Math.max(...saved.map(([, save, cost]) => Number(save) - Number(cost)));
      assert.ok(best > 300, `${build}: ${best} instructions saved`);
    }
  },
});

/** What V8 says of a build's revectorisation. */
async function trace(build: string): Promise<string> {
  const script = `import { createKernelAead } from ${JSON.stringify(new URL("crypto/kernel_aead.ts", ROOT).href)};
    createKernelAead(new WebAssembly.Memory({ initial: 1, maximum: 1 }), "${build}").seal(2048, 0, 0, 4096, 4096, 1420);`;
  return (await runDeno(["eval"], [...FLAGS, "--no-liftoff", "--trace-wasm-revectorize"], [script])).text;
}

async function runDeno(verb: string[], flags: string[], rest: string[]): Promise<{ isSuccess: boolean; text: string }> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...verb, `--v8-flags=${flags.join(",")}`, ...rest],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  return { isSuccess: success, text: decoder.decode(stdout) + decoder.decode(stderr) };
}
