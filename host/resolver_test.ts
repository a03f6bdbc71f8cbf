import assert from "node:assert/strict";
import { libc } from "../ffi/libc.ts";
import { formatAddress } from "../tunnel/address_text.ts";
import { type Lookup, type LookupOptions, Resolver } from "./resolver.ts";
import { type Answerer, answerTo, TestNameServer, zone } from "./resolver_fixture.ts";
import { TYPE_A } from "./resolver_message.ts";

// Opened once and for good: within a test it would count as a leak.
if (Deno.build.os === "linux") libc();

interface Setting {
  readonly answer: Answerer;
  readonly hosts?: string;
  readonly search?: readonly string[];
  readonly ndots?: number;
  /** Name servers before the one that answers. */
  readonly before?: readonly string[];
}

/** Looks a name up at a server of the test's own on loopback; addresses come back as text. */
async function lookUp(
  name: string,
  { answer, hosts = "", search = [], ndots = 1, before = [] }: Setting,
  options: LookupOptions = { mark: 0, dns: [] },
): Promise<{ result: string; ttl: number; asked: readonly string[] }> {
  await using server = new TestNameServer(answer);
  const resolver = new Resolver({
    port: server.port,
    hosts,
    hostConfig: () => ({ servers: [...before, "127.0.0.1"], search, ndots }),
  });
  try {
    const found = await resolver.lookup(name, options);
    return { result: textOf(found), ttl: "ttl" in found ? found.ttl : 0, asked: server.asked };
  } finally {
    await resolver.close();
  }
}

function textOf(found: Lookup): string {
  return "failure" in found ? found.failure : found.addresses.map(formatAddress).join(" ");
}

const ZONE = zone({
  "vpn.example": ["192.0.2.1", "192.0.2.2", "2001:db8::1"],
  "four.example": ["192.0.2.4"],
  "alias.example": ["=four.example"],
  "chain.example": ["=alias.example"],
  "circle.example": ["=circle2.example"],
  "circle2.example": ["=circle.example"],
  "host.corp.example": ["192.0.2.9"],
}, 120);

Deno.test("Resolver.lookup() asks for both families and gives them by turns", async () => {
  const { result, ttl, asked } = await lookUp("VPN.example", { answer: ZONE });
  assert.equal(result, "2001:db8::1 192.0.2.1 192.0.2.2");
  assert.equal(ttl, 120);
  assert.deepEqual([...asked].sort(), ["vpn.example A", "vpn.example AAAA"]);
  assert.equal((await lookUp("four.example", { answer: ZONE })).result, "192.0.2.4");
});

Deno.test("Resolver.lookup() knows addresses, and what the hosts file says, without asking", async () => {
  for (const [name, expected] of [["192.0.2.77", "192.0.2.77"], ["2001:db8::5", "2001:db8::5"], ["box", "10.1.1.1"]]) {
    const { result, asked } = await lookUp(name, { answer: ZONE, hosts: "10.1.1.1 router BOX # box2\n" });
    assert.equal(result, expected);
    assert.deepEqual(asked, []);
  }
});

Deno.test("Resolver.lookup() follows aliases over several answers, but not for ever", async () => {
  assert.equal((await lookUp("chain.example", { answer: ZONE })).result, "192.0.2.4");
  const { result, asked } = await lookUp("circle.example", { answer: ZONE });
  assert.equal(result, "the name servers cannot tell");
  assert.equal(asked.length, 16);
});

Deno.test("Resolver.lookup() looks in search domains as resolv.conf has it", async () => {
  const setting = { answer: ZONE, search: ["lan", "corp.example"] };
  const short = await lookUp("host", setting);
  assert.equal(short.result, "192.0.2.9");
  assert.deepEqual([...new Set(short.asked)].filter((each) => each.endsWith(" A")), [
    "host.lan A",
    "host.corp.example A",
  ]);
  const dotted = await lookUp("four.example", setting);
  assert.deepEqual([...dotted.asked].sort(), ["four.example A", "four.example AAAA"]);
  const later = await lookUp("four.example", { ...setting, ndots: 2 });
  assert.equal(later.asked.length, 6);
  const absolute = await lookUp("host.", setting);
  assert.equal(absolute.result, "it does not exist");
  assert.equal(absolute.asked.length, 2);
});

Deno.test("Resolver.lookup() asks over TCP when an answer was cut", async () => {
  const answer: Answerer = (question) =>
    question.overTcp ? ZONE(question) : [answerTo(question, { isTruncated: true })];
  const { result, asked } = await lookUp("vpn.example", { answer });
  assert.equal(result, "2001:db8::1 192.0.2.1 192.0.2.2");
  assert.equal(asked.length, 4);
});

Deno.test("Resolver.lookup() waits for the right answer behind wrong ones", async () => {
  const answer: Answerer = (question) => {
    const [right] = ZONE(question);
    const otherId = right.slice();
    otherId[0] ^= 0xff;
    const otherName = right.slice();
    otherName[13] ^= 1;
    return [otherId, otherName, Uint8Array.of(1, 2, 3), right.slice(0, 20), right];
  };
  assert.equal((await lookUp("four.example", { answer })).result, "192.0.2.4");
});

Deno.test("Resolver.lookup() asks again what got lost, and the next server where one is silent or absent", async () => {
  let lost = 0;
  const answer: Answerer = (question) => lost++ < 2 ? [] : ZONE(question);
  assert.equal((await lookUp("four.example", { answer })).result, "192.0.2.4");
  // Nobody listens there: the kernel says so at once.
  const start = performance.now();
  assert.equal((await lookUp("four.example", { answer: ZONE, before: ["127.0.0.9", "::1"] })).result, "192.0.2.4");
  assert.ok(performance.now() - start < 900);
});

Deno.test("Resolver.lookup() says in words what failed", async () => {
  assert.equal((await lookUp("no.example", { answer: ZONE })).result, "it does not exist");
  const failing: Answerer = (question) => [answerTo(question, { code: 2 })];
  assert.equal((await lookUp("vpn.example", { answer: failing })).result, "the name servers cannot tell");
  assert.equal((await lookUp("a..b", { answer: ZONE })).result, "it is no host name");
  assert.equal((await lookUp("vpn.example", { answer: () => [] })).result, "no name server answers");
  // One family is enough.
  const half: Answerer = (question) => question.type === TYPE_A ? ZONE(question) : [answerTo(question, { code: 2 })];
  assert.equal((await lookUp("vpn.example", { answer: half })).result, "192.0.2.1 192.0.2.2");
});

Deno.test("Resolver.lookup() asks the servers that it is given first, and the host's own after them", async () => {
  const options = { mark: 0, dns: ["nameserver 127.0.0.9", "search corp.example"] };
  const { result, asked } = await lookUp("host", { answer: ZONE }, options);
  assert.equal(result, "192.0.2.9");
  assert.ok(asked.every((each) => each.startsWith("host.corp.example ")));
});

Deno.test("Resolver.close() ends what is under way", async () => {
  await using server = new TestNameServer(() => []);
  const hostConfig = () => ({ servers: ["127.0.0.1"], search: [], ndots: 1 });
  const resolver = new Resolver({ port: server.port, hosts: "", hostConfig });
  const lookup = resolver.lookup("vpn.example", { mark: 0, dns: [] });
  const start = performance.now();
  await resolver.close();
  assert.equal(textOf(await lookup), "no name server answers");
  assert.ok(performance.now() - start < 500);
  assert.equal(textOf(await resolver.lookup("vpn.example", { mark: 0, dns: [] })), "the look-up was ended");
});
