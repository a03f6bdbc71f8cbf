/**
 * The kernel's own module is not needed here: what is sent is compared with what `wg` sent, and what is received with
 * what `wg` printed for it.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeBase64, encodeHex } from "../crypto/encoding.ts";
import { listAttributes, NLMSG_BYTES, type ReceivedMessage, splitMessages } from "../ffi/netlink_message.ts";
import { parseEndpoint, parsePrefix } from "../tunnel/address_text.ts";
import vectors from "../tests/vectors/wireguard_netlink.json" with { type: "json" };
import { type DeviceChange, emptyChange, emptyPeerChange, type PeerChange } from "./device_change.ts";
import {
  GENERIC_HEADER_BYTES,
  getDeviceMessage,
  MESSAGE_BYTES,
  readDeviceMessages,
  setDeviceMessages,
} from "./wireguard_netlink.ts";

const { family, name } = vectors;
const PEERS = 8;
const ALLOWED_IPS = 9;
/** Attributes that hold attributes: of a device its peers, of a peer its allowed IPs, and the elements of both. */
const NESTED: readonly number[] = [PEERS, 0, ALLOWED_IPS, 0];

Deno.test("setDeviceMessages() says what wg says for set", () => {
  const first: PeerChange = {
    ...emptyPeerChange(fill(1)),
    presharedKey: fill(0x77),
    endpoint: parseEndpoint("192.0.2.1:51820"),
    keepalive: 25,
    replaceAllowedIps: true,
    allowedIps: [allowedIp("10.1.0.0/16"), allowedIp("fd00:1::/64")],
  };
  const second: PeerChange = { ...emptyPeerChange(fill(2)), endpoint: parseEndpoint("[2001:db8::2]:5") };
  const third: PeerChange = { ...emptyPeerChange(fill(1)), remove: true };
  const change: DeviceChange = {
    privateKey: fill(0x40),
    listenPort: 5100,
    fwmark: 0x10,
    dns: null,
    replacePeers: false,
    peers: [first, second, third],
  };
  assert.deepEqual(setDeviceMessages(family, name, change).map(tree), vectors.set.messages.map(fromHex).map(tree));
});

Deno.test("setDeviceMessages() splits peers where wg splits them", () => {
  const peers = [0, 1, 2].map((p): PeerChange => ({
    ...emptyPeerChange(fill(p + 1)),
    keepalive: 1,
    replaceAllowedIps: true,
    allowedIps: Array.from({ length: 150 }, (_, i) => allowedIp(`10.${p}.${i >> 8}.${i & 255}/32`)),
  }));
  const change = { ...emptyChange(), privateKey: fill(0), listenPort: 5, fwmark: 0, replacePeers: true, peers };
  const messages = setDeviceMessages(family, name, change);
  assert.equal(messages.length, 4);
  assert.deepEqual(messages.map(tree), vectors.setconf.messages.map(fromHex).map(tree));
});

Deno.test("setDeviceMessages() of nothing is one message that names the interface", () => {
  const [message, ...more] = setDeviceMessages(family, name, emptyChange());
  assert.equal(more.length, 0);
  assert.deepEqual(tree(message).attributes, [[2, encodeHex(new TextEncoder().encode("wg9\0"))]]);
});

Deno.test("setDeviceMessages() marks allowed IPs to be removed", () => {
  const peer = { ...emptyPeerChange(fill(1)), allowedIps: [{ ...allowedIp("10.0.0.0/8"), remove: true }] };
  const [message] = setDeviceMessages(family, name, { ...emptyChange(), peers: [peer] });
  assert.ok(JSON.stringify(tree(message)).includes(`[4,"01000000"]`));
});

Deno.test("setDeviceMessages() keeps to its limit and loses nothing, however long the change", () => {
  const peer = fc.record({ allowedIps: fc.nat(60), psk: fc.boolean(), endpoint: fc.boolean(), remove: fc.boolean() });
  fc.assert(fc.property(fc.array(peer, { maxLength: 12 }), fc.integer({ min: 256, max: 2048 }), (shapes, limit) => {
    const peers = shapes.map(({ allowedIps, psk, endpoint, remove }, p): PeerChange => ({
      ...emptyPeerChange(fill(p + 1)),
      presharedKey: psk ? fill(9) : null,
      endpoint: endpoint ? parseEndpoint("[2001:db8::2]:5") : null,
      remove,
      replaceAllowedIps: true,
      allowedIps: Array.from(
        { length: allowedIps },
        (_, i) => allowedIp(i % 2 === 0 ? `10.0.${i}.0/24` : `fd00:${i}::/32`),
      ),
    }));
    const messages = setDeviceMessages(family, name, { ...emptyChange(), replacePeers: true, peers }, limit);
    for (const message of messages) assert.ok(message.length <= limit, `${message.length} > ${limit}`);
    // The flag that replaces all peers stands in the first message only.
    assert.deepEqual(messages.map((message) => tree(message).attributes.some(([type]) => type === 5)).slice(1), [
      ...messages.slice(1).map(() => false),
    ]);
    const read = readDeviceMessages(messages.flatMap(splitMessages));
    assert.deepEqual(
      read.peers.map(({ publicKey, allowedIps }) => [publicKey[0], allowedIps.length]),
      peers.map(({ publicKey, allowedIps, remove }) => [publicKey[0], remove ? 0 : allowedIps.length]),
    );
    // A peer that goes on must not lose what it was given before.
    assert.equal(countFlags(messages), peers.length);
  }));
});

