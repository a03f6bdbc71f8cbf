import assert from "node:assert/strict";
import fc from "fast-check";
import { MessageRing, RING_BYTES } from "./message_ring.ts";

/** Two ends of one ring. */
function ring(): [MessageRing, MessageRing] {
  const buffer = new SharedArrayBuffer(64 + RING_BYTES);
  return [new MessageRing(buffer, 64), new MessageRing(buffer, 64)];
}

function contents(reader: MessageRing): [number, number, number, number, Uint8Array] {
  const { kind, a, b, c, offset, length, bytes } = reader;
  return [kind, a, b, c, bytes.slice(offset, offset + length)];
}

Deno.test("MessageRing hands over messages in order, whole", () => {
  const [writer, reader] = ring();
  assert.ok(reader.isEmpty);
  assert.ok(writer.write(1, 2, -3, 4));
  assert.ok(writer.write(5, 6, 7, 8, Uint8Array.of(1, 2, 3), Uint8Array.of(9, 9, 4, 5, 9), 2, 2));
  assert.ok(!reader.isEmpty);
  const { end } = reader;
  assert.ok(reader.next(end));
  assert.deepEqual(contents(reader), [1, 2, -3, 4, new Uint8Array(0)]);
  assert.ok(reader.next(end));
  assert.deepEqual(contents(reader), [5, 6, 7, 8, Uint8Array.of(1, 2, 3, 4, 5)]);
  assert.ok(!reader.next(end));
  assert.ok(reader.isEmpty);
});

Deno.test("MessageRing stops at the end that its reader asked for", () => {
  const [writer, reader] = ring();
  writer.write(1, 0, 0, 0);
  const { end } = reader;
  writer.write(2, 0, 0, 0);
  assert.ok(reader.next(end));
  assert.ok(!reader.next(end));
  assert.ok(reader.next(reader.end));
  assert.equal(reader.kind, 2);
});

Deno.test("MessageRing refuses what it has no room for, and takes it later", () => {
  const [writer, reader] = ring();
  const packet = new Uint8Array(65_535);
  let written = 0;
  while (writer.write(1, written, 0, 0, undefined, packet, 0, packet.length)) written++;
  assert.equal(written, 3);
  for (const { end } = reader; reader.next(end);) assert.equal(reader.length, packet.length);
  assert.ok(writer.write(1, 0, 0, 0, undefined, packet, 0, packet.length));
});

Deno.test("MessageRing is a queue for messages of all sizes, round its end at every place", () => {
  const step = fc.record({ size: fc.nat(3000), reads: fc.nat(3) });
  fc.assert(
    fc.property(fc.array(step, { minLength: 400, maxLength: 600 }), (steps) => {
      const [writer, reader] = ring();
      const expected: number[] = [];
      const bytes = new Uint8Array(3000);
      const take = (): void => {
        assert.ok(reader.next(reader.end));
        const size = expected.shift()!;
        assert.deepEqual([reader.a, reader.length], [size, size]);
        assert.ok(reader.bytes.subarray(reader.offset, reader.offset + size).every((byte) => byte === (size & 255)));
      };
      for (const { size, reads } of steps) {
        bytes.fill(size & 255);
        if (writer.write(1, size, 0, 0, undefined, bytes, 0, size)) expected.push(size);
        for (let i = 0; i < reads && expected.length > 0; i++) take();
      }
      while (expected.length > 0) take();
      assert.ok(!reader.next(reader.end));
      assert.ok(reader.isEmpty);
    }),
    { numRuns: 20 },
  );
});
