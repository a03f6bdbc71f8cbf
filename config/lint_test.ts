import assert from "node:assert/strict";
import { encodeBase64 } from "../crypto/encoding.ts";
import { publicKey } from "../crypto/x25519.ts";
import { type Finding, lintConfig } from "./lint.ts";

const PRIVATE = new Uint8Array(32).fill(0x40);
const PRIVATE_TEXT = encodeBase64(PRIVATE);
const [A, B, C] = [1, 2, 3].map((byte) => encodeBase64(new Uint8Array(32).fill(byte)));

const GOOD = `[Interface]
PrivateKey = ${PRIVATE_TEXT}
ListenPort = 51820
Address = 10.0.0.1/24
[Peer]
PublicKey = ${A}
AllowedIPs = 10.0.0.2/32
[Peer]
PublicKey = ${B}
AllowedIPs = 10.0.0.3/32
Endpoint = 192.0.2.1:51820
`;

Deno.test("lintConfig() finds nothing wrong with a good file", () => {
  assert.deepEqual(lint(GOOD), []);
  assert.deepEqual(lint(GOOD, 0o100600), []);
});

Deno.test("lintConfig() tells every line that cannot be read", () => {
  expect(`${GOOD}Nonsense = 1\nPersistentKeepalive = x\n`, [[12, "error", "syntax"], [13, "error", "syntax"]]);
});

Deno.test("lintConfig() finds stolen and overlapping allowed IPs", () => {
  expect(GOOD.replace("10.0.0.3/32", "10.0.0.2/32"), [[10, "error", "stolen-allowed-ip"]]);
  expect(GOOD.replace("10.0.0.3/32", "10.0.0.0/24"), [[7, "note", "overlapping-allowed-ips"]]);
  expect(GOOD.replace("10.0.0.2/32", "10.0.0.0/24"), [[10, "note", "overlapping-allowed-ips"]]);
  // A default route beside others is what everybody means.
  expect(GOOD.replace("10.0.0.3/32", "0.0.0.0/0"), []);
  expect(GOOD.replace("10.0.0.3/32", "10.0.0.3/32, 10.0.0.0/30"), [[7, "note", "overlapping-allowed-ips"]]);
});

Deno.test("lintConfig() finds host bits and writes the prefix right", () => {
  const [finding] = expect(GOOD.replace("10.0.0.3/32", "10.1.0.3/16"), [[10, "warning", "host-bits"]]);
  assert.equal(finding.remedy, "write 10.1.0.0/16");
});

Deno.test("lintConfig() finds an endpoint inside its own allowed IPs, unless something is done about it", () => {
  const inside = GOOD.replace("10.0.0.3/32", "192.0.0.0/8");
  expect(
    inside.replace("192.0.0.0/8", "192.0.0.0/8"),
    [[10, "warning", "host-bits"], [11, "error", "endpoint-inside"]]
      .filter(([line]) => line === 11) as [number, string, string][],
  );
  expect(inside.replace("Address", "FwMark = 5\nAddress"), []);
  expect(inside.replace("Address", "Table = off\nAddress"), []);
  expect(GOOD.replace("10.0.0.3/32", "0.0.0.0/0"), []);
  expect(GOOD.replace("10.0.0.3/32", "0.0.0.0/0").replace("Address", "Table = 5\nAddress"), [
    [12, "error", "endpoint-inside"],
  ]);
  expect(GOOD.replace("10.0.0.3/32", "128.0.0.0/1"), [[11, "error", "endpoint-inside"]]);
});

Deno.test("lintConfig() finds an MTU too small for IPv6", () => {
  expect(GOOD.replace("Address", "MTU = 1279\nAddress"), []);
  expect(GOOD.replace("Address = ", "MTU = 1279\nAddress = fd00::1, "), [[4, "error", "small-mtu"]]);
  expect(GOOD.replace("Address = ", "MTU = 1280\nAddress = fd00::1, "), []);
});

Deno.test("lintConfig() finds a hub nobody can find, and a client nobody can reach", () => {
  const portless = GOOD.replace("ListenPort = 51820\n", "");
  expect(portless, [[4, "warning", "no-listen-port"], [7, "note", "no-keepalive"]]);
  expect(`${portless}PersistentKeepalive = 25\n`, [[4, "warning", "no-listen-port"]]);
});

Deno.test("lintConfig() looks at further endpoints as at the first", () => {
  const further = (...texts: string[]): string => GOOD + texts.map((text) => `# @endpoint = ${text}\n`).join("");
  expect(further("vpn.example:5", "[2001:db8::1]:6"), []);
  expect(further("vpn.example"), [[12, "error", "syntax"]]);
  expect(further("10.0.0.2:5"), [[12, "error", "endpoint-inside"]]);
  expect(further("a.example:5", "b.example:5", "a.example:5"), [[14, "warning", "same-endpoint"]]);
  expect(further(...Array.from({ length: 9 }, (_, i) => `a${i}.example:5`)), [[20, "error", "many-endpoints"]]);
});

Deno.test("lintConfig() finds a file that others may read", () => {
  const [finding] = expect(GOOD, [[0, "warning", "world-readable"]], 0o100644);
  assert.equal(finding.remedy, "chmod 600 wg0.conf");
  expect(GOOD, [[0, "warning", "world-readable"]], 0o100640);
  expect(GOOD.replace(/PrivateKey.*\n/, "PostUp = wg set %i private-key /k\n"), [], 0o100644);
});

Deno.test("lintConfig() finds keys in the wrong place", () => {
  expect(GOOD.replace(A, encodeBase64(publicKey(PRIVATE))), [[6, "error", "own-key"]]);
  expect(GOOD.replace(A, PRIVATE_TEXT), [[2, "error", "own-key"]]);
  expect(GOOD.replace(B, `${B}\nPresharedKey = ${PRIVATE_TEXT}`), [[10, "error", "own-key"]]);
  expect(GOOD.replace(B, A), [[9, "warning", "same-peer"]]);
  expect(GOOD.replace(/PrivateKey.*\n/, ""), [[1, "warning", "no-private-key"]]);
});

Deno.test("lintConfig() never tells a key", () => {
  const broken = GOOD.replace(C, A).replace(A, PRIVATE_TEXT) + `[Interface]\nPrivateKey = ${PRIVATE_TEXT.slice(1)}\n`;
  for (const finding of lint(broken, 0o100777)) {
    assert.ok(!JSON.stringify(finding).includes(PRIVATE_TEXT.slice(1, 20)), finding.rule);
    assert.notEqual(finding.remedy, "");
  }
});

Deno.test("lintConfig() of ten thousand peers takes no five seconds", () => {
  const peers = Array.from({ length: 10_000 }, (_, i) => {
    const key = new Uint8Array(32).fill(5);
    new DataView(key.buffer).setUint32(0, i);
    return `[Peer]\nPublicKey = ${encodeBase64(key)}\nAllowedIPs = 10.${i >> 8}.${i & 255}.0/24, fd00:${
      i.toString(16)
    }::/64\n`;
  });
  const start = performance.now();
  assert.deepEqual(lint(`[Interface]\nPrivateKey = ${PRIVATE_TEXT}\nListenPort = 1\n${peers.join("")}`), []);
  assert.ok(performance.now() - start < 5000);
});

function lint(text: string, mode?: number): Finding[] {
  return lintConfig(text, { file: "wg0.conf", mode });
}

function expect(text: string, wanted: [number, string, string][], mode?: number): Finding[] {
  const findings = lint(text, mode);
  assert.deepEqual(findings.map(({ line, level, rule }) => [line, level, rule]), wanted);
  return findings;
}
