/**
 * A test of an engine while the program starts, for code that a runtime's experimental features have compiled: known
 * answers at the lengths where the kernels change their way, and forgeries. It takes a tenth of a millisecond once the
 * engine is compiled, and the caller repeats it until it is, for faults of a compiler are in optimised code.
 *
 * It needs no other engine: that a tag is right says that the ciphertext over which it was computed is, that the packet
 * then opens says that this is the ciphertext in memory. The answers are noble's; a test compares.
 */
import type { Aead } from "./aead.ts";
import { decodeHex } from "./encoding.ts";

const TAG_BYTES = 16;
/** Lengths, and the tags of their packets. */
const ANSWERS: readonly (readonly [number, Uint8Array])[] = [
  [0, decodeHex("02a268ccd8c38a00940671db19dedbfd")!],
  [1, decodeHex("1b92478279ff317f76a4d6cae79e9db1")!],
  [15, decodeHex("b57f3c3716e770f3522410fa6d137b57")!],
  [16, decodeHex("d9d58275d45e1be2b15e065b37605f4e")!],
  [191, decodeHex("89de9dea8969be241f430d1a292f33fe")!],
  [193, decodeHex("1e6d5d1bcf22be16afa94e8981387451")!],
  [448, decodeHex("77f5ba4f5a3dac904077fa19ce6745ad")!],
  [449, decodeHex("85f7d6ebdab2c041258cffecb37676a1")!],
  [512, decodeHex("8feb24be4edf34e88fbfd6e459aeb1e4")!],
  [1420, decodeHex("da4eb983a100b15585eb6ecb1a434e39")!],
  [9000, decodeHex("a4710e2b6c9c5173c5d36145ab9d92f5")!],
];

const LONGEST = 9000;
const SLOTS_BYTES = ANSWERS.reduce((bytes, [length]) => bytes + length + TAG_BYTES, 0);

// What is at the caller's offset: the key, the longest plaintext, the sealed packets, what a forgery is opened to.
const PLAINTEXT = 32;
const SLOTS = PLAINTEXT + LONGEST;
const FORGERY = SLOTS + SLOTS_BYTES;
/** Bytes of memory that the test writes to. */
export const SELF_TEST_BYTES = FORGERY + LONGEST;

/**
 * Tests an engine over a memory, in `SELF_TEST_BYTES` from offset `at` on.
 *
 * @returns what is wrong, or null
 */
export function faultOfAead(aead: Aead, memory: WebAssembly.Memory, at: number): string | null {
  const bytes = new Uint8Array(memory.buffer, at, SELF_TEST_BYTES);
  fill(bytes);
  const seal = faultOfSeals(
    bytes,
    (slot, length) => aead.seal(at, ...counter(length), at + slot, at + PLAINTEXT, length),
  );
  if (seal !== null) return seal;
  if (aead.sealPush !== undefined) {
    const push = faultOfSeals(bytes, (slot, length) => {
      aead.sealPush!(at, ...counter(length), at + slot, at + PLAINTEXT, length);
    }, () => aead.sealFlush!());
    if (push !== null) return `in a row, ${push}`;
  }
  return faultOfOpens(bytes, (dst, slot, length) => aead.open(at, ...counter(length), at + dst, at + slot, length));
}

/** The key and the plaintext, of which each packet takes the beginning. */
function fill(bytes: Uint8Array): void {
  let state = 1;
  for (let i = 0; i < SLOTS; i++) {
    state = Math.imul(state, 1_664_525) + 1_013_904_223;
    bytes[i] = state >>> 24;
  }
}

/** The low and the high word. */
function counter(length: number): [number, number] {
  return [Math.imul(length, 0x9e37_79b1) >>> 0, length];
}

function faultOfSeals(
  bytes: Uint8Array,
  seal: (slot: number, length: number) => void,
  flush: () => void = () => {},
): string | null {
  bytes.fill(0, SLOTS, FORGERY);
  let slot = SLOTS;
  for (const [length] of ANSWERS) {
    seal(slot, length);
    slot += length + TAG_BYTES;
  }
  flush();
  slot = SLOTS;
  for (const [length, tag] of ANSWERS) {
    if (!tag.every((byte, i) => bytes[slot + length + i] === byte)) {
      return `a packet of ${length} bytes is sealed wrongly`;
    }
    slot += length + TAG_BYTES;
  }
  return null;
}

function faultOfOpens(
  bytes: Uint8Array,
  open: (dst: number, slot: number, length: number) => boolean,
): string | null {
  let slot = SLOTS;
  for (const [length] of ANSWERS) {
    const forged = slot + length + length % TAG_BYTES;
    bytes.fill(0xff, FORGERY);
    bytes[forged] ^= 0x10;
    if (open(FORGERY, slot, length)) return `a forged packet of ${length} bytes is taken`;
    for (let i = 0; i < length; i++) if (bytes[FORGERY + i] !== 0) return `a forged packet of ${length} bytes is shown`;
    bytes[forged] ^= 0x10;
    if (!open(slot, slot, length)) return `a packet of ${length} bytes is refused`;
    for (let i = 0; i < length; i++) {
      if (bytes[slot + i] !== bytes[PLAINTEXT + i]) return `a packet of ${length} bytes is opened wrongly`;
    }
    slot += length + TAG_BYTES;
  }
  return null;
}
