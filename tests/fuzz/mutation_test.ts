/** A million bad messages change nothing. */
import assert from "node:assert/strict";
import { realSuite } from "../../crypto/real_suite.ts";
import type { CryptoSuite } from "../../crypto/suite.ts";
import { COOKIE_RECEIVER, COOKIE_REPLY_BYTES, TYPE_COOKIE_REPLY } from "../../tunnel/messages.ts";
import { BAD_HANDSHAKE, BAD_INNER_PACKET, BAD_MAC1, BAD_TAG, REPLAYED, UNDER_LOAD } from "../../tunnel/reasons.ts";
import { cheapSuite } from "../sim/cheap_suite.ts";
import { underLoad } from "../sim/flood.ts";
import { liveMemory } from "../sim/heap.ts";
import { underSeeds } from "../sim/seeds.ts";
import { Mutator } from "./mutator.ts";
import { Target } from "./target.ts";

/** State is compared after so many messages. */
const BATCH = 500;

/** Attacks one device with `count` bad messages. */
function fuzz(seed: number, suite: CryptoSuite, count: number): void {
  const target = new Target(seed, suite);
  const mutator = new Mutator(seed, target);
  const { deviceDrops } = target.host.tables;
  const source = target.host.record.slice();
  const before = target.state();
  for (let i = 0; i < count; i++) {
    source[2] = i;
    source[3] = i >> 8;
    target.attack(mutator.next(), source);
    if (target.sent.length > 0) assert.fail(`message ${i} is answered`);
    if (target.delivered > 0) assert.fail(`message ${i} is delivered`);
    if (i % BATCH === BATCH - 1) assert.deepEqual(target.state(), before, `state changes before message ${i}`);
  }
  // They were refused at every stage, and nothing of them got so far as to be looked at inside.
  for (const reason of [BAD_MAC1, BAD_HANDSHAKE, BAD_TAG]) assert.ok(deviceDrops[reason] > count / 1_000);
  for (const reason of [REPLAYED, BAD_INNER_PACKET]) assert.equal(deviceDrops[reason], 0);
  target.assertUnharmed();
}

Deno.test("Device is left as it was by 1,000,000 mutated messages, in silence and in the same memory", () => {
  let memory = 0;
  underSeeds(20, (seed) => {
    if (seed === 4) memory = liveMemory();
    fuzz(seed, cheapSuite, 50_000);
  });
  if (memory === 0) return;
  const grown = liveMemory() - memory;
  assert.ok(grown < 2_000_000, `memory has grown by ${grown} bytes`);
});

Deno.test("Device is left as it was by 30,000 mutated messages under the real suite", () => {
  underSeeds(3, (seed) => fuzz(seed, realSuite, 10_000));
});

Deno.test("Device under load answers mutated messages only if mac1 is valid, and only with a cookie", () => {
  underSeeds(5, (seed) => {
    const target = new Target(seed, cheapSuite);
    const mutator = new Mutator(seed, target);
    underLoad(target.host);
    const source = target.host.record.slice();
    const before = target.state();
    let cookies = 0;
    for (let i = 0; i < 20_000; i++) {
      source[2] = i;
      const message = mutator.next();
      target.attack(message, source);
      if (target.sent.length > 0) {
        assert.equal(target.sent.length, 1, `message ${i} is answered more than once`);
        const [reply] = target.sent;
        assert.equal(reply[0], TYPE_COOKIE_REPLY, `message ${i} is answered with type ${reply[0]}`);
        assert.equal(reply.length, COOKIE_REPLY_BYTES);
        assert.ok(reply.length < message.length, "the answer is larger than the question");
        assert.ok(target.hasValidMac1(message), `message ${i} without a valid mac1 is answered`);
        assert.deepEqual(reply.slice(COOKIE_RECEIVER, COOKIE_RECEIVER + 4), message.slice(4, 8));
        target.sent.length = 0;
        cookies++;
      }
      assert.equal(target.delivered, 0);
      if (i % BATCH === BATCH - 1) assert.deepEqual(target.state(), before, `state changes before message ${i}`);
    }
    assert.ok(cookies > 1_000, `only ${cookies} cookie replies`);
    assert.equal(target.host.tables.deviceDrops[UNDER_LOAD], cookies);
  });
});
