import assert from "node:assert/strict";
import { realSuite as suite } from "./real_suite.ts";
import { isZero } from "./bytes.ts";

const KEY = new Uint8Array(32).fill(0x11);

Deno.test("realSuite has the sizes the paper gives each function", () => {
  assert.equal(suite.publicKey(KEY).length, 32);
  assert.equal(suite.sharedSecret(KEY, suite.publicKey(KEY))?.length, 32);
  assert.equal(suite.hash(KEY).length, 32);
  assert.equal(suite.mac(KEY, KEY).length, 16);
  assert.equal(suite.mac(KEY.subarray(0, 16), KEY).length, 16);
  assert.deepEqual(suite.kdf(3, KEY, KEY).map(({ length }) => length), [32, 32, 32]);
  assert.equal(suite.seal(KEY, 0, KEY, KEY).length, 48);
  assert.equal(suite.sealX(KEY, new Uint8Array(24), KEY, KEY).length, 48);
});

Deno.test("realSuite.packetAead() seals what open() of the same counter opens", () => {
  const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 });
  const bytes = new Uint8Array(memory.buffer);
  const packet = Uint8Array.from({ length: 100 }, (_, i) => i + 1);
  bytes.set(KEY, 65_536);
  bytes.set(packet, 66_000);
  suite.packetAead(memory).seal(65_536, 7, 1, 66_000, 66_000, packet.length);
  const sealed = bytes.slice(66_000, 66_116);
  assert(!isZero(sealed));
  assert.deepEqual(suite.open(KEY, 2 ** 32 + 7, sealed, new Uint8Array(0)), packet);
});
