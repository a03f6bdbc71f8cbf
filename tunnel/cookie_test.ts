import { deepStrictEqual, notDeepStrictEqual, strictEqual, throws } from "node:assert/strict";
import { realSuite } from "../crypto/real_suite.ts";
import { parseAddress } from "./address_text.ts";
import { CookieChecker, CookieGenerator } from "./cookie.ts";
import { ENDPOINT_SOURCE, ENDPOINT_SOURCE_IFINDEX, endpointRecord } from "./endpoint.ts";

interface Case {
  receiver_static_public: string;
  message_without_macs: string;
  mac1: string;
  source_ip: string;
  source_port: number;
  cookie_secret: string;
  mac2: string;
  message_full: string;
  cookie_reply_nonce: string;
  cookie_reply_message: string;
}

const CASES: Case[] = JSON.parse(
  Deno.readTextFileSync(new URL("../tests/vectors/wireguard_mac_cookie.json", import.meta.url)),
).cases;

const PUBLIC_KEY = Uint8Array.fromHex(CASES[0].receiver_static_public);
const SENDER = record("192.0.2.7", 51820);

function record(address: string, port: number): Uint8Array {
  const bytes = parseAddress(address);
  if (bytes === null) throw new SyntaxError(`Bad address ${address}`);
  return endpointRecord(bytes, port);
}

/** Hands out these bytes, in this order and these lengths. */
function scripted(...parts: string[]): (out: Uint8Array) => void {
  return (out) => {
    const bytes = Uint8Array.fromHex(parts.shift() ?? "");
    strictEqual(bytes.length, out.length);
    out.set(bytes);
  };
}

/** Bytes that never repeat: a counter. */
function counting(): (out: Uint8Array) => void {
  let next = 0;
  return (out) => {
    for (let i = 0; i < out.length; i++) out[i] = ++next * 29 + (next >>> 8);
  };
}

function checkerAndGenerator(): { checker: CookieChecker; generator: CookieGenerator } {
  const checker = new CookieChecker(realSuite, counting());
  checker.setPublicKey(PUBLIC_KEY);
  return { checker, generator: new CookieGenerator(realSuite, PUBLIC_KEY) };
}

/** A message of an initiation's length with MACs at its end. */
function message(generator: CookieGenerator, now: number, filler = 1): Uint8Array {
  const bytes = new Uint8Array(148).fill(filler);
  generator.addMacs(bytes, now);
  return bytes;
}

Deno.test("CookieChecker and CookieGenerator make the MACs and replies of the vectors", () => {
  strictEqual(CASES.length, 8);
  for (const example of CASES) {
    const publicKey = Uint8Array.fromHex(example.receiver_static_public);
    const full = Uint8Array.fromHex(example.message_full);
    const sender = record(example.source_ip, example.source_port);
    const body = Uint8Array.fromHex(example.message_without_macs);
    const generator = new CookieGenerator(realSuite, publicKey);
    const first = new Uint8Array(body.length + 32).fill(0xee);
    first.set(body);
    generator.addMacs(first, 0);
    strictEqual(first.toHex(), example.message_without_macs + example.mac1 + "00".repeat(16));

    const checker = new CookieChecker(realSuite, scripted(example.cookie_secret, example.cookie_reply_nonce));
    checker.setPublicKey(publicKey);
    strictEqual(checker.checkMac1(first), true);
    strictEqual(checker.checkMac2(first, sender, 0), false);
    const receiver = new DataView(full.buffer).getUint32(4, true);
    const reply = checker.createReply(first, receiver, sender, 0);
    strictEqual(reply.toHex(), example.cookie_reply_message);

    strictEqual(generator.consumeReply(reply, 10), true);
    const second = first.slice();
    generator.addMacs(second, 10);
    strictEqual(second.toHex(), example.message_full);
    strictEqual(checker.checkMac1(second), true);
    strictEqual(checker.checkMac2(second, sender, 10), true);
  }
});

