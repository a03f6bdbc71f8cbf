import assert from "node:assert/strict";
import { realSuite } from "../crypto/real_suite.ts";
import { NONE, TIMERS_PER_PEER } from "../tunnel/tables.ts";
import { RETRANSMIT_HANDSHAKE } from "../tunnel/timers.ts";
import { Configuration } from "./configuration.ts";
import { MemoryTarget } from "./memory_target.ts";
import { announcePath } from "./path_change.ts";
import type { SetStatement } from "./uapi_request.ts";

function key(number: number): Uint8Array {
  const key = new Uint8Array(32);
  new DataView(key.buffer).setUint16(0, number + 1);
  return key;
}

/** Peers in slots 0 …, none of which has a session. */
async function scene(
  peers: number,
): Promise<{ target: MemoryTarget; configuration: Configuration; told: () => number[] }> {
  const target = new MemoryTarget(512);
  target.tables.currentKeypair.fill(NONE);
  target.tables.deadlines.fill(Infinity);
  const configuration = new Configuration({ suite: realSuite, target });
  const statements = Array.from({ length: peers }, (_, i): SetStatement => ({ key: "public_key", value: key(i) }));
  assert.equal(await configuration.set(statements), 0);
  const told = (): number[] => target.applied.flatMap((each) => each.op === "path-changed" ? [each.peer] : []);
  return { target, configuration, told };
}

Deno.test("announcePath() leaves out peers without a session that have nothing to say", async () => {
  const { target, configuration, told } = await scene(5);
  target.tables.currentKeypair[1] = 0;
  target.tables.deadlines[2 * TIMERS_PER_PEER + RETRANSMIT_HANDSHAKE] = 5;
  assert.equal(
    await configuration.set([
      { key: "public_key", value: key(4) },
      { key: "persistent_keepalive_interval", value: 25 },
    ]),
    0,
  );
  await announcePath(configuration, () => true, () => true);
  assert.deepEqual(told(), [1, 2, 4]);
});

Deno.test("announcePath() tells many peers in parts, not those that go meanwhile, and ends when it is void", async () => {
  const { target, configuration, told } = await scene(300);
  target.tables.currentKeypair.fill(0);
  let parts = 0;
  await announcePath(configuration, () => true, () => {
    if (++parts === 2) void configuration.set([{ key: "public_key", value: key(200) }, { key: "remove" }]);
    return true;
  });
  assert.equal(parts, 3);
  assert.deepEqual(told(), Array.from({ length: 300 }, (_, i) => i).filter((i) => i !== 200));
  target.applied.splice(0);
  let asked = 0;
  await announcePath(configuration, () => true, () => ++asked === 1);
  assert.equal(told().length, 128);
});
