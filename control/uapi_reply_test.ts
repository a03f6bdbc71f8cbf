import assert from "node:assert/strict";
import fc from "fast-check";
import { endpointRecord } from "../tunnel/endpoint.ts";
import { ENDPOINT_BYTES } from "../tunnel/endpoint.ts";
import { BAD_MAC1, REASON_SLOTS, REPLAYED, TOO_LARGE } from "../tunnel/reasons.ts";
import { DeviceTables } from "../tunnel/tables.ts";
import { parsePrefix } from "../tunnel/address_text.ts";
import { Model } from "./configuration_model.ts";
import { serializeErrno, serializeGet } from "./uapi_reply.ts";
import { type DeviceStatus, parseGetReply } from "./uapi_status.ts";

function key(byte: number): Uint8Array {
  return new Uint8Array(32).fill(byte);
}
function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

Deno.test("serializeGet() writes only what it understands for a device without configuration", () => {
  const tables = DeviceTables.create({ peers: 1, keypairs: 1 });
  assert.equal(text(serializeGet(new Model(1), tables, 0)), "culvert_features=endpoints\nerrno=0\n\n");
});

Deno.test("serializeGet() writes keys in wireguard-go's order and drop counters that are not zero", () => {
  const tables = DeviceTables.create({ peers: 4, keypairs: 1 });
  const model = new Model(4);
  model.setPrivateKey(key(0xa0), key(0xb0));
  model.setFwmark(51820);
  const first = model.addPeer(key(0xc1));
  const second = model.addPeer(key(0x0d));
  assert.ok(first !== null && second !== null);
  model.setPresharedKey(first, key(0x11));
  model.setKeepalive(first, 25);
  model.addAllowedIp(first, Uint8Array.of(10, 0, 0, 0), 8);
  model.addAllowedIp(first, Uint8Array.of(0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 32);
  model.setNames(first, ["vpn.example.com:51820", "[2001:db8::1]:51820"]);
  model.setDns(["nameserver 192.0.2.53"]);
  tables.endpoints.set(endpointRecord(Uint8Array.of(192, 0, 2, 1), 51820), first.slot * ENDPOINT_BYTES);
  tables.txBytes[first.slot] = 2 ** 40;
  tables.rxBytes[first.slot] = 148;
  tables.lastHandshake[first.slot] = 1_700_000_000_123.5;
  tables.deviceDrops[BAD_MAC1] = 3;
  tables.deviceDrops[TOO_LARGE] = 0xffffffff;
  tables.peerDrops[second.slot * REASON_SLOTS + REPLAYED] = 1;
  assert.equal(
    text(serializeGet(model, tables, 40000)),
    `private_key=${"a0".repeat(32)}
listen_port=40000
fwmark=51820
culvert_features=endpoints
culvert_dns=nameserver 192.0.2.53
culvert_drop_bad_mac1=3
culvert_drop_too_large=4294967295
public_key=${"c1".repeat(32)}
preshared_key=${"11".repeat(32)}
protocol_version=1
endpoint=192.0.2.1:51820
last_handshake_time_sec=1700000000
last_handshake_time_nsec=123500000
tx_bytes=1099511627776
rx_bytes=148
persistent_keepalive_interval=25
allowed_ip=10.0.0.0/8
allowed_ip=2001:db8::/32
culvert_endpoint=vpn.example.com:51820
culvert_endpoint=[2001:db8::1]:51820
public_key=${"0d".repeat(32)}
preshared_key=${"00".repeat(32)}
protocol_version=1
last_handshake_time_sec=0
last_handshake_time_nsec=0
tx_bytes=0
rx_bytes=0
persistent_keepalive_interval=0
culvert_drop_replayed=1
errno=0

`,
  );
});

Deno.test("serializeErrno() is negative after set and positive after get", () => {
  assert.equal(text(serializeErrno("set", 22)), "errno=-22\n\n");
  assert.equal(text(serializeErrno("get", 22)), "errno=22\n\n");
  assert.equal(text(serializeErrno("set", 0)), "errno=0\n\n");
});

const statusOfPeer = fc.record({
  presharedKey: fc.option(
    fc.uint8Array({ minLength: 32, maxLength: 32 }).filter((key) => key.some((byte) => byte > 0)),
  ),
  endpoint: fc.option(fc.tuple(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.nat(0xffff))),
  lastHandshake: fc.nat({ max: 4_000_000_000_000 }),
  txBytes: fc.maxSafeNat(),
  rxBytes: fc.maxSafeNat(),
  keepalive: fc.nat(0xffff),
  allowedIps: fc.uniqueArray(fc.nat(255).map((i) => `10.0.${i}.0/24`)),
});

Deno.test("parseGetReply() reads what serializeGet() wrote", () => {
  fc.assert(
    fc.property(fc.array(statusOfPeer, { maxLength: 5 }), fc.nat(0xffff), fc.nat(0xffffffff), (peers, port, mark) => {
      const tables = DeviceTables.create({ peers: 8, keypairs: 1 });
      const model = new Model(8);
      model.setFwmark(mark);
      const expected: DeviceStatus = {
        privateKey: null,
        listenPort: port,
        fwmark: mark,
        features: ["endpoints"],
        dns: [],
        peers: [],
        drops: new Map(),
      };
      peers.forEach((status, i) => {
        const peer = model.addPeer(key(i));
        assert.ok(peer !== null);
        model.setPresharedKey(peer, status.presharedKey);
        model.setKeepalive(peer, status.keepalive);
        const allowedIps = status.allowedIps.filter((prefix) =>
          expected.peers.every((p) => !p.allowedIps.includes(prefix))
        );
        for (const prefix of allowedIps) model.addAllowedIp(peer, ...prefixOf(prefix));
        tables.txBytes[i] = status.txBytes;
        tables.rxBytes[i] = status.rxBytes;
        tables.lastHandshake[i] = status.lastHandshake;
        if (status.endpoint !== null) tables.endpoints.set(endpointRecord(...status.endpoint), i * ENDPOINT_BYTES);
        expected.peers.push({
          publicKey: key(i),
          presharedKey: status.presharedKey,
          endpoint: status.endpoint === null ? null : `${status.endpoint[0].join(".")}:${status.endpoint[1]}`,
          lastHandshakeSeconds: Math.floor(status.lastHandshake / 1000),
          lastHandshakeNanoseconds: status.lastHandshake % 1000 * 1e6,
          txBytes: status.txBytes,
          rxBytes: status.rxBytes,
          persistentKeepalive: status.keepalive,
          allowedIps,
          endpointNames: [],
          drops: new Map(),
        });
      });
      assert.deepEqual(parseGetReply(serializeGet(model, tables, port)), expected);
    }),
  );
});

Deno.test("parseGetReply() ignores unknown keys, refuses malformed values and never throws", () => {
  const read = (reply: string): DeviceStatus | null => parseGetReply(new TextEncoder().encode(reply));
  const hex = "ab".repeat(32);
  assert.equal(read(`own_public_key=1\npublic_key=${hex}\nname=x\nerrno=0\n\n`)?.peers.length, 1);
  assert.equal(read(`culvert_drop_x=4\npublic_key=${hex}\nculvert_drop_y=5\nerrno=0\n\n`)?.peers[0].drops.get("y"), 5);
  const bad = [
    "errno=1\n\n",
    "errno=0\n",
    "\n",
    "errno=x\n\n",
    "private_key=abc\nerrno=0\n\n",
    `private_key=${"zz".repeat(32)}\nerrno=0\n\n`,
    "listen_port=-1\nerrno=0\n\n",
    "listen_port=65536\nerrno=0\n\n",
    "nonsense\nerrno=0\n\n",
    `public_key=${hex}\nendpoint=\nerrno=0\n\n`,
    `public_key=${hex}\nallowed_ip=10.0.0.0\nerrno=0\n\n`,
    `public_key=${hex}\nrx_bytes=1e3\nerrno=0\n\n`,
  ];
  for (const reply of bad) assert.equal(read(reply), null, reply);
  fc.assert(fc.property(fc.uint8Array(), (garbage) => assert.equal(parseGetReply(garbage), null)));
});

function prefixOf(text: string): [address: Uint8Array, cidr: number] {
  const { address, cidr } = parsePrefix(text)!;
  return [address, cidr];
}
