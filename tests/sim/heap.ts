/** How much memory really lives. */
import v8 from "node:v8";
import vm from "node:vm";

/** Bytes of heap and of buffers outside it after a full collection. */
export function liveMemory(): number {
  v8.setFlagsFromString("--expose-gc");
  const collect = vm.runInNewContext("gc") as () => void;
  collect();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}
