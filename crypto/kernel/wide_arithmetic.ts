/**
 * The 128-bit instructions of WebAssembly's wide-arithmetic proposal, which AssemblyScript does not know and which, with
 * two results, it could not express. The source holds a stand-in for each, an expression that leaves the same operands
 * on the stack before a constant that occurs nowhere else, and the build puts the instruction in its place:
 *
 *     high = a ^ (b ^ MULTIPLY);   get a, get b, const MULTIPLY, xor, xor   becomes   get a, get b, i64.mul_wide_u, nop …
 *     low = LOW;                   const LOW                                becomes   nop …
 *
 * The instruction leaves low and high on the stack, so that `high =` takes the upper one and `low =` the other. No byte
 * of the module moves; nops cost nothing once compiled. Only a build that asc does not optimise keeps this shape.
 *
 * Spec: https://github.com/WebAssembly/wide-arithmetic
 */

/** A stand-in: what the constant is, how many operands lie before it, and the code of the instruction it stands for. */
interface StandIn {
  readonly constant: bigint;
  readonly operands: number;
  readonly code: readonly number[];
}

// Any constants do that take ten bytes, the most of an i64.
const ADD: StandIn = { constant: -0x6164_6431_3238_0001n, operands: 4, code: [0xfc, 0x13] };
const MULTIPLY: StandIn = { constant: -0x6d75_6c77_6964_0001n, operands: 2, code: [0xfc, 0x16] };
const LOW: StandIn = { constant: -0x6c6f_7700_7061_0001n, operands: 0, code: [] };

const I64_CONST = 0x42;
const I64_XOR = 0x85;
const NOP = 0x01;

/** `high:low = a · b`. The factors are names or constants. */
export function multiplyWide(high: string, low: string, a: string, b: string): string {
  return standIn(MULTIPLY, high, low, [a, b]);
}

/** `high:low = aHigh:aLow + bHigh:bLow`, modulo 2^128. */
export function addWide(high: string, low: string, a: readonly [string, string], b: readonly [string, string]): string {
  return standIn(ADD, high, low, [a[1], a[0], b[1], b[0]]);
}

function standIn({ constant }: StandIn, high: string, low: string, operands: string[]): string {
  const expression = operands.reduceRight((rest, operand) => `(${operand} ^ ${rest})`, String(constant));
  return `${high} = ${expression}; ${low} = ${LOW.constant};`;
}

/**
 * Puts the instructions in the place of their stand-ins, in the same bytes.
 *
 * @returns how many instructions there are
 * @throws Error if the compiler has changed a stand-in
 */
export function writeWideArithmetic(module: Uint8Array): number {
  const [additions, multiplications, lows] = [ADD, MULTIPLY, LOW].map((kind) => writeInstructions(module, kind));
  if (additions + multiplications !== lows) throw new Error("A wide instruction has lost one of its results");
  return lows;
}

function writeInstructions(module: Uint8Array, { constant, operands, code }: StandIn): number {
  const literal = [I64_CONST, ...signedLeb128(constant)];
  const whole = [...literal, ...Array.from({ length: operands }, () => I64_XOR)];
  let count = 0;
  for (let at = 0; at < module.length; at++) {
    if (!isAt(module, literal, at)) continue;
    if (!isAt(module, whole, at)) throw new Error(`Byte ${at}: the operands of a wide instruction have been moved`);
    module.fill(NOP, at, at + whole.length);
    module.set(code, at);
    count++;
  }
  return count;
}

function isAt(module: Uint8Array, bytes: number[], at: number): boolean {
  return bytes.every((byte, i) => module[at + i] === byte);
}

/** Seven bits a byte, the least significant first; the last one's sign bit is the number's. */
function signedLeb128(value: bigint): number[] {
  const byte = Number(value & 0x7fn);
  const rest = value >> 7n;
  const isLast = rest === (byte & 0x40 ? -1n : 0n);
  return isLast ? [byte] : [byte | 0x80, ...signedLeb128(rest)];
}
