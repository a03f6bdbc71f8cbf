import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeBase64 } from "../crypto/encoding.ts";
import { type Config, emptyConfig, emptyPeer, wipeConfig } from "./config.ts";
import { ConfigError } from "./config_error.ts";
import { readConfig, scanConfig } from "./config_reader.ts";
import { ConfigText } from "./config_text.ts";
import { formatConfig, formatPrefix } from "./config_writer.ts";

const KEY = encodeBase64(new Uint8Array(32).fill(1));
const OTHER = encodeBase64(new Uint8Array(32).fill(2));
const SECRET = encodeBase64(new Uint8Array(32).fill(3));
/** Objects that deepEqual takes for equal to ours. */
const PLAIN = { noNullPrototype: true } as const;

Deno.test("readConfig() reads a file of wg-quick", () => {
  const config = read(`# a file
[Interface] # mine
PrivateKey = ${SECRET}
Address = 10.0.0.1/24, fd00::1
address=10.1.0.1/16
DNS = 1.1.1.1, ::1  example.org
MTU = 1400
Table = 0x10
FwMark = 0x33
PreUp = one # two
PostUp = a; b
PostUp = c
PreDown = d
PostDown = iptables -m comment --comment "#1"
SaveConfig = TRUE
# @kill-switch = on

[Peer]
# @name = office
# @endpoint = a.example:1
# @endpoint = b.example:2
PublicKey = ${KEY}
PresharedKey = ${SECRET}
AllowedIPs = 10.2.0.0/16
AllowedIPs = fd00:2::/64, 10.3.0.0/16
Endpoint = vpn.example:51820
PersistentKeepalive = off
`);
  const { interface: own, peers: [peer] } = config;
  assert.equal(encodeBase64(own.privateKey!), SECRET);
  assert.deepEqual(own.addresses.map(formatPrefix), ["10.0.0.1/24", "fd00::1/128", "10.1.0.1/16"]);
  assert.deepEqual([own.dnsServers, own.dnsSearch], [["1.1.1.1", "::1"], ["example.org"]]);
  assert.deepEqual([own.mtu, own.table, own.fwmark, own.listenPort, own.saveConfig], [1400, "0x10", 0x33, null, true]);
  assert.deepEqual([own.preUp, own.postUp, own.preDown], [["one # two"], ["a; b", "c"], ["d"]]);
  assert.deepEqual(own.postDown, [`iptables -m comment --comment "#1"`]);
  assert.deepEqual(own.annotations, [{ key: "kill-switch", value: "on" }]);
  assert.deepEqual(peer.annotations.map(({ key, value }) => `${key}=${value}`), [
    "name=office",
    "endpoint=a.example:1",
    "endpoint=b.example:2",
  ]);
  assert.deepEqual(peer.allowedIps.map(formatPrefix), ["10.2.0.0/16", "fd00:2::/64", "10.3.0.0/16"]);
  assert.deepEqual([peer.endpoint, peer.keepalive], [{ host: "vpn.example", port: 51820 }, 0]);
  wipeConfig(config);
  assert.ok(own.privateKey!.every((byte) => byte === 0) && peer.presharedKey!.every((byte) => byte === 0));
});

Deno.test("readConfig() drops white space inside values, joins [Interface] sections and lets the last value count", () => {
  const text = `[Interface]\r\nListen Port = 5 0\r\n[Peer]\r\nPublicKey=${KEY.slice(0, 9)} ${KEY.slice(9)}\r\n` +
    `[INTERFACE]\r\nlistenport = 51 820\r\nFWMARK=off\r\n`;
  const { interface: own, peers } = read(text);
  assert.deepEqual([own.listenPort, own.fwmark, peers.length], [51820, 0, 1]);
});

