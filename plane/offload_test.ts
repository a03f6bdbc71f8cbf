/** Segmentation and coalescing are each other's inverse; each is also held against slow, obvious code. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { createInternetSum } from "./checksum.ts";
import { Coalescer, FLOW_SLOTS, MERGED_PACKETS } from "./coalescing.ts";
import { Segmenter, TEMPLATE_BYTES } from "./segmentation.ts";
import { GSO_TCP4, GSO_TCP6, GSO_UDP, VNET_BYTES, VNET_NEEDS_CHECKSUM } from "./vnet_header.ts";

const PACKET = 1024;
const ROOM = 4096;

interface Shape {
  readonly ipv6: boolean;
  readonly tcp: boolean;
  readonly options: number;
  readonly size: number;
  readonly payload: number;
}

const shapes: fc.Arbitrary<Shape> = fc.record({
  ipv6: fc.boolean(),
  tcp: fc.boolean(),
  options: fc.integer({ min: 0, max: 10 }).map((words) => words * 4),
  size: fc.integer({ min: 1000, max: 1400 }),
  payload: fc.integer({ min: 1, max: 40_000 }),
});

function slowSum(bytes: Uint8Array, initial = 0): number {
  let sum = initial;
  bytes.forEach((byte, i) => sum += i % 2 === 0 ? byte * 256 : byte);
  while (sum > 0xffff) sum = (sum >> 16) + (sum & 0xffff);
  return sum;
}

function headerBytes(shape: Shape): { transport: number; headers: number } {
  const transport = shape.ipv6 ? 40 : 20;
  return { transport, headers: transport + (shape.tcp ? 20 + shape.options : 8) };
}

/** A whole packet with its final checksums, however large. */
function makePacket(shape: Shape, sequence = 0xffff_f000, flags = 0x18, port = 80): Uint8Array {
  const { transport, headers } = headerBytes(shape);
  const packet = new Uint8Array(headers + shape.payload).map((_, i) => i * 7 + (i >> 8));
  const view = new DataView(packet.buffer);
  if (shape.ipv6) {
    view.setUint32(0, 0x6001_2345);
    view.setUint16(4, packet.length - 40);
    packet[6] = shape.tcp ? 6 : 17;
  } else {
    packet.set([0x45, 2]);
    view.setUint16(2, packet.length);
    view.setUint16(4, 0xfffe);
    view.setUint16(6, 0x4000);
    packet[9] = shape.tcp ? 6 : 17;
  }
  view.setUint16(transport, port);
  if (shape.tcp) {
    view.setUint32(transport + 4, sequence);
    packet[transport + 12] = (20 + shape.options) / 4 << 4;
    packet[transport + 13] = flags;
  } else {
    view.setUint16(transport + 4, packet.length - transport);
  }
  finish(packet, shape);
  return packet;
}

function pseudo(packet: Uint8Array, shape: Shape): number {
  const { transport } = headerBytes(shape);
  const addresses = shape.ipv6 ? packet.subarray(8, 40) : packet.subarray(12, 20);
  return slowSum(addresses, packet.length - transport + (shape.tcp ? 6 : 17));
}

/** Computes both checksums. */
function finish(packet: Uint8Array, shape: Shape): void {
  const { transport } = headerBytes(shape);
  const view = new DataView(packet.buffer, packet.byteOffset);
  if (!shape.ipv6) {
    view.setUint16(10, 0);
    view.setUint16(10, ~slowSum(packet.subarray(0, 20)));
  }
  const field = transport + (shape.tcp ? 16 : 6);
  view.setUint16(field, 0);
  view.setUint16(field, ~slowSum(packet.subarray(transport), pseudo(packet, shape)) || 0xffff);
}

class Bench {
  readonly bytes = new Uint8Array(1 << 20);
  readonly view = new DataView(this.bytes.buffer);
  readonly sum = createInternetSum(this.view);

  /** Cuts `packet` as the kernel would hand it over; `spoil` plays the sealing and its padding. */
  segments(packet: Uint8Array, shape: Shape): Uint8Array[] {
    const { transport } = headerBytes(shape);
    const { view } = this;
    view.setUint8(PACKET, VNET_NEEDS_CHECKSUM);
    view.setUint8(PACKET + 1, shape.tcp ? (shape.ipv6 ? GSO_TCP6 : GSO_TCP4) : GSO_UDP);
    view.setUint16(PACKET + 4, shape.size, true);
    view.setUint16(PACKET + 6, transport, true);
    view.setUint16(PACKET + 8, shape.tcp ? 16 : 6, true);
    this.bytes.set(packet, PACKET + VNET_BYTES);
    const segmenter = new Segmenter(this.bytes, view, 0, this.sum);
    const segments: Uint8Array[] = [];
    assert.ok(segmenter.begin(PACKET, packet.length));
    for (let length = segmenter.next(); length > 0; length = segmenter.next()) {
      segments.push(this.bytes.slice(segmenter.offset, segmenter.offset + length));
      this.bytes.fill(0, segmenter.offset + length, segmenter.offset + length + 15);
    }
    return segments;
  }

