/**
 * Which engine seals the packets: the one asked for by name, or for `auto` the fastest on this machine at each size of
 * packet, found by timing them at start.
 */
import { type Aead, ENGINE_BYTES } from "../crypto/aead.ts";
import { createKernelAead } from "../crypto/kernel_aead.ts";
import { createNobleAead } from "../crypto/noble_aead.ts";
import { ENGINE_NAMES } from "./choices.ts";
import { createNativeAead } from "./native_aead.ts";

type Create = (memory: WebAssembly.Memory) => Aead | null;

/**
 * Every engine but noble, which is there where these are not. kernel-wide pays where V8 has been given
 * `--experimental-wasm-revectorize`; nothing but its timing tells whether it has.
 */
const FAST: ReadonlyMap<string, Create> = new Map<string, Create>([
  ["kernel", (memory) => createKernelAead(memory)],
  ["kernel-wide", (memory) => createKernelAead(memory, "wide")],
  ["native", (memory) => createNativeAead(memory)],
]);

/** Sizes of packets that are timed; each stands for those up to the next of LIMITS. */
const PROBE_SIZES: readonly number[] = [64, 512, 1420, 9000];
const FULL_PACKET = 2;
/** Geometric means of neighbouring sizes. */
const LIMITS: readonly number[] = PROBE_SIZES.slice(1).map((size, i) => Math.sqrt(size * PROBE_SIZES[i]));
/**
 * Milliseconds that each engine runs before it is timed: V8 compiles the kernel well within them. The calls of libcrypto
 * it has not compiled after 15, so native is timed slower than it becomes (at 1,420 bytes 1.3 for 0.95 µs) and taken only
 * where it is clearly better: for jumbo packets.
 */
const WARM_UP = 4;
const ROUNDS = 5;
/** Packets of one timed run, and their bytes at most: some ten microseconds. */
const RUN_PACKETS = 16;
const RUN_BYTES = 18_000;
const TAG_BYTES = 16;
// Where the probe's memory holds its key, which is all zeros, and its packets.
const PROBE_KEY = ENGINE_BYTES;
const PROBE_PACKETS = ENGINE_BYTES + 64;

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

/** An engine that is timed, and its shortest run at each of PROBE_SIZES. */
interface Contender {
  readonly create: Create;
  readonly engine: Aead;
  readonly times: number[];
}

function fastestEngine(memory: WebAssembly.Memory): Aead {
  const probe = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const contend = (name: string): Contender[] => {
    const create = FAST.get(name)!;
    const engine = create(probe);
    return engine === null ? [] : [{ create, engine, times: PROBE_SIZES.map(() => Infinity) }];
  };
  const kernels = [...contend("kernel"), ...contend("kernel-wide")];
  const contenders = [...kernels, ...contend("native")];
  if (contenders.length === 0) return createNobleAead(memory);
  if (contenders.length > 1) timeAll(contenders);
  // Two kernels in one memory would share their bytes of it: the one that is faster at full packets does all sizes.
  const kernel = kernels.length === 0 ? [] : [fasterAt(FULL_PACKET, kernels)];
  const rest = [...kernel, ...contenders.slice(kernels.length)];
  const engines = new Map(rest.map(({ create }) => [create, create(memory)!]));
  return enginesBySize(PROBE_SIZES.map((_, size) => engines.get(fasterAt(size, rest).create)!));
}

function timeAll(contenders: Contender[]): void {
  for (const { engine } of contenders) {
    const until = performance.now() + WARM_UP;
    while (performance.now() < until) timeOf(engine, PROBE_SIZES[FULL_PACKET]);
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, size] of PROBE_SIZES.entries()) {
      for (const { engine, times } of contenders) times[i] = Math.min(times[i], timeOf(engine, size));
    }
  }
}

/** The fastest at PROBE_SIZES[size]; a later one must be clearly faster. */
function fasterAt(size: number, contenders: Contender[]): Contender {
  return contenders.reduce((best, next) => next.times[size] < 0.95 * best.times[size] ? next : best);
}

/** Milliseconds to seal and then open some packets of `size`, as the data plane does it. */
function timeOf(engine: Aead, size: number): number {
  const stride = size + TAG_BYTES;
  const end = PROBE_PACKETS + stride * Math.min(RUN_PACKETS, Math.ceil(RUN_BYTES / stride));
  const start = performance.now();
  for (let at = PROBE_PACKETS; at < end; at += stride) {
    if (engine.sealPush === undefined) engine.seal(PROBE_KEY, 0, 0, at, at, size);
    else engine.sealPush(PROBE_KEY, 0, 0, at, at, size);
  }
  engine.sealFlush?.();
  for (let at = PROBE_PACKETS; at < end; at += stride) engine.open(PROBE_KEY, 0, 0, at, at, size);
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

  /** A packet that one engine has not completed yet does not mind what another engine does in between. */
  sealPush(key: number, counterLow: number, counterHigh: number, dst: number, src: number, length: number): void {
    const engine = this.#of(length);
    if (engine.sealPush === undefined) engine.seal(key, counterLow, counterHigh, dst, src, length);
    else engine.sealPush(key, counterLow, counterHigh, dst, src, length);
  }

  sealFlush(): void {
    this.#small.sealFlush?.();
    this.#medium.sealFlush?.();
    this.#full.sealFlush?.();
    this.#jumbo.sealFlush?.();
  }

  open(key: number, counterLow: number, counterHigh: number, dst: number, src: number, length: number): boolean {
    return this.#of(length).open(key, counterLow, counterHigh, dst, src, length);
  }

  #of(length: number): Aead {
    if (length > LIMITS[1]) return length > LIMITS[2] ? this.#jumbo : this.#full;
    return length > LIMITS[0] ? this.#medium : this.#small;
  }
}
