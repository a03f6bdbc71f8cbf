import assert from "node:assert/strict";
import {
  listAttributes,
  mapAttributes,
  NetlinkMessage,
  NLM_F_ACK,
  NLM_F_REQUEST,
  NLMSG_BYTES,
  readText,
  readU32,
  readU8,
  splitMessages,
} from "./netlink_message.ts";

Deno.test("NetlinkMessage lays out header, fixed part and padded attributes", () => {
  const bytes = new NetlinkMessage(16, NLM_F_ACK).u8(1).u8(2).u16(0x0403).u32(0x08070605)
    .attributeText(3, "abcd").attributeU8(5, 9).attributeU16(6, 0x0102).attributeU32(7, 0xffff_fffe).finish();
  assert.deepEqual(
    [...bytes],
    // deno-fmt-ignore
    [
      60, 0, 0, 0,  16, 0,  5, 0,  0, 0, 0, 0,  0, 0, 0, 0,
      1, 2, 3, 4, 5, 6, 7, 8,
      9, 0,  3, 0,  97, 98, 99, 100, 0,  0, 0, 0,
      5, 0,  5, 0,  9,  0, 0, 0,
      6, 0,  6, 0,  2, 1,  0, 0,
      8, 0,  7, 0,  0xfe, 0xff, 0xff, 0xff,
    ],
  );
});

Deno.test("NetlinkMessage nests attributes", () => {
  const bytes = new NetlinkMessage(19).begin(26).begin(10).attributeU8(8, 1).end().attributeU8(11, 2).end().finish();
  const outer = listAttributes(bytes, NLMSG_BYTES);
  assert.deepEqual(outer.map(({ type }) => type), [26]);
  const middle = mapAttributes(outer[0].payload);
  assert.deepEqual([...middle.keys()], [10, 11]);
  assert.equal(readU8(mapAttributes(middle.get(10)!).get(8), 0), 1);
  assert.equal(readU8(middle.get(11), 0), 2);
});

Deno.test("NetlinkMessage refuses unbalanced nesting and over-long attributes", () => {
  assert.throws(() => new NetlinkMessage(1).end(), RangeError);
  assert.throws(() => new NetlinkMessage(1).begin(1).finish(), RangeError);
  assert.throws(() => new NetlinkMessage(1).attribute(1, new Uint8Array(65_532)), RangeError);
});

Deno.test("NetlinkMessage grows", () => {
  const message = new NetlinkMessage(1);
  for (let i = 0; i < 100; i++) message.attribute(i, new Uint8Array(i).fill(i));
  const attributes = listAttributes(message.finish(), NLMSG_BYTES);
  assert.equal(attributes.length, 100);
  attributes.forEach(({ type, payload }, i) => {
    assert.equal(type, i);
    assert.deepEqual(payload, new Uint8Array(i).fill(i));
  });
});

Deno.test("splitMessages() returns what was built, padding skipped", () => {
  const first = new NetlinkMessage(20).u8(7).finish();
  const second = new NetlinkMessage(21, NLM_F_ACK).u32(9).finish();
  const both = new Uint8Array(20 + second.length);
  both.set(first);
  both.set(second, 20);
  const messages = splitMessages(both);
  assert.deepEqual(messages.map(({ type, flags }) => [type, flags]), [[20, NLM_F_REQUEST], [
    21,
    NLM_F_REQUEST | NLM_F_ACK,
  ]]);
  assert.deepEqual(messages.map(({ body }) => [...body]), [[7], [9, 0, 0, 0]]);
});

Deno.test("splitMessages() and listAttributes() refuse impossible lengths", () => {
  const message = new NetlinkMessage(20).attributeU32(1, 2).finish();
  assert.throws(() => splitMessages(message.subarray(0, message.length - 1)), RangeError);
  assert.throws(() => listAttributes(message.subarray(0, message.length - 1), NLMSG_BYTES), RangeError);
  assert.throws(() => splitMessages(new Uint8Array(16)), RangeError);
  assert.throws(() => listAttributes(new Uint8Array(4)), RangeError);
});

Deno.test("readU8(), readU32() and readText() take what is missing or short as missing", () => {
  assert.equal(readU8(undefined, 5), 5);
  assert.equal(readU8(new Uint8Array(0), 5), 5);
  assert.equal(readU32(new Uint8Array(3), 5), 5);
  assert.equal(readU32(Uint8Array.of(1, 2, 3, 0xff), 5), 0xff030201);
  assert.equal(readText(undefined), "");
  assert.equal(readText(Uint8Array.of(97, 98)), "ab");
  assert.equal(readText(Uint8Array.of(97, 0, 98)), "a");
});
