import assert from "node:assert/strict";
import { startLog } from "./log.ts";

const LEVELS = { debug: ["error", "info", "debug"], error: ["error"], silent: [] } as const;

for (const [level, told] of Object.entries(LEVELS)) {
  Deno.test(`startLog() at ${level} tells ${told.length} of three levels`, async () => {
    const source = `import { prefixLog, startLog } from ${JSON.stringify(new URL("log.ts", import.meta.url).href)};
      const log = prefixLog(startLog(${JSON.stringify(level)}), "wg0");
      log.error("an {odd} error"); log.info("an {odd} info"); log.debug("an {odd} debug");`;
    const lines = await stderrOf(source);
    assert.deepEqual(
      lines.map((line) => line.replace(/^\S+Z /, "")),
      told.map((word) => `${word} wg0: an {odd} ${word}`),
    );
  });
}

Deno.test("startLog() may be called again", () => {
  startLog("silent");
  startLog("silent");
});

async function stderrOf(source: string): Promise<string[]> {
  const config = new URL("../deno.json", import.meta.url).pathname;
  const script = `data:text/typescript,${encodeURIComponent(source)}`;
  const args = ["run", "--quiet", "--no-check", "--config", config, script];
  const { stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
  return new TextDecoder().decode(stderr).split("\n").filter((line) => line !== "");
}
