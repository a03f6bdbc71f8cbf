import assert from "node:assert/strict";
import fc from "fast-check";
import { formatEndpoint } from "../tunnel/address_text.ts";
import { endpointRecord } from "../tunnel/endpoint.ts";
import { MAX_REQUEST_BYTES, MAX_STATEMENTS, RequestReader, serializeSet, type SetStatement } from "./uapi_request.ts";
import type { UapiRequest } from "./uapi_request.ts";

function bytes(length: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: length, maxLength: length });
}
const address = fc.oneof(bytes(4), bytes(16));

const deviceStatement: fc.Arbitrary<SetStatement> = fc.oneof(
  bytes(32).map((value) => ({ key: "private_key", value }) as const),
  fc.nat(0xffff).map((value) => ({ key: "listen_port", value }) as const),
  fc.nat(0xffffffff).map((value) => ({ key: "fwmark", value }) as const),
  fc.constantFrom({ key: "replace_peers" } as const, { key: "culvert_replace_dns" } as const),
  fc.constantFrom("nameserver 192.0.2.53", "search a.example b.example", `search ${"x".repeat(253)}`)
    .map((value) => ({ key: "culvert_dns", value }) as const),
);

const peerStatement: fc.Arbitrary<SetStatement> = fc.oneof(
  bytes(32).map((value) => ({ key: "public_key", value }) as const),
  fc.constantFrom({ key: "remove" } as const, { key: "update_only" } as const, { key: "replace_allowed_ips" } as const),
  bytes(32).map((value) => ({ key: "preshared_key", value }) as const),
  fc.tuple(address, fc.nat(0xffff), fc.nat(0xffffffff)).map(([address, port, scope]) =>
    ({ key: "endpoint", value: endpointRecord(address, port, address.length === 4 ? 0 : scope) }) as const
  ),
  fc.nat(0xffff).map((value) => ({ key: "persistent_keepalive_interval", value }) as const),
  fc.tuple(address, fc.nat(128), fc.boolean()).map(([address, bits, remove]) => allowedIp(address, bits, remove)),
  fc.constantFrom({ key: "protocol_version" } as const, { key: "culvert_replace_endpoints" } as const),
  fc.constantFrom("vpn.example:1", "[2001:db8::1]:65535", "[fe80::1%eth0]:2", `${"x.".repeat(126)}x:65535`)
    .map((value) => ({ key: "culvert_endpoint", value }) as const),
);

const setRequest = fc.tuple(fc.array(deviceStatement), bytes(32), fc.array(peerStatement)).map(
  ([device, publicKey, peer]): SetStatement[] => [...device, { key: "public_key", value: publicKey }, ...peer],
);

function allowedIp(address: Uint8Array, bits: number, remove: boolean): SetStatement {
  const cidr = Math.min(bits, 8 * address.length);
  for (let bit = cidr; bit < 8 * address.length; bit++) address[bit >> 3] &= ~(0x80 >> (bit & 7));
  return { key: "allowed_ip", address, cidr, remove };
}

/** A request with its statements as plain data. */
type PlainRequest = Exclude<UapiRequest, { op: "set" }> | { op: "set"; errno: number; statements: SetStatement[] };

function plain(request: UapiRequest): PlainRequest {
  if (request.op !== "set") return request;
  return { ...request, statements: structuredClone([...request.statements]) };
}

/** All requests in a stream that arrives in pieces of the given lengths. */
function readAll(stream: Uint8Array, pieces: readonly number[] = []): PlainRequest[] {
  const reader = new RequestReader();
  const requests: PlainRequest[] = [];
  let from = 0;
  for (let i = 0; from < stream.length; i++) {
    const to = i < pieces.length ? Math.min(stream.length, from + pieces[i]) : stream.length;
    while (from < to) {
      from = reader.feed(stream, from, to);
      const request = reader.request();
      if (request !== null) requests.push(plain(request));
      if (request?.op === "unknown") return requests;
    }
  }
  return requests;
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

Deno.test("RequestReader reads what serializeSet() wrote, however it is cut", () => {
  fc.assert(
    fc.property(fc.array(setRequest, { minLength: 1, maxLength: 3 }), fc.array(fc.integer({ min: 1, max: 200 })), (
      all,
      pieces,
    ) => {
      const parts = all.map(serializeSet);
      const stream = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
      parts.reduce((at, part) => (stream.set(part, at), at + part.length), 0);
      const expected = all.map((statements) => ({ op: "set", errno: 0, statements: statements.map(withoutMapping) }));
      assert.deepEqual(readAll(stream, pieces), expected);
    }),
  );
});

Deno.test("RequestReader never throws and is always in step after a faulty set request", () => {
  const line = fc.string({ unit: "binary" }).filter((text) => text !== "" && !text.includes("\n"));
  fc.assert(
    fc.property(fc.array(line, { minLength: 1 }), fc.array(fc.integer({ min: 1, max: 50 })), (lines, pieces) => {
      const [faulty, sound, ...more] = readAll(ascii(`set=1\nbad\n${lines.join("\n")}\n\nget=1\n\n`), pieces);
      assert.deepEqual(faulty, { op: "set", errno: 71, statements: [] });
      assert.deepEqual(sound, { op: "get", errno: 0 });
      assert.equal(more.length, 0);
    }),
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), fc.array(fc.nat(50)), (garbage, pieces) => {
    for (const request of readAll(garbage, pieces.map((length) => length + 1))) {
      assert.ok(request.op === "unknown" || request.errno > 0);
    }
  }));
});

