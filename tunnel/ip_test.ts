import { strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { destinationOffset, innerPacketLength, ipVersion, sourceOffset } from "./ip.ts";

/** A buffer of 0xff with an IPv4 header of this total length at 3. */
function ipv4(total: number): Uint8Array {
  const bytes = new Uint8Array(128).fill(0xff);
  bytes.set([0x45, 0, total >>> 8, total & 255], 3);
  return bytes;
}

/** A buffer of 0xff with an IPv6 header of this payload length at 3. */
function ipv6(payload: number): Uint8Array {
  const bytes = new Uint8Array(128).fill(0xff);
  bytes.set([0x60, 0, 0, 0, payload >>> 8, payload & 255], 3);
  return bytes;
}

Deno.test("innerPacketLength() returns an IPv4 packet's total length without the padding", () => {
  strictEqual(innerPacketLength(ipv4(20), 3, 20), 20);
  strictEqual(innerPacketLength(ipv4(20), 3, 32), 20);
  strictEqual(innerPacketLength(ipv4(61), 3, 61), 61);
  strictEqual(innerPacketLength(ipv4(62), 3, 61), -1);
  strictEqual(innerPacketLength(ipv4(19), 3, 32), -1);
  strictEqual(innerPacketLength(ipv4(0), 3, 32), -1);
  strictEqual(innerPacketLength(ipv4(20), 3, 19), -1);
  strictEqual(innerPacketLength(ipv4(65_535), 3, 125), -1);
});

Deno.test("innerPacketLength() returns an IPv6 packet's header and payload without the padding", () => {
  strictEqual(innerPacketLength(ipv6(0), 3, 40), 40);
  strictEqual(innerPacketLength(ipv6(0), 3, 48), 40);
  strictEqual(innerPacketLength(ipv6(21), 3, 61), 61);
  strictEqual(innerPacketLength(ipv6(22), 3, 61), -1);
  strictEqual(innerPacketLength(ipv6(0), 3, 39), -1);
  strictEqual(innerPacketLength(ipv6(65_535), 3, 125), -1);
});

Deno.test("innerPacketLength() refuses every other version and an empty packet", () => {
  for (let version = 0; version < 16; version++) {
    if (version === 4 || version === 6) continue;
    const bytes = new Uint8Array(64).fill(20);
    bytes[0] = version << 4;
    strictEqual(innerPacketLength(bytes, 0, 64), -1);
  }
  strictEqual(innerPacketLength(new Uint8Array(0), 0, 0), -1);
});

Deno.test("innerPacketLength() never claims more than there is, nor less than a header", () => {
  const property = fc.property(
    fc.uint8Array({ maxLength: 120, size: "max" }),
    fc.constantFrom(0x45, 0x60, -1),
    (b, first) => {
      if (first !== -1 && b.length > 4) b.set([first, 0, 0, b[3]]);
      const length = innerPacketLength(b, 0, b.length);
      if (length === -1) return true;
      return length <= b.length && length >= (ipVersion(b, 0) === 4 ? 20 : 40);
    },
  );
  fc.assert(property, { numRuns: 2000 });
});

Deno.test("sourceOffset() and destinationOffset() follow the version", () => {
  strictEqual(sourceOffset(ipv4(20), 3), 15);
  strictEqual(destinationOffset(ipv4(20), 3), 19);
  strictEqual(sourceOffset(ipv6(0), 3), 11);
  strictEqual(destinationOffset(ipv6(0), 3), 27);
  strictEqual(sourceOffset(new Uint8Array(64), 3), -1);
  strictEqual(destinationOffset(new Uint8Array(64), 3), -1);
  strictEqual(ipVersion(new Uint8Array([0xf1]), 0), 15);
});