Deno.test("readConfig() tells file, line, key and reason", () => {
  const faults: [string, number, string, RegExp][] = [
    ["A = 1", 1, "A", /^Line unrecognized: `A='$/],
    ["[Interface]\nFoo = bar", 2, "Foo", /^Line unrecognized: `Foo='$/],
    ["[Interfaces]", 1, "Interfaces", /^Line unrecognized: `\[Interfaces\]'$/],
    ["[Interface]\n\nListenPort", 3, "", /^Line unrecognized$/],
    [`[Peer]\nPublicKey = ${KEY}\nAllowedIPs = `, 3, "AllowedIPs", /^Line unrecognized/],
    [`[Peer]\nPublicKey = ${KEY}\nAllowedIPs = 1.2.3.4/8,`, 3, "AllowedIPs", /^Unable to parse IP address: `'$/],
    ["[Peer]\n# nothing\n", 1, "", /^A peer is missing a public key$/],
    ["[Peer]\nListenPort = 1", 2, "ListenPort", /^Line unrecognized/],
    ["[Peer]\nAddress = 1.2.3.4", 2, "Address", /^Line unrecognized/],
    ["[Interface]\nMTU = big", 2, "MTU", /^MTU is not/],
    ["[Interface]\nSaveConfig = yes", 2, "SaveConfig", /neither true nor false/],
    ["[Interface]\nTable = a b", 2, "Table", /^Table is neither/],
    ["[Interface]\nAddress = 10.0.0.300", 2, "Address", /^Unable to parse IP address/],
    ["[Interface]\nAddress = 10.0.0.1/33", 2, "Address", /^Address is not in the correct format/],
    ["\ufeff[Interface]", 1, "", /^Line unrecognized$/],
  ];
  for (const [text, line, key, reason] of faults) {
    assert.throws(() => read(text), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.deepEqual([error.file, error.line, error.key], ["wg0.conf", line, key], text);
      assert.match(error.reason, reason);
      assert.equal(error.message, `wg0.conf:${line}: ${key === "" ? "" : `${key}: `}${error.reason}`);
      return true;
    });
  }
});

Deno.test("readConfig() never repeats what may be a secret", () => {
  const broken = SECRET.slice(0, 40);
  const texts = [
    `[Interface]\nPrivateKey = ${broken}`,
    `[Interface]\nPrivatKey = ${SECRET}`,
    `[Interface]\n${SECRET.slice(0, 43)}`,
    `[Interface]\n${SECRET}`,
    `[${SECRET}]`,
    `PrivateKey = ${SECRET}`,
    `[Peer]\nPublicKey = ${broken}\nPresharedKey = ${broken}`,
  ];
  for (const text of texts) {
    assert.throws(() => read(text), (error) => {
      assert.ok(error instanceof ConfigError && !error.message.includes(SECRET.slice(0, 12)), text);
      return true;
    });
  }
});

Deno.test("readConfig() for wg refuses wg-quick's keys", () => {
  for (const key of ["Address", "DNS", "MTU", "Table", "PostUp", "SaveConfig"]) {
    const text = `[Interface]\n${key} = 1`;
    assert.throws(() => readConfig(text, { file: "f", quick: false }), { reason: `Line unrecognized: \`${key}='` });
  }
});

Deno.test("readConfig() reads further endpoints of a peer; to wg they are comments, right or wrong", () => {
  const peer = `[Peer]\nPublicKey = ${"A".repeat(43)}=\nEndpoint = a.example:1\n# @endpoint = [2001:db8::1]:2\n`;
  const file = `# @endpoint = interface\n[Interface]\n${peer}  #  @Endpoint=b.example : 3\n`;
  const endpoints = [{ host: "2001:db8::1", port: 2 }, { host: "b.example", port: 3 }];
  for (const quick of [true, false]) {
    const [{ endpoint, furtherEndpoints }] = readConfig(file, { file: "f", quick }).peers;
    assert.deepEqual(endpoint, { host: "a.example", port: 1 });
    assert.deepEqual(furtherEndpoints, endpoints);
  }
  const wrong = `${file}# @endpoint = nowhere\n`;
  assert.throws(() => readConfig(wrong, { file: "f", quick: true }), { line: 8, key: "endpoint" });
  assert.equal(readConfig(wrong, { file: "f", quick: false }).peers[0].furtherEndpoints.length, 2);
});

Deno.test("scanConfig() goes on behind an error", () => {
  const { config, errors, peerLines } = scanConfig(
    ConfigText.parse(`[Interface]\nX=1\nListenPort=5\n[Peer]\nPublicKey=x\n[Peer]\nPublicKey=${OTHER}`),
    { file: "f", quick: true },
  );
  assert.deepEqual(errors.map(({ line }) => line), [2, 5, 4]);
  assert.equal(config.interface.listenPort, 5);
  assert.deepEqual(peerLines, [4, 6]);
});

Deno.test("readConfig() reads what formatConfig() writes", () => {
  fc.assert(fc.property(anyConfig(), (config) => {
    assert.deepEqual(read(formatConfig(config)), config);
  }));
});

Deno.test("readConfig() throws ConfigErrors only", () => {
  const line = fc.tuple(
    fc.constantFrom("[Interface]", "[Peer]", "PublicKey", "AllowedIPs", "Endpoint", "Address", "FwMark", "MTU", "#"),
    fc.constantFrom("", "=", " = ", "#"),
    fc.oneof(fc.string(), fc.constantFrom(KEY, "10.0.0.0/8", "::/0", "host:5", "off", "0x1")),
  ).map((parts) => parts.join(""));
  fc.assert(fc.property(fc.array(line), (lines) => {
    try {
      read(lines.join("\n"));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
    }
  }));
});

function read(text: string): Config {
  return readConfig(text, { file: "wg0.conf", quick: true, servicePort: () => null });
}

function anyConfig(): fc.Arbitrary<Config> {
  const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const address = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  );
  const prefix = fc.tuple(address, fc.nat(128)).map(([address, cidr]) => ({
    address,
    cidr: Math.min(cidr, 8 * address.length),
  }));
  const word = fc.stringMatching(/^[a-z][a-z0-9.-]{0,20}$/);
  const annotation = fc.record({ key: fc.stringMatching(/^[a-z][a-z0-9_-]{0,9}$/), value: word }, PLAIN);
  const hook = fc.stringMatching(/^[a-z][a-z0-9 #;=%"]{0,20}[a-z]$/);
  const own = fc.record({
    privateKey: fc.option(key),
    listenPort: fc.option(fc.nat(65535)),
    fwmark: fc.option(fc.nat(0xffffffff)),
    annotations: fc.array(annotation),
    addresses: fc.array(prefix),
    dnsServers: fc.array(fc.constantFrom("1.1.1.1", "::1", "fe80::1%eth0")),
    dnsSearch: fc.array(fc.stringMatching(/^[a-z][a-z.]{0,9}$/)),
    mtu: fc.option(fc.integer({ min: 1, max: 65535 })),
    table: fc.constantFrom("auto", "off", "51820", "main"),
    preUp: fc.array(hook),
    postUp: fc.array(hook),
    preDown: fc.array(hook),
    postDown: fc.array(hook),
    saveConfig: fc.boolean(),
  }, PLAIN);
  const host = fc.oneof(word, fc.constantFrom("192.0.2.1", "2001:db8::1", "fe80::1%eth0"));
  const peer = fc.record({
    publicKey: key,
    presharedKey: fc.option(key),
    endpoint: fc.option(fc.record({ host, port: fc.nat(65535) }, PLAIN)),
    allowedIps: fc.array(prefix.map((one) => ({ ...one, remove: false }))),
    keepalive: fc.option(fc.nat(65535)),
    annotations: fc.array(annotation),
  }).map((fields) => ({ ...emptyPeer(fields.publicKey), ...fields }));
  return fc.record({ interface: own, peers: fc.array(peer) }).map((fields) => ({ ...emptyConfig(), ...fields }));
}