Deno.test("RequestReader tells get, its faults and unknown operations apart", () => {
  assert.deepEqual(readAll(ascii("get=1\n\nget=1\n\n")), [{ op: "get", errno: 0 }, { op: "get", errno: 0 }]);
  assert.deepEqual(readAll(ascii("get=1\nlisten_port=1\n\n")), [{ op: "get", errno: 22 }]);
  for (const text of ["get=2\n", "get=1\r\n", "set=1\r\n", "\n", "GET=1\n", " get=1\n", "get\n", "set=1 \n"]) {
    assert.deepEqual(readAll(ascii(text)), [{ op: "unknown" }], JSON.stringify(text));
  }
  assert.deepEqual(readAll(ascii("x".repeat(100_000) + "\n")), [{ op: "unknown" }]);
  assert.deepEqual(readAll(ascii("set=1\nlisten_port=1\n")), []);
});

Deno.test("RequestReader refuses names and resolv.conf lines that are none", () => {
  const key = `public_key=${"01".repeat(32)}\n`;
  const bad = [
    ...["", "vpn.example", "vpn.example:", "vpn.example:65536", "a b:1", "[vpn.example]:1", `${"x".repeat(254)}:1`]
      .map((value) => `${key}culvert_endpoint=${value}\n`),
    `${key}culvert_replace_endpoints=yes\n`,
    `${key}culvert_dns=nameserver 192.0.2.53\n`,
    "culvert_endpoint=vpn.example:1\n",
    "culvert_dns=\n",
    `culvert_dns=search ${"x".repeat(254)}\n`,
    "culvert_dns=search \u0001\n",
  ];
  for (const lines of bad) {
    const [request] = readAll(new TextEncoder().encode(`set=1\n${lines}\n`));
    assert.equal(request.op === "set" && request.errno, 22, lines);
  }
});

Deno.test("RequestReader gives up an endless request and refuses too many lines", () => {
  const reader = new RequestReader();
  const chunk = new Uint8Array(1 << 20).fill(0x61);
  reader.feed(ascii("set=1\n"), 0, 6);
  let fed = 0;
  while (reader.request() === null) {
    reader.feed(chunk, 0, chunk.length);
    fed += chunk.length;
    assert.ok(fed <= MAX_REQUEST_BYTES + chunk.length);
  }
  const tooMany = ascii(`set=1\n${"fwmark=1\n".repeat(MAX_STATEMENTS + 1)}\n`);
  assert.deepEqual(readAll(tooMany), [{ op: "set", errno: 7, statements: [] }]);
});

Deno.test("RequestReader.wipe() and a fault erase the keys of an incomplete request", () => {
  for (
    const spoil of [(reader: RequestReader) => reader.wipe(), (reader: RequestReader) => void feed(reader, "bad\n")]
  ) {
    const reader = new RequestReader();
    const keys: Uint8Array[] = [];
    const kept: Uint8Array[] = [];
    const former = Uint8Array.prototype.fill;
    // Notes what is erased: the reader holds the only reference to its keys.
    Uint8Array.prototype.fill = function (this: Uint8Array, ...filling: Parameters<typeof former>): Uint8Array {
      const isKept = [0xab, 0xef].every((byte) => this.join(" ").includes(Array(32).fill(byte).join(" ")));
      if (this.length === 32 && this.some((byte) => byte !== 0)) keys.push(this);
      else if (isKept) kept.push(this);
      return former.apply(this, filling);
    } as typeof former;
    try {
      feed(
        reader,
        `set=1\nprivate_key=${"ab".repeat(32)}\npublic_key=${"cd".repeat(32)}\npreshared_key=${"ef".repeat(32)}\n`,
      );
      spoil(reader);
    } finally {
      Uint8Array.prototype.fill = former;
    }
    // Each of the two secrets as it was read, and as it was kept; the latter in the bytes of a list.
    assert.deepEqual(keys, Array(2).fill(new Uint8Array(32)));
    assert.ok(kept.length > 0 && kept.every((bytes) => bytes.length === 0 || bytes.every((byte) => byte === 0)));
  }
});

function feed(reader: RequestReader, text: string): number {
  return reader.feed(ascii(text), 0, text.length);
}

/** As the text of an endpoint has it: an IPv4-mapped address is an IPv4 address. */
function withoutMapping(statement: SetStatement): SetStatement {
  if (statement.key !== "endpoint") return statement;
  const mapped = /^\[::ffff:([\d.]+)\]:(\d+)$/.exec(formatEndpoint(statement.value, 0));
  if (mapped === null) return statement;
  return { key: "endpoint", value: endpointRecord(Uint8Array.from(mapped[1].split("."), Number), Number(mapped[2])) };
}
