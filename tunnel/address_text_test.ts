import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { isIP } from "node:net";
import fc from "fast-check";
import { formatAddress, formatEndpoint, parseAddress, parseEndpoint, parsePrefix } from "./address_text.ts";
import { ENDPOINT_BYTES, ENDPOINT_SCOPE, endpointRecord } from "./endpoint.ts";

/** Text that is nearly an address: pieces of addresses, glued. */
const NEARLY = fc.array(
  fc.constantFrom("1", "0", "255", "256", "01", "ffff", "FfFf", "12345", "g", ".", ".", ":", ":", "::", "%1", " ", "-"),
  { maxLength: 17, size: "max" },
).map((pieces) => pieces.join(""));

Deno.test("parseAddress() accepts what node:net accepts, but no zones", () => {
  const texts = fc.oneof(
    NEARLY,
    fc.string(),
    fc.ipV4(),
    fc.ipV6(),
    fc.tuple(fc.ipV6(), fc.nat(45), fc.constantFrom("", ":", ".", "0", "::")).map(([text, at, piece]) =>
      text.slice(0, at) + piece + text.slice(at + 1)
    ),
    fc.tuple(fc.ipV4(), fc.nat(14), fc.constantFrom("", ":", ".", "0")).map(([text, at, piece]) =>
      text.slice(0, at) + piece + text.slice(at + 1)
    ),
  );
  let accepted = 0;
  const property = fc.property(texts, (text) => {
    const expected = text.includes("%") ? 0 : isIP(text);
    const bytes = parseAddress(text);
    strictEqual(bytes === null ? 0 : bytes.length === 4 ? 4 : 6, expected, text);
    if (bytes !== null) accepted++;
  });
  fc.assert(property, { numRuns: 30_000 });
  ok(accepted > 5_000 && accepted < 29_000, `${accepted} accepted`);
});

Deno.test("parseAddress() reads every form of RFC 4291", () => {
  const forms: [string, string][] = [
    ["0.0.0.0", "00000000"],
    ["255.254.10.9", "fffe0a09"],
    ["::", "00000000000000000000000000000000"],
    ["::1", "00000000000000000000000000000001"],
    ["1::", "00010000000000000000000000000000"],
    ["ABCD:EF01:2345:6789:abcd:ef01:2345:6789", "abcdef0123456789abcdef0123456789"],
    ["2001:DB8:0:0:8:800:200C:417A", "20010db80000000000080800200c417a"],
    ["1:2:3:4:5:6:7::", "00010002000300040005000600070000"],
    ["::2:3:4:5:6:7:8", "00000002000300040005000600070008"],
    ["::13.1.68.3", "0000000000000000000000000d014403"],
    ["::ffff:129.144.52.38", "00000000000000000000ffff81903426"],
    ["64:ff9b::192.0.2.33", "0064ff9b0000000000000000c0000221"],
    ["1:2:3:4:5:6:1.2.3.4", "00010002000300040005000601020304"],
  ];
  for (const [text, hex] of forms) strictEqual(parseAddress(text)?.toHex(), hex, text);
});

Deno.test("parseAddress() refuses what is no address", () => {
  const wrong = [
    "",
    "1.2.3",
    "1.2.3.4.5",
    "01.2.3.4",
    "1.2.3.256",
    "1.2.3.4 ",
    " 1.2.3.4",
    "1.2.3.4\n",
    "0x1.2.3.4",
    "127.1",
  ];
  wrong.push(":", ":::", "1::2::3", ":1:2:3:4:5:6:7", "1:2:3:4:5:6:7:", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8");
  wrong.push("::12345", "::g", "::1%eth0", "::1%1", "[::1]", "::1.2.3", "1.2.3.4::", "::1.2.3.4:5", "::01.2.3.4");
  wrong.push("1:2:3:4:5:6:7:1.2.3.4", "１.2.3.4", "٣.2.3.4", "+1.2.3.4", "1e1.2.3.4", "0".repeat(100_000));
  for (const text of wrong) strictEqual(parseAddress(text), null, text.slice(0, 50));
});

Deno.test("formatAddress() writes what inet_ntop writes", () => {
  const texts = [
    "0.0.0.0",
    "192.0.2.1",
    "::",
    "::1",
    "1::",
    "2001:db8::1:0:0:1",
    "2001:0:0:1::1",
    "2001:db8:0:1:1:1:1:1",
    "fe80::1",
    "::ffff:1.2.3.4",
    "::ffff:0.0.0.0",
    "::1.2.3.4",
    "::1:2:3",
    "::ffff:0:102:304",
    "64:ff9b::c000:221",
    "1:2:3:4:5:6:7:0",
    "0:2:3:4:5:6:7:8",
    "1:2:3:4:5:6::",
    "abcd:ef01:2345:6789:abcd:ef01:2345:6789",
  ];
  for (const text of texts) strictEqual(formatAddress(parseAddress(text)!), text);
  throws(() => formatAddress(new Uint8Array(5)), RangeError);
});

Deno.test("formatAddress() agrees with URL hosts, apart from dotted quads, and parses back", () => {
  const group = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(0xffff) });
  const property = fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
    const bytes = new Uint8Array(groups.flatMap((group) => [group >>> 8, group & 255]));
    const text = formatAddress(bytes);
    deepStrictEqual(parseAddress(text), bytes);
    const url = `[${groups.map((group) => group.toString(16)).join(":")}]`;
    if (!text.includes(".")) strictEqual(`[${text}]`, new URL(`http://${url}/`).hostname);
  });
  fc.assert(property, { numRuns: 5000 });
});