  /** Pushes packets and returns what was written, header first. */
  coalesce(packets: Uint8Array[]): Uint8Array[] {
    const written: Uint8Array[] = [];
    const pieces: number[][][] = Array.from({ length: FLOW_SLOTS + 1 }, () => []);
    const writer = {
      setPiece(flow: number, index: number, offset: number, length: number): void {
        pieces[flow][index] = [offset, length];
      },
      write: (flow: number, count: number): void => {
        const parts = pieces[flow].slice(0, count).map(([at, length]) => [...this.bytes.subarray(at, at + length)]);
        written.push(Uint8Array.from(parts.flat()));
      },
    };
    const coalescer = new Coalescer(this.view, this.sum, writer, true, true);
    let at = ROOM;
    for (const packet of packets) {
      this.bytes.set(packet, at);
      coalescer.push(at, packet.length, 0);
      at += packet.length + 32;
    }
    coalescer.flush();
    return written;
  }
}

Deno.test("Segmenter cuts a packet into valid packets that carry all of it", () => {
  const bench = new Bench();
  fc.assert(
    fc.property(shapes, (shape) => {
      const packet = makePacket(shape);
      const { transport, headers } = headerBytes(shape);
      const segments = bench.segments(packet, shape);
      assert.equal(segments.length, Math.ceil(shape.payload / shape.size));
      assert.deepEqual(Uint8Array.from(segments.flatMap((s) => [...s.subarray(headers)])), packet.subarray(headers));
      segments.forEach((segment, i) => {
        const wanted = segment.slice();
        finish(wanted, shape);
        assert.deepEqual(segment, wanted, "checksums");
        const view = new DataView(segment.buffer);
        if (!shape.ipv6) assert.equal(view.getUint16(4), (0xfffe + i) & 0xffff, "identification");
        assert.equal(shape.ipv6 ? view.getUint16(4) + 40 : view.getUint16(2), segment.length, "length");
        if (!shape.tcp) return;
        assert.equal(view.getUint32(transport + 4), (0xffff_f000 + i * shape.size) >>> 0, "sequence");
        assert.equal(segment[transport + 13], i === segments.length - 1 ? 0x18 : 0x10, "flags");
      });
    }),
    { numRuns: 200 },
  );
});

Deno.test("Coalescer joins what Segmenter cut", () => {
  const bench = new Bench();
  fc.assert(
    fc.property(shapes, (shape) => {
      const packet = makePacket(shape);
      const { transport, headers } = headerBytes(shape);
      const segments = bench.segments(packet, shape);
      const written = bench.coalesce(segments);
      assert.equal(written.length, 1);
      if (segments.length === 1) return assert.deepEqual(written[0].subarray(VNET_BYTES), segments[0]);
      const merged = written[0].slice(VNET_BYTES);
      const view = new DataView(written[0].buffer);
      assert.equal(view.getUint16(2, true), headers);
      assert.equal(view.getUint16(4, true), shape.size);
      assert.equal(view.getUint16(6, true), transport);
      const field = transport + (shape.tcp ? 16 : 6);
      assert.equal(new DataView(merged.buffer).getUint16(field), pseudo(merged, shape));
      finish(merged, shape);
      assert.deepEqual(merged, packet);
    }),
    { numRuns: 200 },
  );
});

Deno.test("Segmenter finishes a checksum that the kernel left open", () => {
  for (const tcp of [true, false]) {
    const shape = { ipv6: false, tcp, options: 0, size: 0, payload: 99 };
    const bench = new Bench();
    const packet = makePacket(shape);
    const open = packet.slice();
    const { transport } = headerBytes(shape);
    new DataView(open.buffer).setUint16(transport + (tcp ? 16 : 6), pseudo(packet, shape));
    bench.bytes.set([VNET_NEEDS_CHECKSUM, 0, 0, 0, 0, 0, transport, 0, tcp ? 16 : 6, 0], PACKET);
    bench.bytes.set(open, PACKET + VNET_BYTES);
    const segmenter = new Segmenter(bench.bytes, bench.view, 0, bench.sum);
    assert.ok(segmenter.begin(PACKET, open.length));
    assert.equal(segmenter.next(), packet.length);
    assert.deepEqual(bench.bytes.slice(segmenter.offset, segmenter.offset + packet.length), packet);
    assert.equal(segmenter.next(), 0);
  }
});

