import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { network, ReferenceAllowedIps } from "../tests/reference/allowed_ips.ts";
import { parseAddress, parsePrefix } from "./address_text.ts";
import { AllowedIps } from "./allowed_ips.ts";
import type { Prefix } from "./ip.ts";

type Operation =
  | { op: "insert" | "remove"; prefix: string; peer: string }
  | { op: "lookup"; addr: string; expect: string | null }
  | { op: "remove_peer" | "replace"; peer: string }
  | { op: "list"; peer: string; expect: string[] }
  | { op: "receive"; from_peer: string; inner_src: string; accept: boolean }
  | { op: "is_empty"; expect: boolean };

interface Scenario {
  name: string;
  ops: Operation[];
}

const VECTORS: { scenarios: Scenario[]; random: Scenario[] } = JSON.parse(
  Deno.readTextFileSync(new URL("../tests/vectors/allowedips_scenarios.json", import.meta.url)),
);

function address(text: string): Uint8Array {
  const bytes = parseAddress(text);
  if (bytes === null) throw new SyntaxError(`Bad address ${text}`);
  return bytes;
}

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if (parsed === null) throw new SyntaxError(`Bad prefix ${text}`);
  return parsed;
}

function networks(prefixes: readonly Prefix[]): string[] {
  return prefixes.map(({ address, cidr }) => network(address, cidr));
}

function lookup(ips: AllowedIps, bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return bytes.length === 4 ? ips.lookup4(view.getUint32(0)) : ips.lookup6(view, 0);
}

/** An inner packet's header with this source and destination. */
function packet(source: Uint8Array, destination: Uint8Array): DataView {
  const bytes = new Uint8Array(source.length === 4 ? 20 : 40);
  bytes[0] = source.length === 4 ? 0x45 : 0x60;
  bytes.set(source, source.length === 4 ? 12 : 8);
  bytes.set(destination, source.length === 4 ? 16 : 24);
  return new DataView(bytes.buffer);
}

/** Runs one scenario; peer names become slots. */
function run({ name, ops }: Scenario): void {
  const ips = new AllowedIps();
  const slots = new Map<string, number>();
  const slot = (peer: string): number => {
    if (!slots.has(peer)) slots.set(peer, slots.size);
    return slots.get(peer)!;
  };
  ops.forEach((step, number) => {
    const at = `${name}, step ${number}: ${JSON.stringify(step)}`;
    switch (step.op) {
      case "insert":
        ips.insert(prefix(step.prefix).address, prefix(step.prefix).cidr, slot(step.peer));
        break;
      case "remove":
        ips.remove(prefix(step.prefix).address, prefix(step.prefix).cidr, slot(step.peer));
        break;
      case "lookup":
        strictEqual(lookup(ips, address(step.addr)), step.expect === null ? -1 : slot(step.expect), at);
        break;
      case "remove_peer":
      case "replace":
        ips.removePeer(slot(step.peer));
        deepStrictEqual(ips.entries(slot(step.peer)), [], at);
        break;
      case "list": {
        const listed = ips.entries(slot(step.peer));
        deepStrictEqual(networks(listed).sort(), networks(step.expect.map(prefix)).sort(), at);
        for (const { address, cidr } of listed) ok(hostBitsAreZero(address, cidr), at);
        break;
      }
      case "receive": {
        const source = address(step.inner_src);
        const view = packet(source, new Uint8Array(source.length));
        strictEqual(ips.lookupSource(view, 0) === slot(step.from_peer), step.accept, at);
        break;
      }
      case "is_empty":
        strictEqual(ips.size === 0, step.expect, at);
        strictEqual(ips.nodes === 0, step.expect, at);
        break;
      default:
        throw new Error(`Unknown step in ${at}`);
    }
    checkNodes(ips);
  });
}

function hostBitsAreZero(address: Uint8Array, cidr: number): boolean {
  return !network(address, 8 * address.length).slice(2 + cidr).includes("1");
}

