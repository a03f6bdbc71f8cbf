import assert from "node:assert/strict";
import fc from "fast-check";
import { IndexTable } from "./index_table.ts";
import { Keypairs } from "./keypairs.ts";
import { ReplayWindows } from "./replay.ts";
import { OwnSendCounters } from "./send_counters.ts";
import { DeviceTables, NONE } from "./tables.ts";

class Fixture {
  readonly tables = DeviceTables.create({ peers: 2, keypairs: 4 });
  #drawn = 0;
  readonly indices = new IndexTable((out) => out.fill(++this.#drawn));
  readonly keypairs = new Keypairs({
    tables: this.tables,
    indices: this.indices,
    replay: new ReplayWindows(this.tables.replay),
    counters: new OwnSendCounters(this.tables),
    onFree: () => {},
    readers: null,
  });

  /** A handshake of one peer: the new keypair, in its place. */
  derive(peer: number, isInitiator: boolean): number {
    const key = new Uint8Array(32).fill(1);
    const keypair = this.keypairs.create(peer, isInitiator, key, key, this.indices.allocate(0), 7, 0);
    if (keypair !== NONE) this.keypairs.install(peer, keypair);
    return keypair;
  }

  slots(peer: number): number[] {
    const { previousKeypair, currentKeypair, nextKeypair } = this.tables;
    return [previousKeypair[peer], currentKeypair[peer], nextKeypair[peer]];
  }
}

Deno.test("Keypairs has room for every rekey of every peer in two slots for each", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(1), fc.boolean(), fc.boolean()), { minLength: 20 }), (steps) => {
      const fixture = new Fixture();
      for (const peer of [0, 1]) fixture.keypairs.reset(peer);
      for (const [peer, isInitiator, isConfirmed] of steps) {
        const [, current, next] = fixture.slots(peer);
        const keypair = fixture.derive(peer, isInitiator);
        assert.notEqual(keypair, NONE);
        // The same slots as if there had been room without end.
        const slots = fixture.slots(peer);
        if (!isInitiator) assert.deepEqual(slots, [NONE, current, keypair]);
        else assert.deepEqual(slots, [next === NONE ? current : next, keypair, NONE]);
        if (isConfirmed && !isInitiator) assert.ok(fixture.keypairs.confirm(peer, keypair));
        const held = [0, 1].flatMap((each) => fixture.slots(each)).filter((each) => each !== NONE);
        assert.equal(new Set(held).size, held.length);
        assert.deepEqual([fixture.keypairs.size, fixture.indices.size], [held.length, held.length]);
      }
    }),
  );
});
