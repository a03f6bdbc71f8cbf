/** Where figures come from: without that they say nothing. */
import { run } from "../netns/process.ts";

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGigabytes: number;
  readonly kernel: string;
  readonly deno: string;
  readonly v8: string;
  readonly iperf: string;
  /** Flags that V8 was started with, if any. */
  readonly v8Flags: string;
}

export async function describeMachine(): Promise<Machine> {
  const cpuinfo = await Deno.readTextFile("/proc/cpuinfo");
  const processor = cpuinfo.match(/^model name\s*:\s*(.+)$/m)?.[1] ?? Deno.build.arch;
  const mhz = cpuinfo.match(/^cpu MHz\s*:\s*([\d.]+)/m)?.[1];
  return {
    processor: mhz === undefined ? processor : `${processor} at ${(Number(mhz) / 1000).toFixed(1)} GHz`,
    cores: navigator.hardwareConcurrency,
    memoryGigabytes: Math.round(Deno.systemMemoryInfo().total / 1e9),
    kernel: Deno.osRelease(),
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    iperf: (await run(["iperf3", "--version"])).stdout.split("\n")[0],
    v8Flags: Deno.env.get("DENO_V8_FLAGS") ?? "",
  };
}