function checkNodes(ips: AllowedIps): void {
  ok(ips.size === 0 ? ips.nodes === 0 : ips.nodes < 2 * ips.size, `${ips.nodes} nodes for ${ips.size} prefixes`);
}

Deno.test("AllowedIps answers as every scenario of the vectors says", () => {
  strictEqual(VECTORS.scenarios.length, 22);
  VECTORS.scenarios.forEach(run);
});

Deno.test("AllowedIps answers as the random scenarios of the vectors say", () => {
  strictEqual(VECTORS.random.length, 6);
  strictEqual([...VECTORS.scenarios, ...VECTORS.random].flatMap(({ ops }) => ops).length, 3264);
  VECTORS.random.forEach(run);
});

// What follows is after the description of the Linux self-test in tests/vectors/kernel-selftests.md.

Deno.test("AllowedIps routes nested, masked, replaced and adjacent prefixes, as in the Linux self-test", () => {
  const [a, b, c, d, e, f, g, h] = [0, 1, 2, 3, 4, 5, 6, 7];
  const ips = new AllowedIps();
  const given: [string, number][] = [
    ["10.1.0.0/16", a],
    ["10.1.2.0/24", b],
    ["10.1.2.128/25", c],
    ["10.1.2.130/32", d],
    ["172.20.4.32/27", e],
    ["172.20.4.61/27", f],
    ["172.20.4.0/24", g],
    ["10.64.15.200/25", h],
    ["0.0.0.0/0", e],
    ["192.0.2.64/30", a],
    ["192.0.2.68/30", b],
    ["192.0.2.72/29", c],
    ["198.51.100.0/25", d],
    ["198.51.100.128/25", e],
    ["203.0.113.4/30", f],
    ["::/0", f],
    ["::/0", g],
    ["2001:db8:1:2:dead:beef:0:1/64", a],
    ["2001:db8:1:2:dead:beef:0:1/128", b],
    ["2001:db8:1:2:c000::/98", c],
    ["2001:db8:1::/48", d],
    ["2001:db8:8000::/33", e],
    ["2001:db8:1:3::/64", h],
  ];
  for (const [text, peer] of given) ips.insert(prefix(text).address, prefix(text).cidr, peer);
  const expected: [string, number][] = [
    ["10.1.2.130", d],
    ["10.1.2.131", c],
    ["10.1.2.127", b],
    ["10.1.3.0", a],
    ["10.2.0.0", e],
    ["172.20.4.32", f],
    ["172.20.4.63", f],
    ["172.20.4.31", g],
    ["172.20.4.64", g],
    ["10.64.15.128", h],
    ["10.64.15.255", h],
    ["10.64.15.127", e],
    ["192.0.2.64", a],
    ["192.0.2.67", a],
    ["192.0.2.68", b],
    ["192.0.2.71", b],
    ["192.0.2.72", c],
    ["192.0.2.79", c],
    ["192.0.2.80", e],
    ["192.0.2.63", e],
    ["198.51.100.127", d],
    ["198.51.100.128", e],
    ["203.0.113.8", e],
    ["203.0.113.7", f],
    ["0.0.0.0", e],
    ["::", g],
    ["ffff::1", g],
    ["2001:db8:1:2:dead:beef:0:1", b],
    ["2001:db8:1:2:dead:beef:0:2", a],
    ["2001:db8:1:2::", a],
    ["2001:db8:1:2:c000::3fff:ffff", c],
    ["2001:db8:1:2:c000::4000:0", a],
    ["2001:db8:1:3:ffff::", h],
    ["2001:db8:1:4::", d],
    ["2001:db8:8000::", e],
    ["2001:db8:7fff::", g],
  ];
  for (const [text, peer] of expected) strictEqual(lookup(ips, address(text)), peer, text);
  strictEqual(ips.size, given.length - 2);
  deepStrictEqual(networks(ips.entries(f)), networks([prefix("172.20.4.32/27"), prefix("203.0.113.4/30")]));
});

