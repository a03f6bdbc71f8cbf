import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeBase64 } from "../crypto/encoding.ts";
import { addKey, addPeer, removeKey, removePeer, setKey, valuesOf } from "./config_edit.ts";
import { readConfig } from "./config_reader.ts";
import { ConfigText } from "./config_text.ts";

const A = new Uint8Array(32).fill(1);
const B = new Uint8Array(32).fill(2);
const C = new Uint8Array(32).fill(3);

const FILE = `# top

[Interface]
Listen Port =  51820   # the usual
Address = 10.0.0.1/24
# @name = hub

# Alice
[Peer]
PublicKey = ${encodeBase64(A)}
AllowedIPs = 10.0.0.2/32 # hers
Endpoint = alice.example:51820

# Bob
# from next door
[Peer]
PublicKey = ${encodeBase64(B)}
AllowedIPs = 10.0.0.3/32
AllowedIPs = 10.0.0.4/32`;

const text = ConfigText.parse(FILE);

Deno.test("setKey() changes the value and nothing else", () => {
  assert.equal(
    setKey(text, "interface", "ListenPort", "1").toString(),
    FILE.replace("=  51820   # the usual", "=  1   # the usual"),
  );
  assert.equal(
    setKey(text, { peer: A }, "endpoint", "[::1]:5").toString(),
    FILE.replace("alice.example:51820", "[::1]:5"),
  );
  assert.equal(setKey(text, "interface", "@name", "spoke").toString(), FILE.replace("@name = hub", "@name = spoke"));
});

Deno.test("setKey() leaves one line where there were several", () => {
  const changed = setKey(text, { peer: B }, "AllowedIPs", "10.9.0.0/16").toString();
  assert.equal(
    changed,
    FILE.replace(/AllowedIPs = 10.0.0.3\/32\nAllowedIPs = 10.0.0.4\/32$/, "AllowedIPs = 10.9.0.0/16"),
  );
});

Deno.test("setKey() adds a new key at the end of its section, before the comments of the next", () => {
  assert.equal(
    setKey(text, "interface", "MTU", "1400").toString(),
    FILE.replace("# @name = hub\n", "# @name = hub\nMTU = 1400\n"),
  );
  assert.equal(setKey(text, { peer: B }, "@name", "bob").toString(), `${FILE}\n# @name = bob\n`);
});

Deno.test("addKey() stands behind its likes, removeKey() takes lines away", () => {
  const added = addKey(text, "interface", "Address", "fd00::1/64");
  assert.equal(added.toString(), FILE.replace("10.0.0.1/24\n", "10.0.0.1/24\nAddress = fd00::1/64\n"));
  assert.equal(removeKey(added, "interface", "address", "fd00::1/64").toString(), FILE);
  assert.deepEqual(valuesOf(added, "interface", "Address"), ["10.0.0.1/24", "fd00::1/64"]);
  assert.equal(removeKey(text, "interface", "Address").toString(), FILE.replace("Address = 10.0.0.1/24\n", ""));
  assert.equal(removeKey(text, "interface", "DNS").toString(), FILE);
});

Deno.test("edits keep the file's line ends", () => {
  const crlf = ConfigText.parse(FILE.replaceAll("\n", "\r\n"));
  const edited = addPeer(setKey(setKey(crlf, "interface", "MTU", "1400"), { peer: A }, "Endpoint", "b:1"), C)
    .toString();
  assert.ok(!/(?<!\r)\n/.test(edited));
});

Deno.test("addPeer() and removePeer() are each other's opposite", () => {
  const added = addPeer(text, C);
  assert.equal(added.toString(), `${FILE}\n\n[Peer]\nPublicKey = ${encodeBase64(C)}\n`);
  assert.throws(() => addPeer(added, C), RangeError);
  assert.equal(removePeer(added, C).toString(), `${FILE}\n\n`);
});

Deno.test("removePeer() takes the peer's own comments and leaves the others'", () => {
  const withoutAlice = removePeer(text, A).toString();
  assert.equal(withoutAlice, FILE.replace(/# Alice[\s\S]*?(?=# Bob)/, ""));
  const withoutBob = removePeer(text, B).toString();
  assert.equal(withoutBob, FILE.replace(/# Bob[\s\S]*/, ""));
});

Deno.test("edits refuse what would break the file", () => {
  for (const value of ["", " 1", "1 # 2", "1\n[Peer]", "1\r"]) {
    assert.throws(() => setKey(text, "interface", "MTU", value), RangeError, JSON.stringify(value));
  }
  for (const key of ["", "A=", "[Peer]", "@", "A B"]) {
    assert.throws(() => addKey(text, "interface", key, "1"), RangeError);
  }
  assert.throws(() => setKey(text, { peer: C }, "Endpoint", "a:1"), RangeError);
  assert.equal(valuesOf(setKey(text, "interface", "PostUp", "a # b"), "interface", "PostUp")[0], "a # b");
});

Deno.test("setKey() is what readConfig() then reads, and touches one line at most", () => {
  fc.assert(fc.property(fc.nat(65535), fc.constantFrom("\n", "\r\n"), (port, end) => {
    const before = ConfigText.parse(FILE.replaceAll("\n", end));
    const after = setKey(before, "interface", "ListenPort", `${port}`);
    assert.equal(readConfig(after.toString(), { file: "f", quick: true }).interface.listenPort, port);
    assert.equal(after.lines.length, before.lines.length);
    assert.equal(after.lines.filter((line, i) => line.text !== before.lines[i].text).length, port === 51820 ? 0 : 1);
  }));
});
