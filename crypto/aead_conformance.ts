/**
 * What every `Aead` engine must pass. Test code, but no test by itself: each engine's test file calls it.
 *
 * The expected bytes come from a slow twin over BigInt, which is itself checked against RFC 8439 and Wycheproof. The
 * first page of each memory is left to the engine.
 *
 * Spec: RFC 8439 §2.8.
 */
import assert from "node:assert/strict";
import wycheproof from "../tests/vectors/wycheproof_chacha20_poly1305_test.json" with { type: "json" };
import {
  aeadBlocks,
  littleEndian,
  P,
  poly1305Accumulate,
  poly1305Key,
  R_MASK,
  referenceSeal,
  toLittleEndian,
} from "../tests/reference/chacha20poly1305.ts";
import type { Aead } from "./aead.ts";
import {
  Bench,
  KEY,
  NO_AD,
  nonce,
  type Packet,
  Random,
  SOURCE,
  TAG_BYTES,
  TARGET,
} from "../tests/reference/aead_fixture.ts";
import { decodeHex } from "./encoding.ts";

/** Lengths at which SIMD kernels change their way: blocks, groups of blocks, and one off each. */
const EDGE_LENGTHS = [0, 1, 15, 16, 17, 63, 64, 65, 191, 192, 193, 255, 256, 257, 447, 448, 449, 511, 512, 513, 1420];
const COUNTERS = [[0, 0], [1, 0], [0xffff_ffff, 0], [0, 1], [0x89ab_cdef, 0x0123_4567], [0xffff_ffff, 0xffff_ffff]];

/**
 * Registers the tests of one engine.
 *
 * @param create makes the engine for a memory that does not grow
 */
export function testAeadConformance(name: string, create: (memory: WebAssembly.Memory) => Aead): void {
  const bench = new Bench(create);
  const test = (claim: string, body: (bench: Bench) => void): void => Deno.test(`${name} ${claim}`, () => body(bench));

  test("seals and opens every length from 0 to 300 and large ones", checkLengths);
  test("seals and opens at unaligned offsets", checkOffsets);
  test("uses both words of the counter", checkCounters);
  test("seals and opens the keys, nonces and messages of Wycheproof", checkWycheproof);
  test("authenticates blocks that drive Poly1305 to its extremes", checkPolyExtremes);
  test("reduces a final accumulator near the prime", checkPolyReduction);
  test("rejects every flipped bit of a packet, its tag, its key and its counter", checkBitFlips);
  test("rejects a packet under another length", checkOtherLengths);
  test("zeroes the output of a failed open and works on", checkFailedOpen);
  test("keeps nothing from one packet to the next", checkIndependence);
  if (bench.aead.sealPush) test("completes pushed packets whatever comes in between", checkPushed);
}

function checkLengths(bench: Bench): void {
  const random = new Random(1);
  for (let length = 0; length <= 300; length++) bench.check(random.packet(length));
  for (const length of [448, 511, 512, 513, 768, 1024, 1280, 1420, 1500, 9000, 65_535]) {
    bench.check(random.packet(length));
  }
}

function checkOffsets(bench: Bench): void {
  const random = new Random(2);
  for (let offset = 0; offset < 32; offset++) {
    for (const length of [0, 1, 31, 64, 100, 257, 1420]) {
      const packet = random.packet(length);
      bench.check(packet, KEY + offset % 17, SOURCE + offset, TARGET + (offset * 7) % 32);
    }
  }
}

function checkCounters(bench: Bench): void {
  const random = new Random(3);
  for (const [low, high] of COUNTERS) {
    for (const length of [0, 100, 600]) bench.check({ ...random.packet(length), low, high });
  }
  // Neighbouring counters must differ in their packets, also when only the high word does.
  const packet = random.packet(64);
  const sealed = COUNTERS.map(([low, high]) => {
    bench.put(KEY, packet.key, 0);
    bench.put(SOURCE, packet.plaintext, TAG_BYTES);
    bench.aead.seal(KEY, low, high, SOURCE, SOURCE, 64);
    return bench.bytes.slice(SOURCE, SOURCE + 64 + TAG_BYTES).join();
  });
  assert.equal(new Set(sealed).size, COUNTERS.length);
}

/**
 * No case of Wycheproof has both a nonce of an engine's form and no associated data, so its keys, the last eight bytes
 * of its nonces and its messages are used, against the twin that passes the file as it is.
 */
function checkWycheproof(bench: Bench): void {
  let count = 0;
  for (const { tests } of wycheproof.testGroups.filter(({ ivSize }) => ivSize === 96)) {
    for (const { key, iv, msg, ct } of tests) {
      const counter = new DataView(hex(iv).buffer);
      for (const plaintext of [hex(msg), hex(ct)]) {
        const [low, high] = [counter.getUint32(4, true), counter.getUint32(8, true)];
        bench.check({ key: hex(key), low, high, plaintext });
      }
      count++;
    }
  }
  assert.equal(count, 316);
}

