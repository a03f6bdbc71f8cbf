/** Captures with tcpdump, read with tshark. */

import type { Host } from "./lab.ts";
import { must, sleep, waitFor } from "./process.ts";

export class Capture {
  readonly file: string;
  readonly #end: () => Promise<void>;

  private constructor(file: string, end: () => Promise<void>) {
    this.file = file;
    this.#end = end;
  }

  /** Starts to capture on a device; returns once tcpdump listens. */
  static async start(host: Host, device: string, filter: string): Promise<Capture> {
    const file = await Deno.makeTempFile({ dir: host.lab.folder, suffix: ".pcap" });
    // In immediate mode every packet takes a slot of the snapshot length in the kernel's ring: short slots, many of them.
    const options = ["-n", "-U", "--immediate-mode", "-s", "2048", "-B", "4096", "-Z", "root"];
    const process = host.spawn(["tcpdump", ...options, "-i", device, "-w", file, ...filter.split(" ")]);
    await waitFor("tcpdump to listen", () => {
      if (process.exited) throw new Error(process.output());
      return process.output().includes("listening on");
    });
    return new Capture(file, async () => {
      process.signal("SIGINT");
      await process.end();
    });
  }

  /** Ends the capture, a second after what it shall hold: on a busy machine tcpdump is behind. */
  async stop(): Promise<void> {
    await sleep(1_000);
    await this.#end();
  }

  /** One row per packet that `filter` selects, with the innermost values of `fields`. */
  async read(filter: string, fields: readonly string[], options: readonly string[] = []): Promise<string[][]> {
    const columns = fields.flatMap((field) => ["-e", field]);
    const text = await must([
      "tshark",
      "-n",
      ...options,
      "-r",
      this.file,
      "-Y",
      filter,
      "-T",
      "fields",
      "-E",
      "occurrence=l",
      ...columns,
    ]);
    return text.split("\n").filter((line) => line !== "").map((line) => line.split("\t"));
  }
}
