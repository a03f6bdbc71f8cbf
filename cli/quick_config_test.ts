import assert from "node:assert/strict";
import { OperatorError } from "./errors.ts";
import { locateConfig, readQuickConfig } from "./quick_config.ts";

const KEY = "PrivateKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEA=\n";

Deno.test("locateConfig() takes a name or a path", () => {
  assert.deepEqual(locateConfig("wg0"), { name: "wg0", file: "/etc/wireguard/wg0.conf" });
  assert.deepEqual(locateConfig("/a/wg-1.conf"), { name: "wg-1", file: "/a/wg-1.conf" });
  assert.deepEqual(locateConfig("./x.conf"), { name: "x", file: `${Deno.cwd()}/x.conf` });
  // All that could be an interface's name is one.
  assert.deepEqual(locateConfig("x.conf"), { name: "x.conf", file: "/etc/wireguard/x.conf.conf" });
  for (const wrong of ["/a/wg0", "/a/sixteen-letters-.conf", "/a/.conf", "/a/b c.conf", "", "/a/...conf"]) {
    assert.throws(() => locateConfig(wrong), OperatorError, wrong);
  }
});

Deno.test("readQuickConfig() reads the kill switch and refuses what is neither on nor off", () => {
  inFile((file, write) => {
    const cases: [string, boolean][] = [
      ["", false],
      ["# @kill-switch = on\n", true],
      ["# @Kill-Switch = ON\n# @kill-switch = off\n", false],
      ["# kill-switch = on\n", false],
    ];
    for (const [line, expected] of cases) {
      write(`[Interface]\n${KEY}${line}`);
      assert.equal(readQuickConfig({ name: "wg0", file }, fail).killSwitch, expected, line);
    }
    write(`[Interface]\n# @kill-switch = maybe\n`);
    assert.throws(() => readQuickConfig({ name: "wg0", file }, fail), OperatorError);
  });
});

Deno.test("readQuickConfig() names the line that is wrong, and the file that is not there", () => {
  inFile((file, write) => {
    write("[Interface]\nMTU = many\n");
    assert.throws(() => readQuickConfig({ name: "wg0", file }, fail), /wg0\.conf:2: MTU: /);
    assert.throws(() => readQuickConfig({ name: "wg0", file: `${file}.none` }, fail), /does not exist/);
  });
});

Deno.test("readQuickConfig() warns if file and folder are open to others", () => {
  inFile((file, write) => {
    write(`[Interface]\n`);
    const warnings: string[] = [];
    const read = (): void => void readQuickConfig({ name: "wg0", file }, (message) => warnings.push(message));
    Deno.chmodSync(file, 0o644);
    read();
    assert.deepEqual(warnings, []);
    Deno.chmodSync(file.replace(/\/[^/]*$/, ""), 0o755);
    read();
    assert.deepEqual(warnings, [`Warning: \`${file}' is world accessible`]);
  });
});

function inFile(f: (file: string, write: (text: string) => void) => void): void {
  const folder = Deno.makeTempDirSync({ prefix: "culvert-config-" });
  try {
    const file = `${folder}/wg0.conf`;
    f(file, (text) => Deno.writeTextFileSync(file, text, { mode: 0o600 }));
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

function fail(message: string): never {
  throw new Error(message);
}
