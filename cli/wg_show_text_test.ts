import assert from "node:assert/strict";
import { readConfig } from "../config/config_reader.ts";
import { type DeviceStatus, encodeBase64, type PeerStatus } from "../mod.ts";
import { withoutColors } from "./wg_colors.ts";
import { formatJson } from "./wg_show_json.ts";
import { formatField, formatHuman, formatShowconf } from "./wg_show_text.ts";

const [A, B] = [1, 2].map((byte) => new Uint8Array(32).fill(byte));
const SECRET = new Uint8Array(32).fill(0x77);

const DEVICE: DeviceStatus = {
  privateKey: new Uint8Array(32).fill(0x40),
  listenPort: 51820,
  fwmark: 0xca6c,
  features: [],
  dns: [],
  drops: new Map([["bad_mac1", 3], ["replayed", 0]]),
  peers: [
    peer(A, { drops: new Map([["not_allowed_source", 1]]) }),
    peer(B, {
      presharedKey: SECRET,
      endpoint: "192.0.2.1:5",
      lastHandshakeSeconds: 1000,
      rxBytes: 1536,
      txBytes: 5 * 2 ** 30,
      persistentKeepalive: 25,
      allowedIps: ["10.0.0.0/8", "fd00::/64"],
    }),
  ],
};
const EMPTY: DeviceStatus = {
  privateKey: null,
  listenPort: 0,
  fwmark: 0,
  features: [],
  dns: [],
  drops: new Map(),
  peers: [],
};

Deno.test("formatHuman() tells the newest handshake first and hides the keys", () => {
  assert.equal(
    withoutColors(formatHuman("wg0", DEVICE, { now: 1065, showsKeys: false })),
    `interface: wg0
  public key: 17XoHTNuV4sTuNcG6C0GHjA4yWvOZs3PUNVmuW3buhA=
  private key: (hidden)
  listening port: 51820
  fwmark: 0xca6c

peer: ${encodeBase64(B)}
  preshared key: (hidden)
  endpoint: 192.0.2.1:5
  allowed ips: 10.0.0.0/8, fd00::/64
  latest handshake: 1 minute, 5 seconds ago
  transfer: 1.50 KiB received, 5.00 GiB sent
  persistent keepalive: every 25 seconds

peer: ${encodeBase64(A)}
  allowed ips: (none)
`,
  );
  assert.equal(withoutColors(formatHuman("wg0", EMPTY, { now: 0, showsKeys: false })), "interface: wg0\n");
  assert.ok(formatHuman("wg0", DEVICE, { now: 0, showsKeys: true }).includes(encodeBase64(SECRET)));
});

Deno.test("formatField() gives single fields, with and without the interface", () => {
  assert.equal(formatField("wg0", DEVICE, "listen-port", true), "wg0\t51820\n");
  assert.equal(formatField("wg0", DEVICE, "transfer", false)?.split("\n")[1], `${encodeBase64(B)}\t1536\t5368709120`);
  assert.equal(formatField("wg0", EMPTY, "dump", true), "wg0\t(none)\t(none)\t0\toff\n");
  assert.equal(formatField("wg0", EMPTY, "peers", true), "");
  assert.equal(formatField("wg0", DEVICE, "drops", false), null);
});

Deno.test("formatShowconf() is read back as what runs", () => {
  const config = readConfig(formatShowconf(DEVICE), { file: "f", quick: false });
  assert.deepEqual(config.interface.privateKey, DEVICE.privateKey);
  assert.deepEqual([config.interface.listenPort, config.interface.fwmark], [51820, 0xca6c]);
  assert.deepEqual(config.peers.map(({ publicKey, presharedKey }) => [publicKey, presharedKey]), [[A, null], [
    B,
    SECRET,
  ]]);
  assert.deepEqual(config.peers[1].endpoint, { host: "192.0.2.1", port: 5 });
});

Deno.test("formatJson() leaves out zero and none, and tells dropped packets by reason", () => {
  const json = JSON.parse(formatJson(new Map([["wg0", DEVICE], ["wg1", EMPTY]])));
  assert.deepEqual(Object.keys(json), ["wg0", "wg1"]);
  assert.deepEqual(json.wg1, { peers: {} });
  assert.deepEqual(json.wg0.drops, { "bad-mac1": 3 });
  assert.deepEqual(json.wg0.peers[encodeBase64(A)], { allowedIps: [], drops: { "not-allowed-source": 1 } });
  assert.deepEqual(json.wg0.peers[encodeBase64(B)], {
    presharedKey: encodeBase64(SECRET),
    endpoint: "192.0.2.1:5",
    latestHandshake: 1000,
    transferRx: 1536,
    transferTx: 5368709120,
    persistentKeepalive: 25,
    allowedIps: ["10.0.0.0/8", "fd00::/64"],
  });
});

function peer(publicKey: Uint8Array, values: Partial<PeerStatus>): PeerStatus {
  return {
    publicKey,
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
    ...values,
  };
}
