/** What a device makes of single datagrams: padding of its own, silence to worthless ones. */
import assert from "node:assert/strict";
import { DATA_OVERHEAD } from "../../tunnel/messages.ts";
import { MALFORMED, UNKNOWN_INDEX } from "../../tunnel/reasons.ts";
import { acquaintances, strangers } from "./scene.ts";

for (const mtu of [1420, 1280, 1413, 576]) {
  Deno.test(`Device pads to a multiple of 16, never past an MTU of ${mtu}`, () => {
    const { network, a, b, trace } = acquaintances(1);
    a.device.mtu = mtu;
    for (let length = 28; length <= mtu; length++) {
      a.send(b, length);
      const sent = trace.datagrams.at(-1)!.length - DATA_OVERHEAD;
      assert.equal(sent, Math.min(mtu, Math.ceil(length / 16) * 16), `a packet of ${length} bytes becomes ${sent}`);
    }
    network.run(1_000);
    assert.ok(network.packets.records.every((record) => record.deliveredAt >= 0));
  });
}

Deno.test("Device sends a packet of 1,420 bytes without padding, cold or warm", () => {
  const { network, a, b, trace } = strangers(2);
  a.send(b, 1_420);
  network.runUntil(100);
  a.send(b, 1_420);
  network.runUntil(200);
  trace.expect([
    [0, "A", "initiation", 148],
    [10, "B", "response", 92],
    [20, "A", "data", 1_452],
    [30, "B", "deliver", 1_420],
    [100, "A", "data", 1_452],
    [110, "B", "deliver", 1_420],
  ]);
});

Deno.test("Device carries IPv6 as it carries IPv4", () => {
  const { network, a, b } = strangers(3, { family: 6 });
  for (const length of [48, 100, 1_280, 1_420]) {
    a.send(b, length, 6);
    network.run(100);
    b.send(a, length, 6);
    network.run(100);
  }
  assert.equal(network.packets.delivered, 8);
});

Deno.test("Device is silent to zeros of every length", () => {
  const { network, b, trace } = acquaintances(4);
  const stranger = b.record.slice();
  stranger[2] ^= 3;
  trace.clear();
  for (let length = 0; length < 2_000; length++) b.arrive(new Uint8Array(length), stranger);
  for (const length of [4_096, 65_506, 65_507]) b.arrive(new Uint8Array(length), stranger);
  network.run(1_000);
  assert.equal(trace.events.length, 0);
  assert.equal(b.tables.deviceDrops[MALFORMED], 2_003);
});

Deno.test("Device is silent to each message type in every wrong length", () => {
  const { network, b, trace } = acquaintances(5);
  const stranger = b.record.slice();
  stranger[2] ^= 3;
  trace.clear();
  const right = [0, 148, 92, 64];
  for (let type = 0; type < 8; type++) {
    for (let length = 1; length < 400; length++) {
      if (length === right[type]) continue;
      const datagram = new Uint8Array(length).fill(0xa5);
      datagram.fill(0, 0, 4);
      datagram[0] = type;
      const result = b.arrive(datagram, stranger);
      const isData = type === 4 && length >= DATA_OVERHEAD;
      assert.equal(result, isData ? -UNKNOWN_INDEX : -MALFORMED, `type ${type}, ${length} bytes`);
    }
  }
  network.run(1_000);
  assert.equal(trace.events.length, 0);
});

Deno.test("Device is silent to messages whose reserved bytes are not zero", () => {
  const { network, a, b, trace } = strangers(6);
  a.uplink.outage = true;
  a.send(b, 100);
  const initiation = trace.datagrams[0];
  trace.clear();
  for (const at of [1, 2, 3]) {
    const datagram = initiation.slice();
    datagram[at] = 1;
    assert.equal(b.arrive(datagram, a.record), -MALFORMED);
  }
  assert.equal(trace.events.length, 0);
  assert.equal(b.arrive(initiation, a.record), 0);
  assert.deepEqual(trace.times("response"), [network.now]);
});

Deno.test("Device is silent to data for an index it never gave out", () => {
  const { a, b, trace } = acquaintances(7);
  a.send(b, 100);
  const data = trace.datagrams.at(-1)!.slice();
  trace.clear();
  const view = new DataView(data.buffer);
  for (let i = 0; i < 10_000; i++) {
    const index = a.random.word();
    if (index === b.tables.localIndex[b.tables.currentKeypair[0]]) continue;
    view.setUint32(4, index, true);
    assert.equal(b.arrive(data, a.record), -UNKNOWN_INDEX);
  }
  assert.equal(trace.events.length, 0);
});
