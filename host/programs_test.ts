import assert from "node:assert/strict";
import { HostError } from "./host_error.ts";
import { findProgram, runHook, runProgram } from "./programs.ts";
import { inFolderAsync } from "./state_fixture.ts";

const NEVER = new AbortController().signal;

Deno.test("findProgram() takes the first that can be executed", async () => {
  await inFolderAsync(async (folder) => {
    for (const [name, mode] of [["a", 0o644], ["b", 0o755], ["c", 0o755]] as const) {
      await Deno.mkdir(`${folder}/${name}`);
      await Deno.writeTextFile(`${folder}/${name}/some-program`, "#!/bin/sh\n", { mode });
    }
    const path = `${folder}/none:${folder}/a::${folder}/b:${folder}/c`;
    assert.equal(findProgram("some-program", path), `${folder}/b/some-program`);
    assert.equal(findProgram("no-such-program", path), null);
    assert.match(findProgram("sh", "") ?? "", /\/sh$/);
  });
});

Deno.test("runProgram() hands over its input and returns the exit code", async () => {
  await inFolderAsync(async (folder) => {
    assert.equal(await runProgram("/bin/sh", ["-c", 'cat >"$1"; exit 3', "sh", `${folder}/out`], "some\ntext"), 3);
    assert.equal(await Deno.readTextFile(`${folder}/out`), "some\ntext");
    // One that does not read is not waited for.
    assert.equal(await runProgram("/bin/sh", ["-c", "exit 4"], "x".repeat(1 << 20)), 4);
  });
});

Deno.test("runHook() runs a shell that ends at the first failure", async () => {
  await inFolderAsync(async (folder) => {
    const out = `${folder}/out`;
    await runHook(`echo "a#b" >${out}`, NEVER);
    assert.equal(await Deno.readTextFile(out), "a#b\n");
    await assert.rejects(runHook(`false; echo no >${out}`, NEVER), HostError);
    await assert.rejects(runHook("exit 9", NEVER), /exit code 9/);
    assert.equal(await Deno.readTextFile(out), "a#b\n");
  });
});

Deno.test("runHook() ends the shell when it is told to", async () => {
  const end = new AbortController();
  const hook = runHook("exec sleep 60", end.signal);
  end.abort();
  await assert.rejects(hook, /SIGTERM/);
});
