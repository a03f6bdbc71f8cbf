/** The examples in mod.ts run. Their types are checked by `deno check --doc` where unused names are allowed. */
import assert from "node:assert/strict";

Deno.test("the examples of mod.ts do what they say", async () => {
  const cwd = new URL("../", import.meta.url);
  const args = ["test", "--allow-all", "--doc", "mod.ts"];
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd }).output();
  const report = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assert.ok(success, report);
  assert.match(report, /\b[1-9]\d* passed/);
});
