import assert from "node:assert/strict";
import { TunQueues } from "./tun_queues.ts";

const DESCRIPTORS = [11, 12, 13, 14];
const TCP = 6;
const ICMP = 1;

const bytes = new Uint8Array(200);
const view = new DataView(bytes.buffer);
const queues = new TunQueues(DESCRIPTORS, view);

/** The queue of a packet at an odd place. */
function queueOf4(protocol: number, host: number, port: number, fragment = 0): number {
  bytes.fill(0);
  view.setUint8(7, 0x45);
  view.setUint16(7 + 6, fragment);
  view.setUint8(7 + 9, protocol);
  view.setUint32(7 + 12, 0x0a000001);
  view.setUint32(7 + 16, 0x0a000000 + host);
  view.setUint16(7 + 20, port);
  view.setUint16(7 + 22, 443);
  return queues.of(7);
}

function queueOf6(host: number, port: number): number {
  bytes.fill(0);
  view.setUint8(7, 0x60);
  view.setUint8(7 + 6, TCP);
  view.setUint32(7 + 8, 0xfd000000);
  view.setUint32(7 + 36, host);
  view.setUint16(7 + 40, port);
  return queues.of(7);
}

function assertSpread(found: readonly number[]): void {
  for (const descriptor of DESCRIPTORS) {
    const share = found.filter((each) => each === descriptor).length / found.length;
    assert.ok(share > 0.1 && share < 0.4, `${descriptor} has ${share}`);
  }
}

Deno.test("TunQueues spreads flows by port and by address over all queues", () => {
  const numbers = Array.from({ length: 256 }, (_, i) => i);
  assertSpread(numbers.map((i) => queueOf4(TCP, 2, 32_768 + 2 * i)));
  assertSpread(numbers.map((i) => queueOf4(ICMP, i, 0)));
  assertSpread(numbers.map((i) => queueOf6(2, 32_768 + 2 * i)));
  assertSpread(numbers.map((i) => queueOf6(i, 443)));
});

Deno.test("TunQueues keeps a flow, and all fragments between two hosts, on one queue", () => {
  assert.equal(queueOf4(TCP, 2, 1234), queueOf4(TCP, 2, 1234));
  // The bytes behind the header of a fragment, or of ICMP, are no ports.
  const fragments = [0x2000, 0x2001, 0x0007].flatMap((place) =>
    [1, 2, 3, 4].map((port) => queueOf4(TCP, 2, port, place))
  );
  assert.equal(new Set(fragments).size, 1);
  assert.equal(new Set([1, 2, 3, 4].map((port) => queueOf4(ICMP, 2, port))).size, 1);
});