Deno.test("removePeer() leaves none of five hosts far apart, as in the Linux self-test", () => {
  const ips = new AllowedIps();
  const hosts = ["1.0.0.0", "64.0.0.0", "128.0.0.0", "192.0.0.0", "255.0.0.0"].map(address);
  for (const host of hosts) ips.insert(host, 32, 3);
  for (const host of hosts) strictEqual(lookup(ips, host), 3);
  ips.removePeer(3);
  for (const host of hosts) strictEqual(lookup(ips, host), -1);
  strictEqual(ips.nodes, 0);
});

Deno.test("removePeer() takes a prefix and the one inside it, as in the Linux self-test", () => {
  for (const order of [["192.168.0.0/16", "192.168.0.0/24"], ["192.168.0.0/24", "192.168.0.0/16"]]) {
    const ips = new AllowedIps();
    for (const text of order) ips.insert(prefix(text).address, prefix(text).cidr, 0);
    ips.removePeer(0);
    strictEqual(lookup(ips, address("192.168.0.1")), -1);
    strictEqual(ips.nodes, 0);
  }
});

Deno.test("AllowedIps holds and frees a trie of the greatest depth, as in the Linux self-test", () => {
  const hosts = Array.from({ length: 128 }, (_, bit) => {
    const host = new Uint8Array(16).fill(255);
    host[bit >>> 3] ^= 128 >>> (bit & 7);
    return host;
  });
  const ips = new AllowedIps();
  hosts.forEach((host, peer) => ips.insert(host, 128, peer));
  hosts.forEach((host, peer) => strictEqual(lookup(ips, host), peer));
  strictEqual(lookup(ips, new Uint8Array(16).fill(255)), -1);
  strictEqual(ips.nodes, 255);
  hosts.forEach((_, peer) => ips.removePeer(peer));
  strictEqual(ips.nodes, 0);
});

Deno.test("entries() lists masked networks in the order of giving, as in the Linux self-test", () => {
  const ips = new AllowedIps();
  const given = [
    "2001:db8::77/128",
    "192.168.4.78/27",
    "2001:db8:aaaa:bbbb:cccc:dddd::1/83",
    "10.9.8.7/29",
    "2001:fff::1/21",
  ];
  for (const text of given) ips.insert(prefix(text).address, prefix(text).cidr, 9);
  ips.insert(address("172.16.0.0"), 12, 8);
  const expected = [
    "192.168.4.64/27",
    "10.9.8.0/29",
    "2001:db8::77/128",
    "2001:db8:aaaa:bbbb:cccc:c000::/83",
    "2001:800::/21",
  ];
  deepStrictEqual(ips.entries(9), expected.map(prefix));
  deepStrictEqual(ips.entries(7), []);
  deepStrictEqual(ips.entries(1_000_000), []);
});

Deno.test("remove() changes nothing for a wrong length, a wrong peer or no peer, as in wireguard-go", () => {
  const ips = new AllowedIps();
  ips.insert(address("10.0.0.0"), 8, 1);
  ips.insert(address("10.1.0.0"), 16, 2);
  strictEqual(ips.remove(address("10.1.0.0"), 15, 2), false);
  strictEqual(ips.remove(address("10.1.0.0"), 17, 2), false);
  strictEqual(ips.remove(address("10.1.0.0"), 16, 1), false);
  strictEqual(ips.remove(address("10.1.0.0"), 16, 77), false);
  strictEqual(ips.remove(address("11.1.0.0"), 16, 2), false);
  strictEqual(lookup(ips, address("10.1.2.3")), 2);
  strictEqual(ips.remove(address("10.1.99.99"), 16, 2), true);
  strictEqual(ips.remove(address("10.1.0.0"), 16, 2), false);
  strictEqual(lookup(ips, address("10.1.2.3")), 1);
  deepStrictEqual(ips.entries(2), []);
});

