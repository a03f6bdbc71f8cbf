/**
 * The experimental features of V8 that the fastest builds of the packet kernel are written for: vectors of 256 bits and
 * multiplication to 128 bits. A process has them from its start or not at all: `node:v8` comes too late for them.
 *
 * What they compile is used only after it has computed known answers and been timed (engines.ts).
 */

/** V8 refuses to start with a flag that it does not know, so they are given only to versions that they were tried on. */
const FLAGS_BY_VERSION: ReadonlyMap<string, readonly string[]> = new Map([
  ["15", ["--experimental-wasm-revectorize", "--experimental-wasm-wide-arithmetic"]],
]);

/** A function of two i64 that returns `i64.mul_wide_u` of them: valid only where the flags were given. */
const WIDE_MULTIPLICATION = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
  ...[1, 8, 1, 0x60, 2, 0x7e, 0x7e, 2, 0x7e, 0x7e],
  ...[3, 2, 1, 0],
  ...[10, 10, 1, 8, 0, 0x20, 0, 0x20, 1, 0xfc, 22, 0x0b],
);

/** The flags for a version of V8, as `Deno.version.v8` tells it; none for versions that they were not tried on. */
export function v8Flags(version: string = Deno.version.v8): readonly string[] {
  return FLAGS_BY_VERSION.get(version.split(".")[0]) ?? [];
}

/**
 * The flags that an interface would gain from and this process was started without.
 *
 * @param engine what `--engine` says; those that never use them want none
 */
export function wantedV8Flags(engine: string): readonly string[] {
  const isOfUse = engine === "auto" || engine.startsWith("kernel-");
  return isOfUse && !WebAssembly.validate(WIDE_MULTIPLICATION) ? v8Flags() : [];
}
