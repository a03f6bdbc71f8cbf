import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeHex, encodeHex } from "../crypto/encoding.ts";
import { isText, LineBuffer, LineWriter, MAX_LINE_BYTES, readKey, readNumber, readText } from "./uapi_line.ts";

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

Deno.test("LineBuffer.feed() hands over the same lines however the stream is cut", () => {
  const line = fc.string({ unit: "binary-ascii" }).map((text) => text.replaceAll("\n", ""));
  fc.assert(fc.property(fc.array(line), fc.array(fc.integer({ min: 1, max: 20 })), (lines, cuts) => {
    const stream = ascii(lines.map((text) => text + "\n").join("") + "rest");
    const buffer = new LineBuffer();
    const found: string[] = [];
    for (let from = 0; from < stream.length;) {
      const to = Math.min(stream.length, from + (cuts.shift() ?? stream.length));
      assert.equal(
        buffer.feed(stream, from, to, (bytes, start, end) => found.push(readText(bytes, start, end)) > 0),
        to,
      );
      from = to;
    }
    assert.deepEqual(found, lines);
  }));
});

Deno.test("LineBuffer.feed() stops after the line at which it is told to", () => {
  const stream = ascii("one\ntwo\nthree\n");
  const buffer = new LineBuffer();
  assert.equal(buffer.feed(stream, 0, stream.length, () => false), 4);
  assert.equal(buffer.feed(stream, 4, 6, () => assert.fail()), 6);
  assert.equal(buffer.feed(stream, 6, stream.length, (bytes, start, end) => !isText(bytes, start, end, "two")), 8);
});

Deno.test("LineBuffer.feed() cuts a line that is too long, in one piece or in many", () => {
  const stream = new Uint8Array(3 * MAX_LINE_BYTES).fill(0x61);
  stream[stream.length - 1] = 10;
  for (const piece of [stream.length, 1000]) {
    const buffer = new LineBuffer();
    const lengths: number[] = [];
    for (let from = 0; from < stream.length; from += piece) {
      const to = Math.min(stream.length, from + piece);
      buffer.feed(stream, from, to, (_, start, end) => lengths.push(end - start) > 0);
    }
    assert.deepEqual(lengths, [MAX_LINE_BYTES + 1]);
  }
});

Deno.test("LineBuffer erases a line that it had to put together, and an incomplete one when told", () => {
  const buffer = new LineBuffer();
  let pending: Uint8Array | undefined;
  const take = (bytes: Uint8Array, start: number, end: number): boolean => {
    assert.ok(isText(bytes, start, end, "secret"));
    pending = bytes;
    return true;
  };
  buffer.feed(ascii("sec"), 0, 3, take);
  buffer.feed(ascii("ret\n"), 0, 4, take);
  assert.ok(pending?.every((byte) => byte === 0));
  buffer.feed(ascii("half"), 0, 4, take);
  assert.ok(pending?.some((byte) => byte !== 0));
  buffer.wipe();
  assert.ok(pending?.every((byte) => byte === 0));
  buffer.feed(ascii("secret\n"), 0, 7, take);
});

Deno.test("readNumber() takes digits only, up to the maximum", () => {
  fc.assert(fc.property(fc.nat(0xffffffff), fc.nat(0xffffffff), (value, max) => {
    const bytes = ascii(String(value));
    assert.equal(readNumber(bytes, 0, bytes.length, max), value <= max ? value : -1);
  }));
  for (const text of ["", "-1", "+1", "1.0", "1e3", "0x1", " 1", "1 ", "١", "9".repeat(4000)]) {
    const bytes = ascii(text);
    assert.equal(readNumber(bytes, 0, bytes.length, Number.MAX_SAFE_INTEGER), -1, text);
  }
});

Deno.test("readKey() reads what hex() wrote and nothing else", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.boolean(), (key, isUpper) => {
    const writer = new LineWriter(1);
    writer.hex("k", key);
    const line = new TextDecoder().decode(writer.take());
    assert.equal(line, `k=${encodeHex(key)}\n`);
    const text = ascii(isUpper ? line.toUpperCase() : line);
    assert.deepEqual(readKey(text, 2, 66), key);
    assert.equal(readKey(text, 2, 65), null);
    assert.equal(readKey(text, 1, 65), null);
  }));
  for (let byte = 0; byte < 256; byte++) {
    for (const at of [0, 31, 63]) {
      const text = ascii("ab".repeat(32));
      text[at] = byte;
      assert.equal(readKey(text, 0, 64) !== null, decodeHex(readText(text, 0, 64)) !== null, `${byte} at ${at}`);
    }
  }
});

Deno.test("LineWriter erases the buffers it outgrows", () => {
  const writer = new LineWriter(100);
  writer.hex("private_key", new Uint8Array(32).fill(0xab));
  const first = writer.take().buffer;
  writer.text("more", "x".repeat(100));
  writer.number("n", 5);
  writer.end();
  assert.ok(new Uint8Array(first).every((byte) => byte === 0));
  assert.equal(
    new TextDecoder().decode(writer.take()),
    `private_key=${"ab".repeat(32)}\nmore=${"x".repeat(100)}\nn=5\n\n`,
  );
});