/** Deterministic integers below a bound: mulberry32. */
function seeded(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  };
}

/** `near` with all bits from a random one on drawn anew. */
function neighbour(near: Uint8Array, below: (bound: number) => number): Uint8Array {
  const kept = below(8 * near.length + 1);
  return near.map((byte, i) => {
    const mask = 0xff >> Math.min(8, Math.max(0, kept - 8 * i));
    return (byte & ~mask) | (below(256) & mask);
  });
}

Deno.test("AllowedIps agrees with a linear scan on random neighbouring prefixes, as in the Linux self-test", () => {
  const seed = 20_260_101;
  const below = seeded(seed);
  const peers = 60;
  const ips = new AllowedIps();
  const twin = new ReferenceAllowedIps();
  const known: Uint8Array[] = [];
  for (const bytes of [4, 16]) {
    for (let base = 0; base < 40; base++) {
      const first = new Uint8Array(bytes).map(() => below(256));
      for (let count = 0; count < 12; count++) {
        const near = count === 0 ? first : neighbour(first, below);
        const [cidr, peer] = [1 + below(8 * bytes), below(peers)];
        ips.insert(near, cidr, peer);
        twin.insert(near, cidr, peer);
        known.push(near);
      }
    }
  }
  const compare = (lookups: number): void => {
    strictEqual(ips.size, twin.size, `seed ${seed}`);
    checkNodes(ips);
    for (let i = 0; i < lookups; i++) {
      const near = neighbour(known[below(known.length)], below);
      strictEqual(lookup(ips, near), twin.lookup(near), `seed ${seed}, address ${near}`);
    }
  };
  compare(20_000);
  for (let i = 0; i < 300; i++) {
    const [near, peer] = [known[below(known.length)], below(peers)];
    const owned = ips.entries(peer);
    if (owned.length === 0) continue;
    const chosen = owned[below(owned.length)];
    const cidr = Math.min(chosen.cidr, 8 * near.length);
    strictEqual(ips.remove(near, cidr, peer), twin.remove(near, cidr, peer));
    strictEqual(ips.remove(chosen.address, chosen.cidr, peer), twin.remove(chosen.address, chosen.cidr, peer));
  }
  compare(5_000);
  for (let peer = 0; peer < peers; peer++) {
    deepStrictEqual(networks(ips.entries(peer)), twin.entries(peer));
    ips.removePeer(peer);
    twin.removePeer(peer);
    compare(200);
  }
  strictEqual(ips.nodes, 0);
});

Deno.test("AllowedIps agrees with a linear scan when few prefixes come and go in a tiny address space", () => {
  const seed = 77;
  const below = seeded(seed);
  const ips = new AllowedIps();
  const twin = new ReferenceAllowedIps();
  for (let step = 0; step < 20_000; step++) {
    // Only bits 28 … 35 differ, so that every shape of trie around a word's edge comes up.
    const wide = below(2) === 0;
    const bytes = new Uint8Array(wide ? 16 : 4);
    bytes[3] = below(16);
    if (wide) bytes[4] = below(16) << 4;
    const [cidr, peer] = [27 + below(wide ? 10 : 6), below(4)];
    if (below(20) === 0) {
      ips.removePeer(peer);
      twin.removePeer(peer);
    } else if (below(2) === 0) {
      ips.insert(bytes, cidr, peer);
      twin.insert(bytes, cidr, peer);
    } else {
      strictEqual(ips.remove(bytes, cidr, peer), twin.remove(bytes, cidr, peer), `seed ${seed}, step ${step}`);
    }
    strictEqual(lookup(ips, bytes), twin.lookup(bytes), `seed ${seed}, step ${step}`);
    strictEqual(ips.size, twin.size);
    checkNodes(ips);
    if (step % 16 === 0) deepStrictEqual(networks(ips.entries(peer)), twin.entries(peer), `seed ${seed}, step ${step}`);
  }
});