Deno.test("checkMac1() refuses every changed bit, a foreign key, short messages and no key", () => {
  const { checker, generator } = checkerAndGenerator();
  const bytes = message(generator, 0);
  strictEqual(checker.checkMac1(bytes), true);
  for (let bit = 0; bit < 8 * (148 - 16); bit++) {
    bytes[bit >>> 3] ^= 1 << (bit & 7);
    strictEqual(checker.checkMac1(bytes), false, `bit ${bit}`);
    bytes[bit >>> 3] ^= 1 << (bit & 7);
  }
  strictEqual(checker.checkMac1(bytes), true);
  for (let length = 0; length < 148; length++) strictEqual(checker.checkMac1(bytes.subarray(0, length)), false);
  checker.setPublicKey(new Uint8Array(32).fill(9));
  strictEqual(checker.checkMac1(bytes), false);
  checker.setPublicKey(null);
  strictEqual(checker.checkMac1(bytes), false);
  throws(() => checker.createReply(bytes, 1, SENDER, 0), RangeError);
});

Deno.test("checkMac2() passes three messages after a cookie, and no changed one, as in wireguard-go", () => {
  const { checker, generator } = checkerAndGenerator();
  for (let i = 0; i < 3; i++) {
    const bytes = message(generator, i, i);
    strictEqual(checker.checkMac1(bytes), true);
    strictEqual(checker.checkMac2(bytes, SENDER, i), false);
  }
  strictEqual(generator.consumeReply(checker.createReply(message(generator, 3), 1377, SENDER, 3), 4), true);
  for (let i = 0; i < 3; i++) {
    const bytes = message(generator, 5 + i, i);
    strictEqual(checker.checkMac1(bytes), true);
    strictEqual(checker.checkMac2(bytes, SENDER, 5 + i), true);
    for (let bit = 0; bit < 8 * 148; bit++) {
      bytes[bit >>> 3] ^= 1 << (bit & 7);
      strictEqual(checker.checkMac2(bytes, SENDER, 5 + i), false, `bit ${bit}`);
      bytes[bit >>> 3] ^= 1 << (bit & 7);
    }
  }
  for (let length = 0; length < 32; length++) strictEqual(checker.checkMac2(new Uint8Array(length), SENDER, 5), false);
});

Deno.test("checkMac2() binds the cookie to address and port, not to our own address", () => {
  const { checker, generator } = checkerAndGenerator();
  generator.consumeReply(checker.createReply(message(generator, 0), 1, SENDER, 0), 0);
  const bytes = message(generator, 1);
  const otherSource = SENDER.slice();
  otherSource[ENDPOINT_SOURCE_IFINDEX] = 3;
  otherSource[ENDPOINT_SOURCE] = 10;
  strictEqual(checker.checkMac2(bytes, otherSource, 1), true);
  strictEqual(checker.checkMac2(bytes, record("192.0.2.7", 51821), 1), false);
  strictEqual(checker.checkMac2(bytes, record("192.0.2.7", 51820 ^ 0x100), 1), false);
  strictEqual(checker.checkMac2(bytes, record("192.0.2.8", 51820), 1), false);
  strictEqual(checker.checkMac2(bytes, record("c000:207::", 51820), 1), false);
});

Deno.test("checkMac2() tells IPv6 senders apart by the whole address", () => {
  const { checker, generator } = checkerAndGenerator();
  const sender = record("2001:db8::1", 7);
  generator.consumeReply(checker.createReply(message(generator, 0), 1, sender, 0), 0);
  const bytes = message(generator, 1);
  strictEqual(checker.checkMac2(bytes, sender, 1), true);
  strictEqual(checker.checkMac2(bytes, record("2001:db8::2", 7), 1), false);
  strictEqual(checker.checkMac2(bytes, record("2001:db8::1", 8), 1), false);
});

