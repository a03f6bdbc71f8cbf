import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { v8Flags, wantedV8Flags } from "./v8_flags.ts";

Deno.test("v8Flags() names none for a version that they were not tried on", () => {
  deepStrictEqual(v8Flags("14.5.201.2-rusty"), []);
  deepStrictEqual(v8Flags("16.0.1"), []);
  deepStrictEqual(v8Flags("150.0.1"), []);
});

Deno.test("wantedV8Flags() names none in a process that has them, and such a process starts", async () => {
  const flags = v8Flags();
  const module = new URL("./v8_flags.ts", import.meta.url).href;
  const code = `import { wantedV8Flags } from ${JSON.stringify(module)}; console.log(wantedV8Flags("auto").length);`;
  const cache = await Deno.makeTempDir();
  const ask = async (given: readonly string[]): Promise<string> => {
    const { success, stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", ...given.length > 0 ? [`--v8-flags=${given.join(",")}`] : [], code],
      // Whatever flags these tests run under.
      clearEnv: true,
      env: { NO_COLOR: "1", DENO_DIR: cache },
      stderr: "inherit",
    }).output();
    strictEqual(success, true);
    return new TextDecoder().decode(stdout).trim();
  };
  try {
    strictEqual(await ask([]), String(flags.length));
    strictEqual(await ask(flags), "0");
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
  deepStrictEqual(wantedV8Flags("noble"), []);
  deepStrictEqual(wantedV8Flags("kernel"), []);
});
