/**
 * Which engine seals the packets: the one asked for by name, or for `auto` the fastest on this machine at each size of
 * packet, found by timing them at start.
 */
import type { Aead } from "../crypto/aead.ts";
import { createKernelAead } from "../crypto/kernel_aead.ts";
import { createNobleAead } from "../crypto/noble_aead.ts";
import { ENGINE_NAMES } from "./choices.ts";
import {
  type Contender,
  Contest,
  type Create,
  fasterAt,
  FULL_PACKET,
  LIMITS,
  PROBE_SIZES,
  timeAll,
  warmUp,
} from "./engine_contest.ts";
import { createNativeAead } from "./native_aead.ts";

/** Every engine but noble, which is there where these are not. */
const FAST: ReadonlyMap<string, Create> = new Map<string, Create>([
  ["kernel", (memory) => createKernelAead(memory)],
  ["kernel-wide", (memory) => createKernelAead(memory, "wide")],
  ["kernel-wide-arithmetic", (memory) => createKernelAead(memory, "wide-arithmetic")],
  ["native", (memory) => createNativeAead(memory)],
]);

/**
 * Engines for experimental features of V8, which have to pass a self-test. kernel-wide-arithmetic compiles only where V8
 * has been given `--experimental-wasm-wide-arithmetic`; that it has been given `--experimental-wasm-revectorize`, which
 * both need to be fast, nothing but their timing tells.
 */
const EXPERIMENTAL: readonly string[] = ["kernel-wide-arithmetic", "kernel-wide"];

/**
 * The engine called `name` over a memory that does not grow.
 *
 * @param report takes a line for the log, if an engine that `auto` would have taken does not pass its self-test
 * @throws Error if this host cannot run it; RangeError if nothing is called so
 */
export function createEngine(name: string, memory: WebAssembly.Memory, report: (line: string) => void): Aead {
  if (!ENGINE_NAMES.includes(name)) throw new RangeError(`No AEAD engine is called ${name}`);
  if (name === "noble") return createNobleAead(memory);
  if (name === "auto") return fastestEngine(memory, FAST, report);
  const create = FAST.get(name)!;
  const engine = create(memory);
  if (engine === null) throw new Error(`Cannot use the AEAD engine ${name} on this host`);
  if (EXPERIMENTAL.includes(name)) {
    const contest = new Contest();
    const contenders = contest.enter(name, create);
    warmUp(contenders);
    for (const contender of contenders) {
      const fault = contest.faultOf(contender);
      if (fault !== null) throw new Error(`Cannot use the AEAD engine ${name}: in its self-test, ${fault}`);
    }
  }
  return engine;
}

/** @param engines what there may be; a parameter for the tests */
export function fastestEngine(
  memory: WebAssembly.Memory,
  engines: ReadonlyMap<string, Create>,
  report: (line: string) => void,
): Aead {
  const contest = new Contest();
  const enter = (name: string): Contender[] => {
    const create = engines.get(name);
    return create === undefined ? [] : contest.enter(name, create);
  };
  const arithmetic = enter("kernel-wide-arithmetic");
  const kernels = [...enter("kernel"), ...arithmetic, ...(arithmetic.length === 0 ? enter("kernel-wide") : [])];
  const natives = enter("native");
  const contenders = [...kernels, ...natives];
  if (contenders.length > 0) warmUp(contenders);
  timeAll(contenders);
  // Two kernels in one memory would share their bytes of it: the one that is faster at full packets does all sizes.
  const rest = [...bestKernel(contest, kernels, report), ...natives];
  if (rest.length === 0) return createNobleAead(memory);
  const chosen = new Map(rest.map(({ create }) => [create, create(memory)!]));
  return enginesBySize(PROBE_SIZES.map((_, size) => chosen.get(fasterAt(size, rest).create)!));
}

/** The fastest one that may be trusted, if there is one. */
function bestKernel(contest: Contest, kernels: Contender[], report: (line: string) => void): Contender[] {
  if (kernels.length === 0) return [];
  const best = fasterAt(FULL_PACKET, kernels);
  const fault = EXPERIMENTAL.includes(best.name) ? contest.faultOf(best) : null;
  if (fault === null) return [best];
  report(`The AEAD engine ${best.name} is not used: in its self-test, ${fault}`);
  return bestKernel(contest, kernels.filter((kernel) => kernel !== best), report);
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