/** Blocks of all ones and of zeros as *ciphertext*, under keys chosen for the largest and smallest limbs of r. */
function checkPolyExtremes(bench: Bench): void {
  const random = new Random(4);
  const key = random.bytes(32);
  const fills = [0x00, 0xff, 0x80, 0x7f, 0xfb];
  for (const low of extremeCounters(key)) {
    for (const fill of fills) {
      for (const length of [16, 17, 64, 255, 256, 1040]) {
        bench.check(packetOf(key, low, new Uint8Array(length).fill(fill)));
      }
    }
  }
}

/**
 * Ciphertexts computed such that the accumulator ends on, or passes in the middle, a value within 40 of the prime:
 * there a reduction that is left out or done once too often shows.
 */
function checkPolyReduction(bench: Bench): void {
  const random = new Random(5);
  const key = random.bytes(32);
  let ends = 0;
  let passes = 0;
  for (let distance = -40n; distance <= 40n; distance++) {
    const target = (P + distance) % P;
    const low = random.next();
    const r = littleEndian(poly1305Key(key, nonce({ low, high: 0 }))) & R_MASK;
    for (const blocks of [2, 20, 70]) {
      const ending = steer(random, r, target, blocks, true);
      bench.check(packetOf(key, low, ending));
      assert.equal(poly1305Accumulate(r, 0n, aeadBlocks(ending, NO_AD)), target);
      ends++;
      const passing = steer(random, r, target, blocks, false);
      bench.check(packetOf(key, low, Uint8Array.from([...passing, ...new Uint8Array(32).fill(0xff)])));
      assert.equal(poly1305Accumulate(r, 0n, passing), target);
      passes++;
    }
  }
  assert.deepEqual([ends, passes], [243, 243]);
}

function checkBitFlips(bench: Bench): void {
  const random = new Random(6);
  for (const length of [0, 1, 16, 63, 200, 512, 777]) {
    const { key, low, high, plaintext } = random.packet(length);
    const sealed = referenceSeal(key, nonce({ low, high }), plaintext, NO_AD);
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      bench.refuse(key, low, high, flip(sealed, bit), bit % 2 === 0, `bit ${bit} of length ${length}`);
    }
    for (let bit = 0; bit < 256; bit++) bench.refuse(flip(key, bit), low, high, sealed, false, `bit ${bit} of the key`);
    for (let bit = 0; bit < 32; bit++) {
      bench.refuse(key, (low ^ (1 << bit)) >>> 0, high, sealed, false, `bit ${bit} of the counter`);
      bench.refuse(key, low, (high ^ (1 << bit)) >>> 0, sealed, false, `bit ${32 + bit} of the counter`);
    }
  }
}

function checkOtherLengths(bench: Bench): void {
  const random = new Random(7);
  for (const length of EDGE_LENGTHS) {
    const { key, low, high, plaintext } = random.packet(length);
    const sealed = referenceSeal(key, nonce({ low, high }), plaintext, NO_AD);
    if (length > 0) {
      bench.refuse(key, low, high, sealed.slice(0, -1), false, `${length} cut at the end`);
      bench.refuse(key, low, high, sealed.slice(1), true, `${length} cut at the beginning`);
    }
    // Zero bytes are what padding to 16 would hide if the length were not authenticated.
    const padded = Uint8Array.from([...sealed.slice(0, length), 0, ...sealed.slice(length)]);
    bench.refuse(key, low, high, padded, true, `${length} with a zero byte`);
  }
}

function checkFailedOpen(bench: Bench): void {
  const random = new Random(8);
  for (const length of [...EDGE_LENGTHS, 9000, 65_535]) {
    const packet = random.packet(length);
    const sealed = referenceSeal(packet.key, nonce(packet), packet.plaintext, NO_AD);
    const forged = flip(sealed, 8 * length + random.next() % 128);
    for (const inPlace of [true, false]) {
      bench.refuse(packet.key, packet.low, packet.high, forged, inPlace, `length ${length}`);
      bench.checkPlaced(packet, sealed, KEY, SOURCE, inPlace ? SOURCE : TARGET);
    }
  }
}

function checkIndependence(bench: Bench): void {
  const random = new Random(9);
  for (let i = 0; i < 1_000; i++) {
    const packet = random.packet(random.next() % (i % 50 === 0 ? 4000 : 300));
    bench.check(packet, KEY + random.next() % 64, SOURCE + random.next() % 64, TARGET + random.next() % 64);
  }
}

