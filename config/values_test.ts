import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeBase64 } from "../crypto/encoding.ts";
import { ValueError } from "./config_error.ts";
import {
  hasHostBits,
  maskAddress,
  parseAllowedIps,
  parseEndpointText,
  parseFwmark,
  parseKeepalive,
  parseKeyText,
  parsePort,
  parsePrefixText,
} from "./values.ts";

const services = (name: string): number | null => name === "domain" ? 53 : null;

Deno.test("parseKeyText() takes canonical base64 only and never repeats it", () => {
  const key = encodeBase64(new Uint8Array(32).fill(7));
  assert.deepEqual(parseKeyText(key), new Uint8Array(32).fill(7));
  const loose = `${key.slice(0, 42)}${String.fromCharCode(key.charCodeAt(42) + 1)}=`;
  for (const text of ["", key.slice(1), `${key}=`, `${key.slice(0, 43)}A`, loose, key.replace("B", "-")]) {
    assert.throws(() => parseKeyText(text), (error) => {
      assert.ok(error instanceof ValueError);
      return error.message === "Key is not the correct length or format";
    }, text);
  }
});

Deno.test("parsePort() takes numbers as strtoul does, and services", () => {
  const good: [string, number][] = [["0", 0], ["51820", 51820], ["007", 7], ["+5", 5], [" 6", 6], ["65535", 65535]];
  for (const [text, port] of [...good, ["domain", 53] as const]) assert.equal(parsePort(text, services), port, text);
  for (const text of ["", "65536", "-1", "0x10", "5 ", "53/udp", "Domain", "1e3"]) {
    assert.throws(() => parsePort(text, services), ValueError, text);
  }
  assert.throws(() => parsePort("domain"), { message: "Servname not supported for ai_socktype: `domain'" });
});

Deno.test("parseFwmark() takes off, decimal and lower-case 0x", () => {
  const good: [string, number][] = [["off", 0], ["OFF", 0], ["0", 0], ["010", 10], ["0xFf", 255], [
    "0xffffffff",
    2 ** 32 - 1,
  ]];
  for (const [text, mark] of good) assert.equal(parseFwmark(text), mark, text);
  for (const text of ["", "0x", "0XFF", "0x1g", "-1", "+1", "4294967296", "0x100000000", "1e3", " 1"]) {
    assert.throws(() => parseFwmark(text), ValueError, text);
  }
});

Deno.test("parseKeepalive() takes off and seconds", () => {
  for (const [text, seconds] of [["off", 0], ["Off", 0], ["0", 0], ["25", 25], ["65535", 65535]] as const) {
    assert.equal(parseKeepalive(text), seconds);
  }
  for (const text of ["", "65536", "-1", "5s", "0x5", "on"]) {
    assert.throws(() => parseKeepalive(text), ValueError, text);
  }
});

Deno.test("parseEndpointText() splits at the brackets or at the last colon", () => {
  const good: [string, string, number][] = [
    ["192.0.2.1:5", "192.0.2.1", 5],
    ["[2001:db8::1]:5", "2001:db8::1", 5],
    ["2001:db8::1:5", "2001:db8::1", 5],
    ["[fe80::1%eth0]:5", "fe80::1%eth0", 5],
    ["vpn.example:domain", "vpn.example", 53],
    ["[vpn.example]:1", "vpn.example", 1],
  ];
  for (const [text, host, port] of good) assert.deepEqual(parseEndpointText(text, services), { host, port }, text);
  for (const text of ["", "host", "host:", ":5", "[::1", "[::1]", "[::1]5", "[::1]:", "[]:5", "h:65536", "h:x"]) {
    assert.throws(() => parseEndpointText(text, services), ValueError, text);
  }
});

Deno.test("parseAllowedIps() reads lists, masks and changes", () => {
  const { entries, replace } = parseAllowedIps("10.0.0.0/8,fd00::1,1.2.3.4");
  assert.deepEqual(entries.map(({ address, cidr, remove }) => [address.length, cidr, remove]), [[4, 8, false], [
    16,
    128,
    false,
  ], [4, 32, false]]);
  assert.ok(replace);
  assert.deepEqual(parseAllowedIps(""), { entries: [], replace: true });
  const changes = parseAllowedIps("+10.0.0.0/8,-10.1.0.0/16,10.2.0.0/16");
  assert.ok(!changes.replace);
  assert.deepEqual(changes.entries.map(({ remove }) => remove), [false, true, false]);
  for (
    const text of [",", "10.0.0.0/8,", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0/8"]
  ) {
    assert.throws(() => parseAllowedIps(text), ValueError, text);
  }
  for (const text of ["010.0.0.0/8", "fe80::1%lo", "host", "++10.0.0.0/8", "+", "1.2.3.4/1_0"]) {
    assert.throws(() => parseAllowedIps(text), ValueError, text);
  }
});

Deno.test("parsePrefixText() repeats the address in its error, or the entry", () => {
  assert.throws(() => parsePrefixText("x/8"), { message: "Unable to parse IP address: `x'" });
  assert.throws(() => parsePrefixText("1.2.3.4/99"), {
    message: "AllowedIP is not in the correct format: `1.2.3.4/99'",
  });
});

Deno.test("hasHostBits() says whether maskAddress() changes anything", () => {
  const address = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  );
  fc.assert(fc.property(address, fc.nat(128), (bytes, length) => {
    const cidr = Math.min(length, 8 * bytes.length);
    const masked = maskAddress(bytes, cidr);
    assert.equal(hasHostBits(bytes, cidr), masked.join() !== bytes.join());
    assert.ok(!hasHostBits(masked, cidr));
    const bits = (of: Uint8Array): string => [...of].map((byte) => byte.toString(2).padStart(8, "0")).join("");
    assert.equal(bits(masked), bits(bytes).slice(0, cidr).padEnd(8 * bytes.length, "0"));
  }));
});
