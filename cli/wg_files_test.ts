import assert from "node:assert/strict";
import { encodeBase64 } from "../mod.ts";
import { parseServices } from "./service_ports.ts";
import { WgError } from "./wg_errors.ts";
import { parseKeyFile, readKeyFile, readWholeFile } from "./wg_files.ts";

const KEY = new Uint8Array(32).fill(9);
const TEXT = encodeBase64(KEY);

Deno.test("parseKeyFile() takes a key and white space", () => {
  for (const text of [TEXT, `${TEXT}\n`, `${TEXT} \t\r\n\n`]) assert.deepEqual(parse(text), KEY);
  for (const text of [TEXT.slice(1), `${TEXT}\nx`, ` ${TEXT}`, `${TEXT.slice(0, 42)}l=`]) {
    assert.throws(() => parse(text), (error) => error instanceof WgError && !error.message.includes(TEXT.slice(1, 9)));
  }
});

Deno.test("parseKeyFile() takes an empty file for no key, but not an empty pipe", () => {
  assert.deepEqual(parseKeyFile(new Uint8Array(), true), new Uint8Array(32));
  assert.throws(() => parseKeyFile(new Uint8Array(), false), { message: "Invalid length key in key file" });
});

Deno.test("readKeyFile() and readWholeFile() say what fopen would", async () => {
  assert.deepEqual(await readKeyFile("/dev/null"), new Uint8Array(32));
  await assert.rejects(readKeyFile("/nonexistent/key"), { message: "fopen: No such file or directory" });
  await assert.rejects(readWholeFile("/"), { message: "fopen: Is a directory" });
  await assert.rejects(readWholeFile("/dev/null/x"), { message: "fopen: Not a directory" });
});

Deno.test("readWholeFile() reads files of any length", async () => {
  const path = await Deno.makeTempFile();
  try {
    for (const length of [0, 1, 8191, 8192, 8193, 100_000]) {
      const bytes = new Uint8Array(length).map((_, i) => i);
      await Deno.writeFile(path, bytes);
      assert.deepEqual(await readWholeFile(path), bytes);
    }
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("parseServices() reads names and aliases of UDP services", () => {
  const ports = parseServices(
    "# services\ndomain 53/tcp\ndomain\t53/udp  dns # name\nhttp 80/tcp\nlate 1/udp\nlate 2/udp\nx y\n",
  );
  assert.deepEqual([...ports], [["domain", 53], ["dns", 53], ["late", 1]]);
});

function parse(text: string): Uint8Array {
  return parseKeyFile(new TextEncoder().encode(text), true);
}
