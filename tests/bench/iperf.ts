/** One run of iperf3 between two hosts. Its server is started for it alone: one that was cut off can't spoil the next. */
import type { BenchTunnel } from "./scene.ts";
import { waitFor } from "../netns/process.ts";

const PORT = "5201";
/** Beyond the transfer itself: the control connection has to get through what it floods. */
const GRACE = 30_000;

export interface TransferOptions {
  readonly seconds: number;
  readonly family?: 4 | 6;
  readonly flows?: number;
  /** forward: client to server. */
  readonly direction?: "forward" | "reverse" | "both";
  /** A flood of datagrams with so many bytes in each; absent: TCP. */
  readonly datagramBytes?: number;
}

export interface Transfer {
  readonly seconds: number;
  /** What arrived, both directions together. */
  readonly receivedBytes: number;
}

export async function transfer({ client, server }: BenchTunnel, options: TransferOptions): Promise<Transfer> {
  const receiver = server.host.spawn(["iperf3", "-s", "-1", "-p", PORT, "--forceflush"]);
  try {
    await waitFor(
      "iperf3 to listen",
      () => {
        if (receiver.exited) throw new Error(`iperf3 -s ended: ${receiver.output()}`);
        return receiver.output().includes("Server listening");
      },
      10_000,
      5,
    );
    const words = ["iperf3", "-J", "-c", server.address(options.family ?? 4), "-p", PORT, ...wordsOf(options)];
    const { stdout, stderr } = await client.host.run(words, { timeout: options.seconds * 1000 + GRACE });
    return readTransfer(stdout || stderr);
  } finally {
    await receiver[Symbol.asyncDispose]();
  }
}

function wordsOf({ seconds, flows, direction, datagramBytes }: TransferOptions): string[] {
  const words = ["-t", `${seconds}`, "-P", `${flows ?? 1}`];
  if (direction === "reverse") words.push("--reverse");
  if (direction === "both") words.push("--bidir");
  if (datagramBytes !== undefined) words.push("-u", "-b", "0", "-l", `${datagramBytes}`);
  return words;
}

interface Sum {
  readonly bytes: number;
  readonly seconds: number;
}

function readTransfer(text: string): Transfer {
  const report = parseReport(text);
  const there: Sum | undefined = report.end?.sum_received;
  if (report.error !== undefined || there === undefined) {
    throw new Error(`iperf3 failed: ${report.error ?? text.slice(0, 200)}`);
  }
  const back: Sum | undefined = report.end?.sum_received_bidir_reverse;
  return { seconds: there.seconds, receivedBytes: there.bytes + (back?.bytes ?? 0) };
}

function parseReport(
  text: string,
): { error?: string; end?: { sum_received?: Sum; sum_received_bidir_reverse?: Sum } } {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`iperf3 printed no report: ${text.slice(0, 200)}`, { cause: error });
  }
}
