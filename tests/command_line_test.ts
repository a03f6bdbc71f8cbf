/** The program as a user meets it: words in, text and exit code out. */
import assert from "node:assert/strict";
import manifest from "../deno.json" with { type: "json" };

const MAIN = new URL("../main.ts", import.meta.url).pathname;
const KEY_LINE = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=\n$/;

Deno.test("culvert --version prints the version and exits 0", async () => {
  for (const word of ["--version", "-V", "version"]) {
    assert.deepEqual(await culvert([word]), { code: 0, stdout: `culvert ${manifest.version}\n`, stderr: "" });
  }
});

Deno.test("culvert --help goes to stdout and exits 0", async () => {
  for (const words of [["--help"], ["-h"], ["help"]]) {
    const { code, stdout, stderr } = await culvert(words);
    assert.equal(code, 0);
    assert.match(stdout, /Usage: culvert \[options\] IFNAME/);
    assert.match(stdout, /genkey.*\n.*genpsk/);
    assert.equal(stderr, "");
  }
});

Deno.test("culvert answers wrong usage with one line and exit code 2", async () => {
  const wrong = [
    [],
    ["wg0", "wg1"],
    ["--nonsense", "wg0"],
    ["--carrier", "pigeon", "wg0"],
    ["--threads", "0", "wg0"],
    ["--threads", "2x", "wg0"],
    ["--carrier", "datagram", "--threads", "2", "wg0"],
    ["shwo"],
    ["up"],
    ["genkye"],
    ["genkey", "x"],
    ["--keylog", "f", "genkey"],
    ["completion", "tcsh"],
    ["help", "nonsense"],
  ];
  for (const words of wrong) {
    const { code, stdout, stderr } = await culvert(words);
    assert.equal(code, 2, words.join(" "));
    assert.equal(stdout, "", words.join(" "));
    assert.match(stderr, /^culvert: [^\n]+\n$/, words.join(" "));
  }
});

Deno.test("culvert answers an impossible interface name with one line and exit code 1", async () => {
  for (const words of [["a/b"], ["sixteen-letters-"], ["-f", ".."], ["--", "a b"], [""]]) {
    const { code, stderr } = await culvert(words);
    assert.equal(code, 1, words.join(" "));
    assert.match(stderr, /^culvert: [^\n]*interface name[^\n]*\n$/, words.join(" "));
  }
});

Deno.test("culvert suggests the verb that was meant", async () => {
  assert.match((await culvert(["genkye"])).stderr, /"genkey".*culvert -- genkye/);
});

Deno.test("culvert genkey and genpsk print a new key each time, without any permission", async () => {
  const keys = new Set<string>();
  for (const verb of ["genkey", "genkey", "genpsk", "genpsk"]) {
    const { code, stdout } = await culvert([verb], { permissions: [] });
    assert.equal(code, 0);
    assert.match(stdout, KEY_LINE);
    keys.add(stdout);
  }
  assert.equal(keys.size, 4);
});

Deno.test("culvert genkey clamps, culvert genpsk does not", async () => {
  const firstBits = new Set<number>();
  for (let i = 0; i < 8; i++) {
    const privateKey = bytesOf((await culvert(["genkey"])).stdout);
    assert.equal(privateKey[0] & 7, 0);
    assert.equal(privateKey[31] & 0xc0, 0x40);
    firstBits.add(bytesOf((await culvert(["genpsk"])).stdout)[0] & 7);
  }
  // Eight times the same three bits: one chance in two million.
  assert.ok(firstBits.size > 1);
});

Deno.test("culvert pubkey gives the public key of RFC 7748 §6.1", async () => {
  const privateKey = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
  const publicKey = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";
  for (const tail of ["", "\n", " \r\n\0"]) {
    const { code, stdout } = await culvert(["pubkey"], { stdin: privateKey + tail, permissions: [] });
    assert.equal(code, 0);
    assert.equal(stdout, `${publicKey}\n`);
  }
});

Deno.test("culvert pubkey refuses what is no key with exit code 1", async () => {
  for (const stdin of ["", "short\n", "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=x"]) {
    const { code, stdout, stderr } = await culvert(["pubkey"], { stdin });
    assert.equal(code, 1);
    assert.equal(stdout, "");
    assert.match(stderr, /^culvert: [^\n]+\n$/);
  }
});

Deno.test("culvert genkey warns when everybody may read the file", async () => {
  const folder = await Deno.makeTempDir();
  try {
    for (const [mask, warns] of [["022", true], ["077", false]] as const) {
      const command = `umask ${mask}; exec "$0" run "$1" genkey > "$2/key${mask}"`;
      const args = ["-c", command, Deno.execPath(), MAIN, folder];
      const { code, stderr } = await new Deno.Command("sh", { args }).output();
      assert.equal(code, 0);
      assert.equal(/Warning: writing to world accessible file\./.test(new TextDecoder().decode(stderr)), warns);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("culvert without a permission says which in one line", async () => {
  const { code, stderr } = await culvert(["-f", "wg0"], { permissions: ["--allow-env"] });
  assert.equal(code, 1);
  assert.match(stderr, /^culvert: [^\n]*permission[^\n]*\n$/);
});

async function culvert(
  words: readonly string[],
  options: { stdin?: string; permissions?: readonly string[] } = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const args = ["run", "--quiet", "--no-prompt", ...options.permissions ?? ["--allow-all"], MAIN, ...words];
  const child = new Deno.Command(Deno.execPath(), { args, stdin: "piped", stdout: "piped", stderr: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(options.stdin ?? ""));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(atob(text.trim()), (character) => character.charCodeAt(0));
}