Deno.test("Segmenter refuses headers that make no sense, whatever they are", () => {
  const bench = new Bench();
  const segmenter = new Segmenter(bench.bytes, bench.view, 0, bench.sum);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: VNET_BYTES + 20, maxLength: 200 }), (noise) => {
      bench.bytes.set(noise, PACKET);
      const length = noise.length - VNET_BYTES;
      if (!segmenter.begin(PACKET, length)) return;
      for (let bytes = segmenter.next(); bytes > 0; bytes = segmenter.next()) {
        assert.ok(bytes <= length && segmenter.offset >= PACKET);
        assert.ok(segmenter.offset + bytes <= PACKET + noise.length);
      }
    }),
    { numRuns: 5000 },
  );
  assert.ok(TEMPLATE_BYTES < PACKET);
});

Deno.test("Coalescer keeps flows apart and in order", () => {
  const bench = new Bench();
  const shape = { ipv6: false, tcp: true, options: 12, size: 1000, payload: 1000 };
  const packets = [0, 1, 2].flatMap((i) =>
    [1, 2, 3].map((port) => makePacket(shape, 1000 * i, i === 2 ? 0x18 : 0x10, port))
  );
  const written = bench.coalesce(packets);
  assert.equal(written.length, 3);
  for (const packet of written) assert.equal(packet.length, VNET_BYTES + 52 + 3000);
});

Deno.test("Coalescer does not merge across a gap, a flag, a bad checksum, other options or an ended run", () => {
  const bench = new Bench();
  const shape = { ipv6: false, tcp: true, options: 12, size: 1000, payload: 1000 };
  const first = makePacket(shape, 0, 0x10);
  const next = (change: (packet: Uint8Array) => void, sequence = 1000, flags = 0x10): Uint8Array => {
    const packet = makePacket(shape, sequence, flags);
    change(packet);
    return packet;
  };
  const nothing = (): void => {};
  const cases: Record<string, Uint8Array[]> = {
    gap: [first, next(nothing, 1001)],
    fin: [first, next(nothing, 1000, 0x11)],
    checksum: [first, next((packet) => packet[500] ^= 1)],
    "checksum of the first": [((): Uint8Array => (first.slice().fill(9, 500, 501)))(), next(nothing)],
    options: [first, next((packet) => (packet[45] ^= 1, finish(packet, shape)))],
    "accurate ECN": [first, next((packet) => (packet[32] ^= 1, finish(packet, shape)))],
    tos: [first, next((packet) => (packet[1] ^= 1, finish(packet, shape)))],
    ended: [makePacket(shape, 0, 0x18), next(nothing)],
    shorter: [makePacket({ ...shape, payload: 900 }, 0, 0x10), makePacket(shape, 900, 0x10)],
    empty: [makePacket({ ...shape, payload: 0 }, 0, 0x10), makePacket({ ...shape, payload: 0 }, 0, 0x10)],
  };
  for (const [name, packets] of Object.entries(cases)) {
    const written = bench.coalesce(packets);
    assert.equal(written.length, 2, name);
    packets.forEach((packet, i) => {
      assert.deepEqual(written[i], Uint8Array.from([...new Uint8Array(VNET_BYTES), ...packet]), name);
    });
  }
  assert.equal(bench.coalesce([first, next(nothing)]).length, 1);
});

Deno.test("Coalescer bounds what it merges", () => {
  const bench = new Bench();
  const shape = { ipv6: false, tcp: true, options: 0, size: 100, payload: 100 };
  const packets = Array.from({ length: 200 }, (_, i) => makePacket(shape, 100 * i, 0x10));
  const written = bench.coalesce(packets);
  assert.equal(written.length, Math.ceil(200 / MERGED_PACKETS));
});

Deno.test("Coalescer passes on anything, whatever it is, in one piece", () => {
  const bench = new Bench();
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 40, maxLength: 120 }), { maxLength: 20 }), (noise) => {
      const packets = noise.map((packet) => {
        packet[0] = packet[0] & 1 ? 0x45 : 0x60;
        return packet;
      });
      const bytes = bench.coalesce(packets).reduce((sum, packet) => sum + packet.length - VNET_BYTES, 0);
      assert.equal(bytes, packets.reduce((sum, packet) => sum + packet.length, 0));
    }),
  );
});
