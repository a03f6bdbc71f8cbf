import assert from "node:assert/strict";
import { addWide, multiplyWide, writeWideArithmetic } from "../../crypto/kernel/wide_arithmetic.ts";

const LOCAL_GET = 0x20;
const LOCAL_SET = 0x21;
const I64_CONST = 0x42;
const I64_XOR = 0x85;
const NOP = 0x01;

Deno.test("writeWideArithmetic() puts instructions in the place of their stand-ins and moves nothing", () => {
  const sum = compile(addWide("14", "15", ["11", "10"], ["13", "12"]));
  const product = compile(multiplyWide("14", "15", "10", "11"));
  const module = Uint8Array.from([0xaa, ...sum, 0xbb, ...product, 0xcc]);
  const length = module.length;
  assert.equal(writeWideArithmetic(module), 2);
  assert.equal(module.length, length);
  const nops = (count: number): number[] => Array.from({ length: count }, () => NOP);
  assert.deepEqual([...module], [
    ...[0xaa, LOCAL_GET, 10, LOCAL_GET, 11, LOCAL_GET, 12, LOCAL_GET, 13, 0xfc, 0x13, ...nops(13)],
    ...[LOCAL_SET, 14, ...nops(11), LOCAL_SET, 15],
    ...[0xbb, LOCAL_GET, 10, LOCAL_GET, 11, 0xfc, 0x16, ...nops(11)],
    ...[LOCAL_SET, 14, ...nops(11), LOCAL_SET, 15, 0xcc],
  ]);
});

Deno.test("writeWideArithmetic() refuses a module in which the compiler has moved something", () => {
  const product = compile(multiplyWide("14", "15", "10", "11"));
  const xor = product.indexOf(I64_XOR);
  assert.throws(() => writeWideArithmetic(Uint8Array.from(product.toSpliced(xor, 1))), /operands/);
  const low = product.lastIndexOf(I64_CONST);
  assert.throws(() => writeWideArithmetic(Uint8Array.from(product.slice(0, low))), /results/);
});

Deno.test("writeWideArithmetic() leaves a module without stand-ins alone", () => {
  const module = Uint8Array.from({ length: 256 }, (_, i) => i);
  assert.equal(writeWideArithmetic(module), 0);
  assert.deepEqual(module, Uint8Array.from({ length: 256 }, (_, i) => i));
});

/** What asc makes of a stand-in between locals that are called by their numbers. */
function compile(source: string): number[] {
  const [, high, expression, low, lowLiteral] = /^(\d+) = (.*); (\d+) = (-?\d+);$/.exec(source)!;
  const tokens = expression.match(/-?\d+/g)!;
  const constant = tokens.pop()!;
  return [
    ...tokens.flatMap((local) => [LOCAL_GET, Number(local)]),
    ...literal(constant),
    ...tokens.map(() => I64_XOR),
    ...[LOCAL_SET, Number(high)],
    ...literal(lowLiteral),
    ...[LOCAL_SET, Number(low)],
  ];
}

/** `i64.const`, its number in ten groups of seven bits. */
function literal(text: string): number[] {
  const value = BigInt.asUintN(70, BigInt(text));
  return [
    I64_CONST,
    ...Array.from({ length: 10 }, (_, i) => Number((value >> BigInt(7 * i)) & 0x7fn) | (i < 9 ? 0x80 : 0)),
  ];
}
