import assert from "node:assert/strict";
import { completionScript } from "./completion.ts";
import { createProgram } from "./program.ts";

const PROGRAM = createProgram([], { code: 0 });

for (const shell of ["bash", "zsh", "fish"]) {
  Deno.test(`completionScript() for ${shell} knows every verb and every option`, () => {
    const script = completionScript(PROGRAM, shell);
    for (const verb of PROGRAM.commands) assert.ok(script.includes(verb.name()), verb.name());
    for (const option of PROGRAM.options) assert.ok(script.includes(option.long?.slice(2) ?? "?"), option.long);
  });
}

Deno.test("completionScript() for bash completes", { ignore: !hasBash() }, async () => {
  const script = completionScript(PROGRAM, "bash");
  assert.deepEqual(await complete(script, ["gen"]), ["genkey", "genpsk"]);
  assert.deepEqual(await complete(script, ["--carrier", "b"]), ["batch"]);
  assert.deepEqual(await complete(script, ["completion", "z"]), ["zsh"]);
});

async function complete(script: string, words: string[]): Promise<string[]> {
  const all = ["culvert", ...words].map((word) => `'${word}'`).join(" ");
  const probe =
    `${script}\nCOMP_WORDS=(${all}); COMP_CWORD=${words.length}; _culvert; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await new Deno.Command("bash", { args: ["-c", probe] }).output();
  return new TextDecoder().decode(stdout).trim().split("\n").sort();
}

function hasBash(): boolean {
  try {
    return new Deno.Command("bash", { args: ["-c", "true"] }).outputSync().success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
