import assert from "node:assert/strict";
import { stripConfig } from "./config_strip.ts";

const FILE = `# top
  [Interface] # mine
PrivateKey = x   # a comment
\tAddress = 10.0.0.1/24
DNS=1.1.1.1
mtu = 1
Table = off
PostUp = a # b
SaveConfig = true
 # Address = commented
ListenPort = 5

[Peer]
Address = 1.2.3.4
[interface]
PREDOWN = x`;

Deno.test("stripConfig() takes wg-quick's keys out of [Interface]", () => {
  assert.equal(
    stripConfig(FILE),
    "# top\n[Interface] # mine\nPrivateKey = x   # a comment\n# Address = commented\nListenPort = 5\n\n[Peer]\n" +
      "Address = 1.2.3.4\n[interface]\n\n",
  );
  assert.equal(stripConfig(""), "\n");
  assert.equal(stripConfig("[Interface]\r\nMTU = 5\r\nListenPort = 5\r\n"), "[Interface]\r\nListenPort = 5\r\n\n");
});

Deno.test("stripConfig() prints what wg-quick strip prints", { ignore: !canRunWgQuick() }, async () => {
  const folder = await Deno.makeTempDir();
  try {
    for (
      const text of [
        FILE,
        "",
        "\n\n",
        FILE.replaceAll("\n", "\r\n"),
        "[Interface]\n MTU = 5",
        "MTU = 5\n[ Interface ]\nMTU=5\n",
      ]
    ) {
      const file = `${folder}/strip.conf`;
      await Deno.writeTextFile(file, text, { mode: 0o600 });
      const { stdout } = await new Deno.Command("wg-quick", { args: ["strip", file] }).output();
      assert.equal(stripConfig(text), new TextDecoder().decode(stdout), JSON.stringify(text));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** wg-quick wants root for everything, and asks sudo for it. */
function canRunWgQuick(): boolean {
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return false;
  return ["/usr/bin/wg-quick", "/bin/wg-quick", "/usr/local/bin/wg-quick"].some((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  });
}
