/** Every length that a datagram can have, under every type. */
import assert from "node:assert/strict";
import { DATA_OVERHEAD, TYPE_COOKIE_REPLY, TYPE_DATA, TYPE_INITIATION, TYPE_RESPONSE } from "../../tunnel/messages.ts";
import { BAD_MAC1, BAD_TAG, MALFORMED } from "../../tunnel/reasons.ts";
import { cheapSuite } from "../sim/cheap_suite.ts";
import { Random } from "../sim/random.ts";
import { Target } from "./target.ts";

const MAX_DATAGRAM = 65_507;
/** Lengths of proper data messages are tried one by one up to here, then in strides: they cost a decryption. */
const DENSE = 3_000;
const STRIDE = 97;

Deno.test("Device refuses noise of every length from 0 to 65,507 under every type", () => {
  const target = new Target(1, cheapSuite);
  const { host } = target;
  const { deviceDrops } = host.tables;
  const noise = new Random(1).bytes(MAX_DATAGRAM);
  const before = target.state();
  const data = target.genuine.find(({ datagram }) => datagram[0] === TYPE_DATA)!.datagram;
  let decrypted = 0;
  for (let length = 0; length <= MAX_DATAGRAM; length++) {
    const message = noise.subarray(0, length);
    for (const type of [0, TYPE_INITIATION, TYPE_RESPONSE, TYPE_COOKIE_REPLY, TYPE_DATA, 5, 255]) {
      if (type === TYPE_DATA && length > DENSE && length % STRIDE !== 0 && length < MAX_DATAGRAM - 20) continue;
      message.set(data.subarray(0, Math.min(8, length)));
      if (length > 0) message[0] = type;
      target.attack(message, host.record);
      if (type === TYPE_DATA && length >= DATA_OVERHEAD) decrypted++;
    }
    assert.equal(target.sent.length + target.delivered, 0, `noise of ${length} bytes is answered or delivered`);
  }
  assert.deepEqual(target.state(), before);
  assert.equal(deviceDrops[BAD_TAG], decrypted);
  assert.equal(deviceDrops[BAD_MAC1], 2);
  assert.ok(deviceDrops[MALFORMED] > 6 * MAX_DATAGRAM - 10);
  target.assertUnharmed();
});