/** Packets of all sizes, pushed one behind the other, with opened packets and flushes now and then. */
function checkPushed({ aead, bytes }: Bench): void {
  const random = new Random(10);
  aead.sealFlush!();
  for (let burst = 0; burst < 60; burst++) {
    const packets = Array.from({ length: 1 + random.next() % 12 }, (_, i) => ({
      ...random.packet(i % 3 === 0 ? EDGE_LENGTHS[random.next() % EDGE_LENGTHS.length] : random.next() % 1500),
      at: SOURCE + i * 2048 + random.next() % 32,
      from: i % 2 === 0 ? null : TARGET,
      isOpened: random.next() % 4 === 0,
    }));
    for (const { key, low, high, plaintext, at, from, isOpened } of packets) {
      bytes.fill(0xb7, at - 16, at + plaintext.length + 32);
      bytes.set(key, KEY);
      bytes.set(plaintext, from ?? at);
      aead.sealPush!(KEY, low, high, at, from ?? at, plaintext.length);
      // Neither is needed any more.
      bytes.fill(0x11, KEY, KEY + 32);
      if (from !== null) bytes.fill(0x22, from, from + plaintext.length);
      if (!isOpened) continue;
      bytes.set(key, KEY);
      bytes.set(referenceSeal(key, nonce({ low, high }), plaintext, NO_AD), TARGET);
      assert(aead.open(KEY, low, high, TARGET, TARGET, plaintext.length));
      assert.deepEqual(bytes.slice(TARGET, TARGET + plaintext.length), plaintext);
    }
    aead.sealFlush!();
    for (const [i, { key, low, high, plaintext, at }] of packets.entries()) {
      const expected = referenceSeal(key, nonce({ low, high }), plaintext, NO_AD);
      const where = `burst ${burst}, packet ${i} of ${plaintext.length} bytes`;
      assert.deepEqual(bytes.slice(at, at + expected.length), expected, where);
      const guards = [...bytes.slice(at - 16, at), ...bytes.slice(at + expected.length, at + expected.length + 16)];
      assert(guards.every((byte) => byte === 0xb7), `guard bytes, ${where}`);
    }
  }
}

/** Counters whose r has its largest and its smallest limb of 32 bits, one pair for each of the four. */
function extremeCounters(key: Uint8Array): number[] {
  const limbs = Array.from({ length: 2_048 }, (_, low) => {
    const view = new DataView(poly1305Key(key, nonce({ low, high: 0 })).buffer);
    return [0, 1, 2, 3].map((limb) => view.getUint32(4 * limb, true) & (limb === 0 ? 0x0fff_ffff : 0x0fff_fffc));
  });
  const counters = limbs.map((_, low) => low);
  return [0, 1, 2, 3].flatMap((limb) => {
    counters.sort((a, b) => limbs[a][limb] - limbs[b][limb]);
    return [counters[0], counters[counters.length - 1]];
  });
}

/**
 * A ciphertext of whole blocks after which the accumulator is `target`: directly, or with `throughLengths` once the
 * block of lengths is in too. All blocks are free but the last, which must come out with 128 bits.
 */
function steer(random: Random, r: bigint, target: bigint, blocks: number, throughLengths: boolean): Uint8Array {
  const inverse = power(r, P - 2n);
  const lengths = (1n << 128n) + (BigInt(16 * blocks) << 64n);
  const wanted = throughLengths ? (target * inverse - lengths) % P : target;
  for (let attempt = 0; attempt < 1_000; attempt++) {
    const free = random.bytes(16 * (blocks - 1));
    const last = (((wanted * inverse - poly1305Accumulate(r, 0n, free)) % P) + P) % P - (1n << 128n);
    if (last < 0n || last >= 1n << 128n) continue;
    return Uint8Array.from([...free, ...toLittleEndian(last, 16)]);
  }
  throw new Error("Cannot steer the accumulator");
}

/** base^exponent mod P. */
function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let bits = exponent, square = base; bits > 0n; bits >>= 1n, square = square * square % P) {
    if (bits & 1n) result = result * square % P;
  }
  return result;
}

/** The packet whose ciphertext is `ciphertext`. */
function packetOf(key: Uint8Array, low: number, ciphertext: Uint8Array): Packet {
  // Sealing is an XOR, so that sealing the ciphertext gives the plaintext.
  const plaintext = referenceSeal(key, nonce({ low, high: 0 }), ciphertext, NO_AD).slice(0, -TAG_BYTES);
  return { key, low, high: 0, plaintext };
}

function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const flipped = bytes.slice();
  flipped[bit >> 3] ^= 1 << (bit & 7);
  return flipped;
}

function hex(text: string): Uint8Array {
  const bytes = decodeHex(text);
  assert(bytes, `not hex: ${text}`);
  return bytes;
}