Deno.test("lookupSource() and lookupDestination() read the packet at its offset by its version", () => {
  const ips = new AllowedIps();
  ips.insert(address("10.0.0.0"), 8, 1);
  ips.insert(address("192.168.0.0"), 16, 2);
  ips.insert(address("2001:db8:1::"), 48, 3);
  ips.insert(address("2001:db8:2::"), 48, 4);
  const bytes = new Uint8Array(128).fill(0xee);
  const view = new DataView(bytes.buffer);
  const packets: [DataView, number, number][] = [
    [packet(address("10.1.1.1"), address("192.168.1.1")), 1, 2],
    [packet(address("192.168.1.1"), address("11.1.1.1")), 2, -1],
    [packet(address("11.1.1.1"), address("192.168.255.255")), -1, 2],
    [packet(address("2001:db8:1::1"), address("2001:db8:2::1")), 3, 4],
    [packet(address("2001:db8:3::1"), address("2001:db8:1::1")), -1, 3],
  ];
  for (const [header, source, destination] of packets) {
    bytes.set(new Uint8Array(header.buffer), 7);
    strictEqual(ips.lookupSource(view, 7), source);
    strictEqual(ips.lookupDestination(view, 7), destination);
  }
  for (let version = 0; version < 16; version++) {
    if (version === 4 || version === 6) continue;
    bytes[7] = version << 4;
    strictEqual(ips.lookupSource(view, 7), -1);
    strictEqual(ips.lookupDestination(view, 7), -1);
  }
});

Deno.test("AllowedIps uses the memory of removed prefixes again", () => {
  const ips = new AllowedIps();
  const fill = (round: number): void => {
    for (let i = 0; i < 500; i++) {
      ips.insert(Uint8Array.of(10, round, i >>> 8, i), 32, i % 7);
      ips.insert(new Uint8Array(16).fill(round, 0, 8).fill(i >>> 8, 14, 15).fill(i, 15), 128, i % 7);
    }
  };
  fill(0);
  const { bytes, nodes } = ips;
  strictEqual(ips.size, 1000);
  for (let round = 1; round < 20; round++) {
    for (let peer = 0; peer < 7; peer++) ips.removePeer(peer);
    strictEqual(ips.nodes, 0);
    fill(round);
    strictEqual(ips.bytes, bytes);
    strictEqual(ips.nodes, nodes);
  }
});

Deno.test("AllowedIps takes at most 48 bytes for an IPv4 and 60 for an IPv6 prefix, when its arrays are full", () => {
  for (const [wide, limit] of [[false, 48], [true, 60]] as const) {
    const ips = new AllowedIps();
    const below = seeded(5);
    // One less than the arrays double at: entry and node 0 do not exist.
    for (let i = 0; i < 16_383; i++) {
      ips.insert(new Uint8Array(wide ? 16 : 4).map(() => below(256)), wide ? 128 : 32, 0);
    }
    strictEqual(ips.size, 16_383);
    ok(ips.bytes / ips.size < limit + 1, `${ips.bytes / ips.size} bytes`);
  }
});

Deno.test("insert() refuses arguments that are no prefix or no peer", () => {
  const ips = new AllowedIps();
  throws(() => ips.insert(new Uint8Array(5), 8, 0), RangeError);
  throws(() => ips.insert(new Uint8Array(4), 33, 0), RangeError);
  throws(() => ips.insert(new Uint8Array(16), 129, 0), RangeError);
  throws(() => ips.insert(new Uint8Array(4), -1, 0), RangeError);
  throws(() => ips.insert(new Uint8Array(4), 1.5, 0), RangeError);
  throws(() => ips.insert(new Uint8Array(4), 8, -1), RangeError);
  throws(() => ips.insert(new Uint8Array(4), 8, 2 ** 24), RangeError);
  ips.insert(new Uint8Array(4), 8, 2 ** 24 - 1);
  strictEqual(ips.lookup4(0x00ffffff), 2 ** 24 - 1);
});
