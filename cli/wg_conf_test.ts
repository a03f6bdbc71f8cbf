import assert from "node:assert/strict";
import { readConfig } from "../config/config_reader.ts";
import { type DeviceChange, emptyChange, statementsOf } from "../control/device_change.ts";
import { type DeviceStatus, encodeBase64 } from "../mod.ts";
import { changeOf, type ConfVerb, keepListedPeers } from "./wg_conf.ts";
import { readSetWords } from "./wg_set.ts";

const [A, B, C] = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte));
const FILE = `[Interface]\nListenPort = 5\n[Peer]\nPublicKey = ${
  encodeBase64(A)
}\nAllowedIPs = 10.0.0.0/8\nEndpoint = vpn.test:1
[Peer]\nPublicKey = ${encodeBase64(B)}\nPersistentKeepalive = 7\n`;

Deno.test("setconf resets what the file does not name, addconf leaves it", () => {
  const set = change("setconf");
  assert.deepEqual(
    keys(set),
    [
      ["private_key", "listen_port", "fwmark", "replace_peers"],
      ["public_key", "replace_allowed_ips", "allowed_ip"],
      ["public_key", "persistent_keepalive_interval", "replace_allowed_ips"],
    ].flat(),
  );
  assert.ok(set.privateKey!.every((byte) => byte === 0));
  assert.deepEqual(keys(change("addconf"))[0], "listen_port");
  assert.ok(!keys(change("addconf")).includes("replace_peers"));
});

Deno.test("syncconf removes peers first and clears what is no longer listed", () => {
  const sync = change("syncconf");
  keepListedPeers(sync, status());
  assert.ok(!sync.replacePeers);
  assert.deepEqual(sync.peers.map(({ publicKey, remove }) => [publicKey[0], remove]), [[3, true], [1, false], [
    2,
    false,
  ]]);
  const [, first, second] = sync.peers;
  assert.ok(first.presharedKey!.every((byte) => byte === 0));
  assert.equal(first.keepalive, 0);
  assert.deepEqual([second.presharedKey, second.keepalive], [null, 7]);
  assert.deepEqual(keys(sync).slice(3, 6), ["public_key", "remove", "public_key"]);
});

Deno.test("changeOf() hands out the endpoints to look up", () => {
  const made = emptyChange();
  const [pending, ...more] = changeOf(readConfig(FILE, { file: "f", quick: false }), "setconf", made);
  assert.deepEqual([pending.endpoint, more.length], [{ host: "vpn.test", port: 1 }, 0]);
  assert.equal(pending.peer, made.peers[0]);
});

Deno.test("changeOf() names a peer's endpoints, which only our own interfaces are told", () => {
  const names = (lines: string): readonly string[] | null => {
    const made = emptyChange();
    const file = `[Peer]\nPublicKey = ${encodeBase64(A)}\n${lines}\n`;
    changeOf(readConfig(file, { file: "f", quick: false }), "setconf", made);
    assert.ok(!statementsOf(made).some(({ key }) => key.startsWith("culvert_")));
    const told = statementsOf(made, true).flatMap((each) => each.key === "culvert_endpoint" ? [each.value] : []);
    assert.deepEqual(told, made.peers[0].endpointNames ?? []);
    return made.peers[0].endpointNames;
  };
  assert.equal(names(""), null);
  assert.equal(names("Endpoint = 192.0.2.1:1"), null);
  assert.equal(names("Endpoint = [fe80::1%eth0]:1"), null);
  assert.deepEqual(names("Endpoint = vpn.test:1"), ["vpn.test:1"]);
  assert.deepEqual(names("Endpoint = bücher.test:1"), ["xn--bcher-kva.test:1"]);
  assert.deepEqual(names("# @endpoint = [2001:db8::1]:2\nEndpoint = 192.0.2.1:1\n# @endpoint = 192.0.2.1:1"), [
    "192.0.2.1:1",
    "[2001:db8::1]:2",
  ]);
});

Deno.test("readSetWords() reads peers and their values", async () => {
  const made = emptyChange();
  const key = encodeBase64(A);
  await readSetWords(
    ["listen-port", "5", "peer", key, "allowed-ips", "10.0.0.5/8,-1.2.3.4", "peer", key, "remove"],
    made,
  );
  assert.equal(made.listenPort, 5);
  assert.deepEqual(made.peers.map(({ remove }) => remove), [false, true]);
  const { replaceAllowedIps, allowedIps } = made.peers[0];
  assert.ok(!replaceAllowedIps);
  assert.deepEqual(allowedIps.map(({ address, cidr, remove }) => [address.join("."), cidr, remove]), [
    ["10.0.0.0", 8, false],
    ["1.2.3.4", 32, true],
  ]);
});

Deno.test("readSetWords() refuses words that are none, or stand in the wrong place", async () => {
  const key = encodeBase64(A);
  const wrong = [["x"], ["remove"], ["listen-port"], ["peer", key, "listen-port", "5"], ["endpoint", "1.2.3.4:5"], [
    "peer",
  ]];
  for (const words of wrong) {
    await assert.rejects(readSetWords(words, emptyChange()), { name: "WgError", message: /^Invalid argument: / });
  }
  await assert.rejects(readSetWords(["peer", key.slice(1)], emptyChange()), {
    message: "Key is not the correct length or format",
  });
});

function change(verb: ConfVerb): DeviceChange {
  const made = emptyChange();
  changeOf(readConfig(FILE, { file: "f", quick: false }), verb, made);
  return made;
}

function keys(made: DeviceChange): string[] {
  return statementsOf(made).map(({ key }) => key);
}

function status(): DeviceStatus {
  const peer = {
    presharedKey: null,
    endpoint: null,
    lastHandshakeSeconds: 0,
    lastHandshakeNanoseconds: 0,
    txBytes: 0,
    rxBytes: 0,
    persistentKeepalive: 0,
    allowedIps: [],
    endpointNames: [],
    drops: new Map(),
  };
  return {
    privateKey: null,
    listenPort: 5,
    fwmark: 0,
    features: [],
    dns: [],
    drops: new Map(),
    peers: [
      { ...peer, publicKey: C },
      { ...peer, publicKey: A, presharedKey: new Uint8Array(32).fill(5), persistentKeepalive: 25 },
      { ...peer, publicKey: B },
    ],
  };
}
