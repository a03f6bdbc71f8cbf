import assert from "node:assert/strict";
import { formatFinding } from "./check.ts";
import { runCommandLine } from "./program.ts";

const BAD = "[Interface]\nListenPort = x\n";
const WARNED = "[Interface]\nListenPort = 5\n";

Deno.test("formatFinding() gives place, level, message and remedy", () => {
  const finding = { file: "a", line: 3, level: "error", rule: "r", message: "M", remedy: "do" } as const;
  assert.equal(formatFinding(finding), "a:3: error: M [r]\n  remedy: do\n");
  assert.equal(formatFinding({ ...finding, line: 0 }), "a: error: M [r]\n  remedy: do\n");
});

Deno.test("check fails for errors, with --strict for warnings too", async () => {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, BAD);
    assert.equal(await check([file]), 1);
    await Deno.writeTextFile(file, WARNED);
    assert.equal(await check([file]), 0);
    assert.equal(await check(["--strict", file]), 1);
    assert.equal(await check([`${file}.absent`]), 1);
    assert.equal(await check([]), 2);
  } finally {
    await Deno.remove(file);
  }
});

/** Runs the verb without its output. */
async function check(words: string[]): Promise<number> {
  const written: [typeof Deno.stdout.writeSync, typeof Deno.stderr.writeSync] = [
    Deno.stdout.writeSync,
    Deno.stderr.writeSync,
  ];
  Deno.stdout.writeSync = Deno.stderr.writeSync = (bytes: Uint8Array) => bytes.length;
  try {
    return await runCommandLine(["check", ...words]);
  } finally {
    [Deno.stdout.writeSync, Deno.stderr.writeSync] = written;
  }
}
