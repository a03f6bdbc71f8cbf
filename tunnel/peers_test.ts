import assert from "node:assert/strict";
import { realSuite } from "../crypto/real_suite.ts";
import { NoiseState } from "../crypto/noise.ts";
import { Peers } from "./peers.ts";

const KEYS = [1, 2, 3].map((fill) => realSuite.publicKey(new Uint8Array(32).fill(fill)));
const IDENTITY = { privateKey: new Uint8Array(32).fill(9), publicKey: realSuite.publicKey(new Uint8Array(32).fill(9)) };

Deno.test("Peers keeps what one peer learns apart from its neighbours", () => {
  const peers = new Peers(realSuite, 3);
  for (const [slot, publicKey] of KEYS.entries()) peers.add(slot, publicKey);
  const before = [0, 2].map((slot) => snapshot(peers, slot));
  const peer = peers.at(1);
  peer.setPresharedKey(new Uint8Array(32).fill(0xaa));
  peer.latestTimestamp.fill(0xbb);
  peer.lastHandshakeSent = 1;
  peer.lastInitiationReceived = 2;
  peer.lastTimestampSent = 3;
  peer.firstKeepaliveDue = true;
  peer.setHandshake(new NoiseState(realSuite, new Uint8Array(1), KEYS[1]), 77);
  peer.cookies.addMacs(new Uint8Array(148), 0);
  assert.deepEqual(peer.staticStatic(IDENTITY), realSuite.sharedSecret(IDENTITY.privateKey, KEYS[1]));
  assert.deepEqual([0, 2].map((slot) => snapshot(peers, slot)), before);
  assert.equal(peers.find(KEYS[1])?.handshakeIndex, 77);
  assert.equal(peers.at(1).lastHandshakeSent, 1);
});

Deno.test("Peers.add() knows nothing of the peer that was in the slot before", () => {
  const peers = new Peers(realSuite, 1);
  peers.add(0, KEYS[0]);
  const fresh = snapshot(peers, 0);
  const peer = peers.at(0);
  peer.setPresharedKey(new Uint8Array(32).fill(0xaa));
  peer.latestTimestamp.fill(0xbb);
  peer.lastHandshakeSent = peer.lastInitiationReceived = peer.lastTimestampSent = 5;
  peer.firstKeepaliveDue = true;
  peer.setHandshake(new NoiseState(realSuite, new Uint8Array(1), KEYS[0]), 77);
  peer.staticStatic(IDENTITY);
  peers.remove(0);
  assert.throws(() => peers.at(0), RangeError);
  assert.equal(peers.find(KEYS[0]), null);
  peers.add(0, KEYS[0]);
  assert.deepEqual(snapshot(peers, 0), fresh);
});

Deno.test("Peer.staticStatic() is null for a low-order key, and is computed anew for another identity", () => {
  const peers = new Peers(realSuite, 2);
  peers.add(0, new Uint8Array(32));
  peers.add(1, KEYS[1]);
  assert.equal(peers.at(0).staticStatic(IDENTITY), null);
  assert.equal(peers.at(0).staticStatic(IDENTITY), null);
  const first = peers.at(1).staticStatic(IDENTITY)!;
  peers.at(1).forgetIdentity();
  assert.ok(first.every((byte) => byte === 0));
  const other = { privateKey: new Uint8Array(32).fill(8), publicKey: KEYS[0] };
  assert.deepEqual(peers.at(1).staticStatic(other), realSuite.sharedSecret(other.privateKey, KEYS[1]));
});

function snapshot(peers: Peers, slot: number): unknown {
  const peer = peers.at(slot);
  return {
    publicKey: peer.publicKey.slice(),
    presharedKey: peer.presharedKey.slice(),
    timestamp: peer.latestTimestamp.slice(),
    times: [peer.lastHandshakeSent, peer.lastInitiationReceived, peer.lastTimestampSent],
    handshake: peer.handshake,
    isDue: peer.firstKeepaliveDue,
    answersCookie: peer.cookies.consumeReply(new Uint8Array(64), 0),
  };
}