Deno.test("createReply() makes a new secret only after 120 s, and an old one passes nobody", () => {
  const { checker, generator } = checkerAndGenerator();
  generator.consumeReply(checker.createReply(message(generator, 1000), 1, SENDER, 1000), 1000);
  const bytes = message(generator, 1001);
  strictEqual(checker.checkMac2(bytes, SENDER, 120_999), true);
  checker.createReply(bytes, 1, SENDER, 120_999);
  strictEqual(checker.checkMac2(bytes, SENDER, 120_999), true);
  strictEqual(checker.checkMac2(bytes, SENDER, 121_000), false);
  checker.createReply(bytes, 1, SENDER, 121_000);
  strictEqual(checker.checkMac2(bytes, SENDER, 121_000), false);
  generator.consumeReply(checker.createReply(bytes, 1, SENDER, 121_000), 121_000);
  strictEqual(checker.checkMac2(message(generator, 121_001), SENDER, 121_001), true);
});

Deno.test("createReply() uses a fresh nonce each time", () => {
  const { checker, generator } = checkerAndGenerator();
  const bytes = message(generator, 0);
  notDeepStrictEqual(
    checker.createReply(bytes, 1, SENDER, 0).subarray(8, 32),
    checker.createReply(bytes, 1, SENDER, 0).subarray(8, 32),
  );
});

Deno.test("addMacs() uses a cookie for 120 s from its arrival, then writes zeros", () => {
  const { checker, generator } = checkerAndGenerator();
  generator.consumeReply(checker.createReply(message(generator, 0), 1, SENDER, 0), 500);
  const zeros = new Uint8Array(16);
  notDeepStrictEqual(message(generator, 120_499).subarray(132), zeros);
  deepStrictEqual(message(generator, 120_500).subarray(132), zeros);
});

Deno.test("consumeReply() takes one reply to the last message and nothing else", () => {
  const { checker, generator } = checkerAndGenerator();
  const stranger = new CookieChecker(realSuite, counting());
  stranger.setPublicKey(new Uint8Array(32).fill(3));
  const old = checker.createReply(message(generator, 0, 1), 1, SENDER, 0);
  const last = message(generator, 1, 2);
  strictEqual(generator.consumeReply(old, 1), false);
  strictEqual(generator.consumeReply(stranger.createReply(last, 1, SENDER, 1), 1), false);
  const reply = checker.createReply(last, 1, SENDER, 1);
  for (let bit = 8 * 8; bit < 8 * 64; bit++) {
    reply[bit >>> 3] ^= 1 << (bit & 7);
    strictEqual(generator.consumeReply(reply, 1), false, `bit ${bit}`);
    reply[bit >>> 3] ^= 1 << (bit & 7);
  }
  for (let length = 0; length < 64; length++) strictEqual(generator.consumeReply(reply.subarray(0, length), 1), false);
  deepStrictEqual(last.subarray(132), new Uint8Array(16));
  strictEqual(generator.consumeReply(reply, 1), true);
  strictEqual(generator.consumeReply(reply, 1), false);
});

Deno.test("consumeReply() refuses a reply before any message and after wipe()", () => {
  const { checker, generator } = checkerAndGenerator();
  const fresh = new CookieGenerator(realSuite, PUBLIC_KEY);
  const reply = checker.createReply(new Uint8Array(148), 1, SENDER, 0);
  strictEqual(fresh.consumeReply(reply, 0), false);
  const answer = checker.createReply(message(generator, 0), 1, SENDER, 0);
  generator.wipe();
  strictEqual(generator.consumeReply(answer, 0), false);
});

Deno.test("wipe() forgets the cookie and leaves MAC1 working", () => {
  const { checker, generator } = checkerAndGenerator();
  generator.consumeReply(checker.createReply(message(generator, 0), 1, SENDER, 0), 0);
  generator.wipe();
  const bytes = message(generator, 1);
  deepStrictEqual(bytes.subarray(132), new Uint8Array(16));
  strictEqual(checker.checkMac1(bytes), true);
});
