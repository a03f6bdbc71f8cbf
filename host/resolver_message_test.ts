import assert from "node:assert/strict";
import fc from "fast-check";
import { answerTo, encodeName, type Question, type Reply } from "./resolver_fixture.ts";
import { type DnsAnswer, encodeQuestion, isDnsName, readAnswer, TYPE_A, TYPE_AAAA } from "./resolver_message.ts";

const NAME = "vpn.example.com";
const QUESTION = encodeQuestion(0x1234, NAME, TYPE_A);
/** The question without its EDNS record. */
const ASKED: Question = { id: 0x1234, name: NAME, type: TYPE_A, overTcp: false, message: QUESTION.slice(0, -11) };

function read(reply: Reply, change: (message: Uint8Array) => void = (): void => {}): DnsAnswer | null {
  const message = answerTo(ASKED, reply);
  change(message);
  return readAnswer(message, QUESTION);
}

const ONE: Reply = { records: [{ name: NAME, value: "192.0.2.1", ttl: 300 }] };

Deno.test("encodeQuestion() asks for recursion and says how long an answer may be", () => {
  assert.equal(
    [...encodeQuestion(0xabcd, "a.bc", TYPE_AAAA)].map((byte) => byte.toString(16).padStart(2, "0")).join(" "),
    "ab cd 01 00 00 01 00 00 00 00 00 01 01 61 02 62 63 00 00 1c 00 01 00 00 29 04 d0 00 00 00 00 00 00",
  );
});

Deno.test("readAnswer() reads addresses and the least TTL", () => {
  const records = [{ name: NAME, value: "192.0.2.1", ttl: 300 }, { name: NAME, value: "192.0.2.2", ttl: 60 }];
  const addresses = [Uint8Array.of(192, 0, 2, 1), Uint8Array.of(192, 0, 2, 2)];
  assert.deepEqual(read({ records }), { kind: "addresses", addresses, ttl: 60 });
  assert.deepEqual(read({ records: [{ ...records[0], ttl: 0x80000000 }] }), {
    kind: "addresses",
    addresses: [addresses[0]],
    ttl: 0,
  });
});

Deno.test("readAnswer() follows aliases within the answer, whatever their case and order", () => {
  const records = [
    { name: "b.example.net", value: "192.0.2.7", ttl: 30 },
    { name: "A.Example.COM", value: "=B.example.net", ttl: 20 },
    { name: NAME, value: "=a.example.com", ttl: 500 },
  ];
  assert.deepEqual(read({ records }), { kind: "addresses", addresses: [Uint8Array.of(192, 0, 2, 7)], ttl: 20 });
  assert.deepEqual(read({ records: records.slice(1) }), { kind: "alias", name: "b.example.net", ttl: 20 });
  const circle = [{ name: NAME, value: "=a.b", ttl: 1 }, { name: "a.b", value: `=${NAME}`, ttl: 1 }];
  assert.equal(read({ records: circle }), null);
});

Deno.test("readAnswer() tells a name that is not there from a server that cannot tell", () => {
  assert.deepEqual(read({ code: 3 }), { kind: "none", exists: false });
  assert.deepEqual(read({}), { kind: "none", exists: true });
  assert.deepEqual(read({ records: [{ name: "other.example.com", value: "192.0.2.1", ttl: 1 }] }), {
    kind: "none",
    exists: true,
  });
  assert.deepEqual(read({ code: 2 }), { kind: "failed", code: 2 });
  assert.deepEqual(read({ code: 5 }), { kind: "failed", code: 5 });
  assert.deepEqual(read({ ...ONE, isTruncated: true }), { kind: "truncated" });
  // FORMERR of a server that could not read the question.
  const bare = Uint8Array.of(0x12, 0x34, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0);
  assert.deepEqual(readAnswer(bare, QUESTION), { kind: "failed", code: 1 });
});

Deno.test("readAnswer() takes nothing that does not answer this question", () => {
  const nameAt = 12;
  const typeAt = nameAt + NAME.length + 2;
  assert.notEqual(read(ONE), null);
  const changes: Record<string, (message: Uint8Array) => void> = {
    "another id": (message) => message[1] ^= 1,
    "a question": (message) => message[2] &= 0x7f,
    "another operation": (message) => message[2] |= 0x10,
    "another name": (message) => message[nameAt + 1] ^= 1,
    "another type": (message) => message[typeAt + 1] = TYPE_AAAA,
    "another class": (message) => message[typeAt + 3] = 3,
    "two questions": (message) => message[5] = 2,
  };
  for (const [what, change] of Object.entries(changes)) assert.equal(read(ONE, change), null, what);
  // Its case may differ.
  assert.notEqual(read(ONE, (message) => message[nameAt + 1] ^= 0x20), null);
});

Deno.test("readAnswer() refuses pointers that lead forwards or round, and names that are too long", () => {
  const at = ASKED.message.length;
  const pointTo = (target: number) => (message: Uint8Array): void => {
    message[at] = 0xc0 | (target >> 8);
    message[at + 1] = target & 0xff;
  };
  assert.equal(read(ONE, pointTo(at)), null);
  assert.equal(read(ONE, pointTo(at + 2)), null);
  assert.notEqual(read(ONE, pointTo(12)), null);
  assert.equal(read(ONE, (message) => message[at] = 0x80), null);
  const long = Array(5).fill("x".repeat(63)).join(".");
  const message = Uint8Array.from([...answerTo(ASKED, {}), ...encodeName(long), 0, 1, 0, 1, 0, 0, 0, 1, 0, 0]);
  message[7] = 1;
  assert.equal(readAnswer(message, QUESTION), null);
});

Deno.test("readAnswer() ends with an answer or without one for every mutation of a message", () => {
  const records = [
    { name: NAME, value: "=a.example.com", ttl: 5 },
    { name: "a.example.com", value: "=b.example.com", ttl: 5 },
    { name: "b.example.com", value: "192.0.2.1", ttl: 5 },
  ];
  const whole = answerTo(ASKED, { records });
  const byte = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(byte, { minLength: 1, maxLength: 8 }), fc.nat(whole.length), (changes, length) => {
      const message = whole.slice();
      for (const [at, value] of changes) message[at] = value;
      for (const candidate of [message, message.slice(0, length)]) {
        const answer = readAnswer(candidate, QUESTION);
        if (answer?.kind === "addresses") assert.ok(answer.addresses.every((address) => address.length === 4));
      }
    }),
    { numRuns: 5_000 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => void readAnswer(bytes, QUESTION)));
});

Deno.test("isDnsName() knows what can be asked for", () => {
  const good = ["a", "vpn.example.com", "_x._udp.example", "x".repeat(63), "xn--bcher-kva.example"];
  const bad = ["", ".", "a..b", "a.", "x".repeat(64), "a b", "ä.example", "a\\b", Array(64).fill("abc").join(".")];
  for (const name of good) assert.ok(isDnsName(name), name);
  for (const name of bad) assert.ok(!isDnsName(name), name);
});
