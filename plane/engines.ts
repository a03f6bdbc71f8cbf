/**
 * Which engine seals the packets: the one asked for by name, or for `auto` the fastest on this machine at each size of
 * packet, found by timing them at start.
 */
import { type Aead, ENGINE_BYTES } from "../crypto/aead.ts";
import { createKernelAead } from "../crypto/kernel_aead.ts";
import { createNobleAead } from "../crypto/noble_aead.ts";
import { createNativeAead } from "./native_aead.ts";

/** What `--engine` takes. */
export const ENGINE_NAMES: readonly string[] = ["auto", "kernel", "native", "noble"];

type Create = (memory: WebAssembly.Memory) => Aead | null;

/** Every engine but noble, which is there where these are not. */
const FAST: ReadonlyMap<string, Create> = new Map<string, Create>([
  ["kernel", (memory) => createKernelAead(memory)],
  ["native", (memory) => createNativeAead(memory)],
]);

/** Sizes of packets that are timed; each stands for those up to the next of LIMITS. */
const PROBE_SIZES: readonly number[] = [64, 512, 1420, 9000];
/** Geometric means of neighbouring sizes. */
const LIMITS: readonly number[] = PROBE_SIZES.slice(1).map((size, i) => Math.sqrt(size * PROBE_SIZES[i]));
/** Milliseconds that each engine runs before it is timed, for V8 compiles a kernel well only after a while. */
const WARM_UP = 4;
const ROUNDS = 9;
/** Bytes of one timed run: some microseconds. */
const RUN_BYTES = 18_000;
const PROBE_PACKET = 65_536;

/**
 * The engine called `name` over a memory that does not grow.
 *
 * @throws Error if this host cannot run it; RangeError if nothing is called so
 */
export function createEngine(name: string, memory: WebAssembly.Memory): Aead {
  if (!ENGINE_NAMES.includes(name)) throw new RangeError(`No AEAD engine is called ${name}`);
  if (name === "noble") return createNobleAead(memory);
  if (name === "auto") return fastestEngine(memory);
  const engine = FAST.get(name)!(memory);
  if (engine === null) throw new Error(`Cannot use the AEAD engine ${name} on this host`);
  return engine;
}

function fastestEngine(memory: WebAssembly.Memory): Aead {
  const engines = [...FAST.values()].map((create) => create(memory)).filter((engine) => engine !== null);
  if (engines.length === 0) return createNobleAead(memory);
  if (engines.length === 1) return engines[0];
  const probe = new WebAssembly.Memory({ initial: 2, maximum: 2 });
  const timed = [...FAST.values()].map((create) => create(probe)).filter((engine) => engine !== null);
  return enginesBySize(fastest(timed).map((index) => engines[index]));
}

/** For each of PROBE_SIZES the index of the fastest engine. */
function fastest(engines: Aead[]): number[] {
  for (const engine of engines) {
    const until = performance.now() + WARM_UP;
    while (performance.now() < until) timeOf(engine, 1420);
  }
  const best = engines.map(() => PROBE_SIZES.map(() => Infinity));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, size] of PROBE_SIZES.entries()) {
      for (const [e, engine] of engines.entries()) best[e][i] = Math.min(best[e][i], timeOf(engine, size));
    }
  }
  return PROBE_SIZES.map((_, i) => best.reduce((winner, times, e) => times[i] < best[winner][i] ? e : winner, 0));
}

/** Milliseconds to seal and open RUN_BYTES in packets of `size`. */
function timeOf(engine: Aead, size: number): number {
  const start = performance.now();
  for (let bytes = 0; bytes < RUN_BYTES; bytes += size) {
    engine.seal(ENGINE_BYTES, 0, 0, PROBE_PACKET, PROBE_PACKET, size);
    engine.open(ENGINE_BYTES, 0, 0, PROBE_PACKET, PROBE_PACKET, size);
  }
  return performance.now() - start;
}

/** @param engines one for each of PROBE_SIZES */
export function enginesBySize(engines: Aead[]): Aead {
  return engines.every((engine) => engine === engines[0]) ? engines[0] : new EnginesBySize(engines);
}

class EnginesBySize implements Aead {
  readonly name: string;
  readonly #small: Aead;
  readonly #medium: Aead;
  readonly #full: Aead;
  readonly #jumbo: Aead;

  constructor(engines: Aead[]) {
    [this.#small, this.#medium, this.#full, this.#jumbo] = engines;
    this.name = engines.map(({ name }, i) => `${name} ${PROBE_SIZES[i]}`).join(", ");
  }

  seal(key: number, counterLow: number, counterHigh: number, dst: number, src: number, length: number): void {
    this.#of(length).seal(key, counterLow, counterHigh, dst, src, length);
  }

  open(key: number, counterLow: number, counterHigh: number, dst: number, src: number, length: number): boolean {
    return this.#of(length).open(key, counterLow, counterHigh, dst, src, length);
  }

  #of(length: number): Aead {
    if (length > LIMITS[1]) return length > LIMITS[2] ? this.#jumbo : this.#full;
    return length > LIMITS[0] ? this.#medium : this.#small;
  }
}
