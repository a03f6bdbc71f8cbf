/**
 * The contest of AEAD engines at start: which is the fastest on this machine at each size of packet, and whether one
 * whose code the runtime's experimental features have compiled may be trusted.
 */
import { type Aead, ENGINE_BYTES } from "../crypto/aead.ts";
import { faultOfAead } from "../crypto/aead_self_test.ts";

/** Sizes of packets that are timed; each stands for those up to the next of LIMITS. */
export const PROBE_SIZES: readonly number[] = [64, 512, 1420, 9000];
export const FULL_PACKET = 2;
/** Geometric means of neighbouring sizes. */
export const LIMITS: readonly number[] = PROBE_SIZES.slice(1).map((size, i) => Math.sqrt(size * PROBE_SIZES[i]));
/**
 * Engines run in turns before they are timed until none has become a tenth faster for so many milliseconds, at most
 * MAX_WARM_UP in all: V8 compiles a kernel in 5 to 15 of them, on another core if that is free. The calls of libcrypto
 * it has not compiled by then, so native is timed slower than it becomes (at 1,420 bytes 1.3 for 0.95 µs) and taken only
 * where it is clearly better: for jumbo packets.
 */
const WARM_UP = 10;
const MAX_WARM_UP = 60;
/** For so long the self-test is repeated: what only short packets need is compiled meanwhile. */
const SELF_TEST = 3;
const ROUNDS = 5;
/** Packets of one timed run, and their bytes at most: some ten microseconds. */
const RUN_PACKETS = 16;
const RUN_BYTES = 18_000;
const TAG_BYTES = 16;
// Where the probe's memory holds its key, which is all zeros, and its packets.
const PROBE_KEY = ENGINE_BYTES;
const PROBE_PACKETS = ENGINE_BYTES + 64;

export type Create = (memory: WebAssembly.Memory) => Aead | null;

/** An engine over the memory of a contest, and its shortest run at each of PROBE_SIZES. */
export interface Contender {
  readonly name: string;
  readonly create: Create;
  readonly engine: Aead;
  readonly times: number[];
}

export class Contest {
  readonly #memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });

  /** The engine, not timed yet; none where it does not work. */
  enter(name: string, create: Create): Contender[] {
    const engine = create(this.#memory);
    return engine === null ? [] : [{ name, create, engine, times: PROBE_SIZES.map(() => Infinity) }];
  }

  /** What the self-test finds in an engine that is warm, or null. */
  faultOf({ engine }: Contender): string | null {
    const until = performance.now() + SELF_TEST;
    let fault: string | null;
    do fault = faultOfAead(engine, this.#memory, ENGINE_BYTES); while (fault === null && performance.now() < until);
    new Uint8Array(this.#memory.buffer).fill(0, ENGINE_BYTES);
    return fault;
  }
}

export function warmUp(contenders: readonly Contender[]): void {
  const best = contenders.map(() => Infinity);
  const start = performance.now();
  let improvedAt = start;
  for (let now = start; now < Math.min(improvedAt + WARM_UP, start + MAX_WARM_UP); now = performance.now()) {
    for (const [i, { engine }] of contenders.entries()) {
      const time = timeOf(engine, PROBE_SIZES[FULL_PACKET]);
      if (time < 0.9 * best[i]) [best[i], improvedAt] = [time, now];
    }
  }
}

export function timeAll(contenders: readonly Contender[]): void {
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, size] of PROBE_SIZES.entries()) {
      for (const { engine, times } of contenders) times[i] = Math.min(times[i], timeOf(engine, size));
    }
  }
}

/** The fastest at PROBE_SIZES[size]; a later one must be clearly faster. */
export function fasterAt(size: number, contenders: readonly Contender[]): Contender {
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
