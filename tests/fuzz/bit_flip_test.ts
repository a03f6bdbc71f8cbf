/** Every single-bit change of a genuine message is refused and leaves the genuine one acceptable. */
import assert from "node:assert/strict";
import { realSuite } from "../../crypto/real_suite.ts";
import type { CryptoSuite } from "../../crypto/suite.ts";
import { cheapSuite } from "../sim/cheap_suite.ts";
import { bodyLength, hasMacs, NAMES, SENDER_INDEX, Target } from "./target.ts";

/** Flips each bit of the first `length` bytes of each genuine message in turn. */
function flipAll(target: Target, length: (datagram: Uint8Array) => number, fix: boolean): number {
  const before = target.state();
  let count = 0;
  for (const { datagram, source } of target.genuine) {
    const name = NAMES[datagram[0]];
    for (let bit = 0; bit < 8 * length(datagram); bit++) {
      if (fix && bit >> 5 === SENDER_INDEX >> 2) continue;
      const changed = datagram.slice();
      changed[bit >> 3] ^= 1 << (bit & 7);
      if (fix) target.fixMacs(changed);
      target.attack(changed, source);
      if (target.sent.length > 0) assert.fail(`a ${name} with bit ${bit} flipped is answered`);
      if (target.delivered > 0) assert.fail(`a ${name} with bit ${bit} flipped is delivered`);
      count++;
    }
    assert.deepEqual(target.state(), before, `a ${name} with one bit flipped changes the state`);
  }
  return count;
}

for (const suite of [cheapSuite, realSuite] as CryptoSuite[]) {
  Deno.test(`Device refuses every single-bit change of a genuine message, ${suite.name} suite`, () => {
    const target = new Target(1, suite);
    // mac2 counts only under load.
    const flips = flipAll(target, (datagram) => datagram.length - (hasMacs(datagram) ? 16 : 0), false);
    assert.ok(flips > 10_000);
    target.assertUnharmed();
  });

  Deno.test(`Device refuses every single-bit change under a valid mac1, ${suite.name} suite`, () => {
    const target = new Target(2, suite);
    // Only the MACs cover the sender index: whoever changes it can make new ones.
    const flips = flipAll(target, (datagram) => hasMacs(datagram) ? bodyLength(datagram) : 0, true);
    assert.ok(flips > 1_000);
    target.assertUnharmed();
  });
}