Deno.test("setDeviceMessages() refuses a limit that no peer fits in", () => {
  const peers = [{ ...emptyPeerChange(fill(1)), allowedIps: [allowedIp("10.0.0.0/8")] }];
  assert.throws(() => setDeviceMessages(family, name, { ...emptyChange(), peers }, 64), RangeError);
  assert.equal(setDeviceMessages(family, name, { ...emptyChange(), peers }, MESSAGE_BYTES).length, 1);
});

Deno.test("getDeviceMessage() asks as wg asks", () => {
  assert.deepEqual(tree(getDeviceMessage(family, name)), tree(fromHex(vectors.get.messages[0])));
});

Deno.test("readDeviceMessages() reads what wg reads, and joins a split peer", () => {
  const device = readDeviceMessages(received(vectors.reply.messages));
  const [own, ...peers] = vectors.reply.dump.trimEnd().split("\n").map((line) => line.split("\t"));
  assert.deepEqual([encodeBase64(device.privateKey!), `${device.listenPort}`, `0x${device.fwmark.toString(16)}`], [
    own[0],
    own[2],
    own[3],
  ]);
  assert.deepEqual(
    device.peers.map((peer) => [
      encodeBase64(peer.publicKey),
      peer.presharedKey === null ? "(none)" : encodeBase64(peer.presharedKey),
      // wg shows the zone by the name of the interface.
      peer.endpoint?.replace("%1]", "%lo]") ?? "(none)",
      peer.allowedIps.join(",") || "(none)",
      `${peer.lastHandshakeSeconds}`,
      `${peer.rxBytes}`,
      `${peer.txBytes}`,
      peer.persistentKeepalive === 0 ? "off" : `${peer.persistentKeepalive}`,
    ]),
    peers,
  );
  assert.equal(device.peers[0].lastHandshakeNanoseconds, 5);
});

Deno.test("readDeviceMessages() keeps its own copies of keys", () => {
  const messages = received(vectors.reply.messages);
  const device = readDeviceMessages(messages);
  for (const { body } of messages) body.fill(0);
  assert.deepEqual([device.privateKey, device.peers[0].presharedKey, device.peers[0].publicKey], [
    fill(0x40),
    fill(0x77),
    fill(1),
  ]);
});

type Tree = [type: number, value: string | Tree[]];

/** A message by what it means: nested lengths may or may not count the last padding. */
function tree(message: Uint8Array): { type: number; command: number; version: number; attributes: Tree[] } {
  const [{ type, body }] = splitMessages(message);
  return { type, command: body[0], version: body[1], attributes: attributeTree(body, GENERIC_HEADER_BYTES, 0) };
}

function attributeTree(bytes: Uint8Array, offset: number, depth: number): Tree[] {
  return listAttributes(bytes, offset).map(({ type, payload }) =>
    type === NESTED[depth] ? [type, attributeTree(payload, 0, depth + 1)] : [type, encodeHex(payload)]
  );
}

/** How many times a peer of these messages has flags. */
function countFlags(messages: readonly Uint8Array[]): number {
  const peers = messages.flatMap((message) =>
    tree(message).attributes.flatMap(([type, value]) => type === PEERS ? value as Tree[] : [])
  );
  return peers.filter(([, values]) => (values as Tree[]).some(([type]) => type === 3)).length;
}

function received(messages: readonly string[]): ReceivedMessage[] {
  return messages.map(fromHex).flatMap(splitMessages);
}

function fromHex(text: string): Uint8Array {
  const bytes = Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  assert.ok(bytes.length >= NLMSG_BYTES);
  return bytes;
}

function fill(byte: number): Uint8Array {
  return new Uint8Array(32).fill(byte);
}

function allowedIp(text: string): { address: Uint8Array; cidr: number; remove: boolean } {
  const prefix = parsePrefix(text);
  assert.ok(prefix !== null, text);
  return { ...prefix, remove: false };
}
