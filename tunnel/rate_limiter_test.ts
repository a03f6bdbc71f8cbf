import { strictEqual } from "node:assert/strict";
import { parseAddress } from "./address_text.ts";
import { ENDPOINT_ADDRESS, endpointRecord } from "./endpoint.ts";
import { RateLimiter } from "./rate_limiter.ts";

interface Scenario {
  name: string;
  events: { at_ms: number; source: string; allow: boolean }[];
}

function record(address: string, port = 1): Uint8Array {
  const bytes = parseAddress(address);
  if (bytes === null) throw new SyntaxError(`Bad address ${address}`);
  return endpointRecord(bytes, port);
}

/** The source number `n`: an IPv4 address in 10.0.0.0/8. */
function numbered(n: number): Uint8Array {
  return endpointRecord(new Uint8Array([10, n >>> 16, n >>> 8, n]), 1);
}

Deno.test("allow() answers as every scenario of the vectors says", () => {
  const file = new URL("../tests/vectors/ratelimiter_scenarios.json", import.meta.url);
  const scenarios: Scenario[] = JSON.parse(Deno.readTextFileSync(file)).scenarios;
  strictEqual(scenarios.length, 6);
  for (const { name, events } of scenarios) {
    const limiter = new RateLimiter();
    events.forEach(({ at_ms, source, allow }, step) => {
      strictEqual(limiter.allow(record(source), at_ms), allow, `${name}, step ${step} at ${at_ms} ms`);
    });
  }
});

// What follows is after the description of the Linux self-test in tests/vectors/kernel-selftests.md.

/** The self-test's steps: milliseconds to wait before, and whether the message passes. */
const STEPS: [number, boolean][] = [
  [0, true],
  [0, true],
  [0, true],
  [0, true],
  [0, true],
  [0, false],
  [50, true],
  [0, false],
  [100, true],
  [0, true],
  [0, false],
];

Deno.test("allow() passes five at once, then one each 50 ms, as in the Linux self-test", () => {
  for (const start of [0, 1e9 + 0.25]) {
    const limiter = new RateLimiter();
    for (const source of ["192.0.2.1", "2001:db8:1:2:3:4:5:6"]) {
      let now = start;
      STEPS.forEach(([wait, expected], step) => {
        now += wait;
        strictEqual(limiter.allow(record(source), now), expected, `${source}, step ${step}`);
        const [a, b] = [step, step + 1];
        strictEqual(limiter.allow(record(`198.51.${source.length}.${a}`), now), true, `other address, step ${step}`);
        strictEqual(limiter.allow(record(`2001:db8:${source.length}:${b}::1`), now), true, `other /64, step ${step}`);
      });
    }
  }
});

Deno.test("allow() takes a whole IPv6 /64 for one source, as in the Linux self-test", () => {
  const limiter = new RateLimiter();
  for (let low = 1; low <= 5; low++) strictEqual(limiter.allow(record(`2001:db8:1:2::${low}`), 0), true);
  strictEqual(limiter.allow(record("2001:db8:1:2:ffff:ffff:ffff:ffff"), 0), false);
  strictEqual(limiter.allow(record("2001:db8:1:3::1"), 0), true);
  strictEqual(limiter.size, 2);
});

Deno.test("allow() tells sources apart that differ in a single bit, with and without random keys", () => {
  for (const random of [undefined, (out: Uint8Array): void => void out.fill(0x5a)]) {
    const limiter = new RateLimiter(undefined, random);
    let sources = 0;
    for (const address of ["0.0.0.0", "::", "255.255.255.255", "ffff:ffff:ffff:ffff::"]) {
      const base = record(address);
      const bits = address.includes(":") ? 64 : 32;
      for (let bit = -1; bit < bits; bit++) {
        const near = base.slice();
        if (bit >= 0) near[ENDPOINT_ADDRESS + (bit >>> 3)] ^= 1 << (bit & 7);
        strictEqual(limiter.allow(near, 0), true);
        strictEqual(limiter.size, ++sources, `${address}, bit ${bit}`);
      }
    }
  }
});

Deno.test("RateLimiter asks once for 16 random bytes", () => {
  const lengths: number[] = [];
  const limiter = new RateLimiter(10, (out) => lengths.push(out.length));
  limiter.allow(numbered(1), 0);
  strictEqual(lengths.join(), "16");
});

Deno.test("allow() ignores the port and keeps the families apart", () => {
  const limiter = new RateLimiter();
  for (let port = 1; port <= 5; port++) strictEqual(limiter.allow(record("192.0.2.1", port), 0), true);
  strictEqual(limiter.allow(record("192.0.2.1", 6), 0), false);
  strictEqual(limiter.allow(record("c000:201::"), 0), true);
});

Deno.test("allow() refuses new sources when full and still serves the known, as in the Linux self-test", () => {
  const limiter = new RateLimiter(100);
  for (let n = 0; n < 100; n++) strictEqual(limiter.allow(numbered(n), 0), true);
  strictEqual(limiter.allow(numbered(100), 0), false);
  strictEqual(limiter.allow(numbered(5), 0), true);
  strictEqual(limiter.size, 100);
  strictEqual(limiter.allow(numbered(100), 1000), false);
  strictEqual(limiter.allow(numbered(100), 1001), true);
});

Deno.test("allow() drops idle sources while others come, and collect() all at once", () => {
  const limiter = new RateLimiter();
  for (let n = 0; n < 1000; n++) limiter.allow(numbered(n), 0);
  limiter.allow(numbered(3), 900);
  for (let i = 0; i < 300; i++) limiter.allow(numbered(5000), 1500);
  strictEqual(limiter.size, 2);
  strictEqual(limiter.allow(numbered(3), 1500), true);
  limiter.collect(2500);
  strictEqual(limiter.size, 2);
  limiter.collect(2501);
  strictEqual(limiter.size, 0);
  strictEqual(limiter.allow(numbered(3), 2501), true);
});

Deno.test("allow() stays bounded through a flood from ever new sources", () => {
  const limiter = new RateLimiter(1000);
  let allowed = 0;
  // 5,000 new sources a second for 20 s: only 1,000 a second find room.
  for (let n = 0; n < 100_000; n++) {
    if (limiter.allow(numbered(n), n / 5)) allowed++;
    if (limiter.size > 1000) throw new Error(`${limiter.size} sources`);
  }
  strictEqual(allowed >= 18_000 && allowed <= 21_000, true, `${allowed} allowed`);
});

Deno.test("allow() counts a refused message as activity and as no cost", () => {
  const limiter = new RateLimiter();
  for (let i = 0; i < 5; i++) limiter.allow(numbered(1), 0);
  for (let now = 1; now < 50; now++) strictEqual(limiter.allow(numbered(1), now), false);
  strictEqual(limiter.allow(numbered(1), 50), true);
});
