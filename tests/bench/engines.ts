/**
 * Times the AEAD engines of this host against each other: bursts of 64 packets, the engines alternating within a
 * millisecond so that the machine's moods hit all, medians per packet, and how many times faster than noble each is.
 *
 * `deno run -A tests/bench/engines.ts [milliseconds per size]`
 */
import type { Aead } from "../../crypto/aead.ts";
import { createKernelAead } from "../../crypto/kernel_aead.ts";
import { createNobleAead } from "../../crypto/noble_aead.ts";
import { createNativeAead } from "../../plane/native_aead.ts";
import { Burst } from "./aead_burst.ts";

export const SIZES: readonly number[] = [64, 512, 1420, 9000];

type Create = (memory: WebAssembly.Memory) => Aead;

/** Every engine that works on this host, with the builds of the kernel apart; noble is the last. */
export function hostEngines(): Map<string, Create> {
  const engines = new Map<string, (memory: WebAssembly.Memory) => Aead | null>([
    ["kernel", (memory) => createKernelAead(memory, "relaxed")],
    ["kernel, plain SIMD", (memory) => createKernelAead(memory, "plain")],
    ["kernel, wide", (memory) => createKernelAead(memory, "wide")],
    ["kernel, wide arithmetic", (memory) => createKernelAead(memory, "wide-arithmetic")],
    ["native", (memory) => createNativeAead(memory)],
    ["noble", (memory) => createNobleAead(memory)],
  ]);
  const probe = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  for (const [name, create] of engines) if (create(probe) === null) engines.delete(name);
  return engines as Map<string, Create>;
}

interface Times {
  readonly name: string;
  readonly seal: number;
  /** Sealing packets in a row, as a data plane does; the same as `seal` for an engine that knows nothing better. */
  readonly push: number;
  readonly open: number;
}

/** Medians in nanoseconds per packet of `size` bytes, after about `milliseconds`. */
export function timeEngines(size: number, milliseconds: number): Times[] {
  const engines = [...hostEngines()].map(([name, create]) => {
    return { name, burst: new Burst(create, size), seal: [] as number[], push: [] as number[], open: [] as number[] };
  });
  const end = performance.now() + milliseconds;
  while (performance.now() < end) {
    for (const { burst, seal, push, open } of engines) {
      // The first run after another engine's costs up to a third more, whatever it does.
      burst.seal();
      seal.push(timed(burst, () => burst.seal()));
      push.push(timed(burst, () => burst.push()));
      open.push(timed(burst, () => burst.open()));
    }
  }
  return engines.map(({ name, seal, push, open }) => {
    return { name, seal: median(seal), push: median(push), open: median(open) };
  });
}

/** Each run finds its packets in the cache to the same degree, as after a system call that has copied them. */
function timed(burst: Burst, run: () => void): number {
  burst.restore();
  const start = performance.now();
  run();
  return (performance.now() - start) * 1e6 / burst.packets;
}

/** The first quarter is left out: V8 is still compiling. */
function median(times: number[]): number {
  const settled = times.slice(times.length >> 2).sort((a, b) => a - b);
  return settled[settled.length >> 1];
}

if (import.meta.main) {
  const write = (line: string): void => void Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
  const milliseconds = Number(Deno.args[0] ?? 2_000);
  write("| bytes | engine | seal ns | in a row | open | times noble: seal | in a row | open |");
  write("|---|---|---|---|---|---|---|---|");
  for (const size of SIZES) {
    const times = timeEngines(size, milliseconds);
    const noble = times[times.length - 1];
    for (const { name, seal, push, open } of times) {
      const ratios = [noble.seal / seal, noble.seal / push, noble.open / open].map((ratio) => ratio.toFixed(1));
      write(`| ${[size, name, ...[seal, push, open].map(Math.round), ...ratios].join(" | ")} |`);
    }
  }
}