Deno.test("parsePrefix() refuses every unparseable prefix of the vectors", () => {
  const file = new URL("../tests/vectors/allowedips_scenarios.json", import.meta.url);
  const texts: string[] = JSON.parse(Deno.readTextFileSync(file)).unparseable_prefixes;
  strictEqual(texts.length, 15);
  for (const text of texts) strictEqual(parsePrefix(text), null, text);
  for (const text of ["1.2.3.4", "1.2.3.4/+8", "1.2.3.4/8 ", "1.2.3.4/0x8", "::/1e1"]) {
    strictEqual(parsePrefix(text), null);
  }
});

Deno.test("parsePrefix() reads both families with every length and keeps host bits", () => {
  const host = Uint8Array.of(10, 1, 2, 3);
  for (let cidr = 0; cidr <= 32; cidr++) deepStrictEqual(parsePrefix(`10.1.2.3/${cidr}`), { address: host, cidr });
  for (let cidr = 0; cidr <= 128; cidr++) strictEqual(parsePrefix(`2001:db8::1/${cidr}`)?.cidr, cidr);
});

Deno.test("parseEndpoint() reads addresses with ports, and zones as numbers", () => {
  deepStrictEqual(parseEndpoint("1.2.3.4:5"), endpointRecord(parseAddress("1.2.3.4")!, 5));
  deepStrictEqual(parseEndpoint("1.2.3.4:65535"), endpointRecord(parseAddress("1.2.3.4")!, 65535));
  deepStrictEqual(parseEndpoint("[2001:db8::1]:51820"), endpointRecord(parseAddress("2001:db8::1")!, 51820));
  deepStrictEqual(parseEndpoint("[fe80::1%3]:5"), endpointRecord(parseAddress("fe80::1")!, 5, 3));
  deepStrictEqual(parseEndpoint("[fe80::1%4294967295]:5"), endpointRecord(parseAddress("fe80::1")!, 5, 2 ** 32 - 1));
  deepStrictEqual(parseEndpoint("[::ffff:1.2.3.4]:5"), endpointRecord(parseAddress("1.2.3.4")!, 5));
});

Deno.test("parseEndpoint() asks the resolver for the zone of an interface name only", () => {
  const index = (name: string): number | null => name === "eth0" ? 7 : null;
  deepStrictEqual(parseEndpoint("[fe80::1%eth0]:5", index), endpointRecord(parseAddress("fe80::1")!, 5, 7));
  deepStrictEqual(parseEndpoint("[fe80::1%2]:5", index), endpointRecord(parseAddress("fe80::1")!, 5, 2));
  strictEqual(parseEndpoint("[fe80::1%eth1]:5", index), null);
  strictEqual(parseEndpoint("[fe80::1%eth0]:5"), null);
});

Deno.test("parseEndpoint() refuses what is no endpoint", () => {
  const wrong = [
    "",
    "1.2.3.4",
    "1.2.3.4:",
    ":5",
    "1.2.3.4:65536",
    "1.2.3.4:-1",
    "1.2.3.4:+5",
    "1.2.3.4: 5",
    "1.2.3.4:5 ",
  ];
  wrong.push("host:5", "[1.2.3.4]:5", "2001:db8::1:5", "[2001:db8::1]", "[2001:db8::1]:", "[::1%]:5", "[%1]:5", "[]:5");
  wrong.push(
    "1.2.3.4%1:5",
    "[::ffff:1.2.3.4%1]:5",
    "[fe80::1%4294967296]:5",
    "[[::1]]:5",
    "1.2.3.4:000005",
    "1.2.3.4:5\n",
  );
  for (const text of wrong) strictEqual(parseEndpoint(text, () => 1), null, text);
});

Deno.test("formatEndpoint() writes the record at its offset, and parseEndpoint() reads it back", () => {
  const bytes = new Uint8Array(2 * ENDPOINT_BYTES + 5).subarray(5);
  for (const text of ["1.2.3.4:5", "[2001:db8::1]:51820", "[fe80::1%3]:65535", "[::]:0"]) {
    bytes.fill(0xee);
    bytes.set(parseEndpoint(text)!, ENDPOINT_BYTES);
    strictEqual(formatEndpoint(bytes, ENDPOINT_BYTES), text);
  }
  strictEqual(formatEndpoint(new Uint8Array(ENDPOINT_BYTES), 0), "");
});

Deno.test("parseEndpoint() undoes formatEndpoint() for random endpoints", () => {
  const addresses = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  );
  const property = fc.property(addresses, fc.nat(65535), fc.nat(), (address, port, scope) => {
    const mapped = address.length === 16 && address.subarray(0, 12).toHex() === "00000000000000000000ffff";
    if (mapped) return;
    const record = endpointRecord(address, port, address.length === 16 ? scope : 0);
    deepStrictEqual(parseEndpoint(formatEndpoint(record, 0)), record);
    strictEqual(new DataView(record.buffer).getUint32(ENDPOINT_SCOPE, true), address.length === 16 ? scope : 0);
  });
  fc.assert(property, { numRuns: 2000 });
});
