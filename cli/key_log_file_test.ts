import assert from "node:assert/strict";
import { KeyLogFile } from "./key_log_file.ts";

Deno.test("KeyLogFile appends, for its owner alone", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/keys.log`;
    // An existing file that others may read is taken away from them.
    await Deno.writeTextFile(path, "before\n", { mode: 0o644 });
    const file = KeyLogFile.open(path);
    file.append(["one", "two"]);
    file.close();
    assert.equal(await Deno.readTextFile(path), "before\none\ntwo\n");
    assert.equal(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o600);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("KeyLogFile.open() names cause and remedy", () => {
  assert.throws(() => KeyLogFile.open("/nowhere/at/all/keys.log"), {
    name: "OperatorError",
    message: /cannot write the key log.*--keylog/,
  });
});
