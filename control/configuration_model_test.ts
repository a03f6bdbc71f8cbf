import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeHex } from "../crypto/encoding.ts";
import { formatAddress } from "../tunnel/address_text.ts";
import { Model, type PeerModel } from "./configuration_model.ts";

function key(byte: number): Uint8Array {
  return new Uint8Array(32).fill(byte);
}

/** One of four prefixes of both families. */
function prefix(value: number): [address: Uint8Array, cidr: number] {
  const address = new Uint8Array(value < 2 ? 4 : 16);
  address.set([10, value]);
  return [address, 16];
}

/** Everything the model remembers, as plain data. */
function snapshot(model: Model): unknown {
  const peers = [...model.peers()].map((peer) => ({
    slot: peer.slot,
    publicKey: encodeHex(peer.publicKey),
    presharedKey: peer.presharedKey === null ? null : encodeHex(peer.presharedKey),
    keepalive: peer.keepalive,
    names: peer.names,
    allowedIps: Array.from(model.allowedIps(peer), ({ address, cidr }) => `${formatAddress(address)}/${cidr}`),
  }));
  return {
    privateKey: model.privateKey?.slice(),
    publicKey: model.publicKey?.slice(),
    fwmark: model.fwmark,
    dns: model.dns,
    peers,
  };
}

type Change = readonly [kind: number, peer: number, value: number];
const changes: fc.Arbitrary<Change[]> = fc.array(fc.tuple(fc.nat(9), fc.nat(5), fc.nat(3)), {
  maxLength: 30,
  size: "max",
});

function change(model: Model, [kind, number, value]: Change): void {
  const peer = model.findPeer(key(number));
  if (kind === 0) return model.setFwmark(value);
  if (kind === 9) return model.setDns(Array(value).fill("nameserver 192.0.2.53"));
  if (kind === 1) {
    return model.setPrivateKey(value === 0 ? null : key(0x40 + value), value === 0 ? null : key(0x80 + value));
  }
  if (peer === undefined) return void model.addPeer(key(number));
  changePeer(model, peer, kind, value);
}

function changePeer(model: Model, peer: PeerModel, kind: number, value: number): void {
  if (kind === 2) model.removePeer(peer);
  else if (kind === 3) model.setPresharedKey(peer, value === 0 ? null : key(0x60 + value));
  else if (kind === 4) model.setKeepalive(peer, value);
  else if (kind === 5) model.clearAllowedIps(peer);
  else if (kind === 6) model.removeAllowedIp(peer, ...prefix(value));
  else if (kind === 8) model.setNames(peer, Array.from({ length: value }, (_, i) => `vpn${i}.example:${value}`));
  else model.addAllowedIp(peer, ...prefix(value));
}

Deno.test("Model.rollback() restores everything, and what follows is as if nothing had been", () => {
  fc.assert(
    fc.property(changes, changes, changes, (before, attempted, after) => {
      const model = new Model(4);
      const twin = new Model(4);
      for (const each of before) [model, twin].forEach((m) => change(m, each));
      model.commit();
      twin.commit();
      for (const each of attempted) change(model, each);
      model.rollback();
      assert.deepEqual(snapshot(model), snapshot(twin));
      for (const each of after) [model, twin].forEach((m) => change(m, each));
      assert.deepEqual(snapshot(model), snapshot(twin));
    }),
    { numRuns: 500 },
  );
});

Deno.test("Model gives every prefix one owner and every peer its own slot, lowest first", () => {
  fc.assert(fc.property(changes, (all) => {
    const model = new Model(4);
    for (const each of all) {
      const former = new Set([...model.peers()].map(({ slot }) => slot));
      change(model, each);
      const peers = [...model.peers()];
      const prefixes = peers.flatMap((peer) => Array.from(model.allowedIps(peer), ({ address }) => address.join(".")));
      assert.equal(new Set(prefixes).size, prefixes.length);
      assert.equal(new Set(peers.map(({ slot }) => slot)).size, peers.length);
      const added = peers.find(({ slot }) => !former.has(slot));
      if (added !== undefined) assert.equal(added.slot, [0, 1, 2, 3].find((slot) => !former.has(slot)));
    }
  }));
});

Deno.test("Model.addPeer() finds the lowest slot among many and says when none is left", () => {
  const model = new Model(70);
  const peers = Array.from({ length: 70 }, (_, i) => model.addPeer(key(i)));
  assert.deepEqual(peers.map((peer) => peer?.slot), Array.from({ length: 70 }, (_, i) => i));
  assert.equal(model.addPeer(key(200)), null);
  for (const slot of [69, 31, 64, 32]) {
    const peer = peers[slot];
    assert.ok(peer);
    model.removePeer(peer);
  }
  const slots = [201, 202, 203, 204, 205].map((byte) => model.addPeer(key(byte))?.slot);
  assert.deepEqual(slots, [31, 32, 64, 69, undefined]);
});

Deno.test("Model erases replaced keys at commit and new keys at rollback", () => {
  const model = new Model(4);
  const [first, second, psk, otherPsk] = [key(1), key(2), key(3), key(4)];
  model.setPrivateKey(first, key(9));
  const peer = model.addPeer(key(5));
  assert.ok(peer !== null);
  model.setPresharedKey(peer, psk);
  model.commit();
  model.setPrivateKey(second, key(8));
  model.setPresharedKey(peer, otherPsk);
  model.rollback();
  assert.deepEqual([first, second, psk, otherPsk], [key(1), key(0), key(3), key(0)]);
  model.setPrivateKey(null, null);
  model.removePeer(peer);
  model.commit();
  assert.deepEqual([first, psk], [key(0), key(0)]);
});
