/** The host's own programs, against which tests hold what we do without them. */
import { spawnSync } from "node:child_process";

/** What `ip -j` prints, run in the namespace of the calling thread. */
export function ipJson(...words: readonly string[]): unknown[] {
  return programJson("ip", "-j", ...words) as unknown[];
}

/** What a program prints, as JSON, run in the namespace of the calling thread; an empty list for nothing. */
export function programJson(program: string, ...words: readonly string[]): unknown {
  return JSON.parse(runText(program, words) || "[]");
}

/** Runs a program, which must succeed, in the namespace of the calling thread. @returns its stdout */
export function runText(program: string, words: readonly string[], input = ""): string {
  const result = spawnSync(program, [...words], { input, encoding: "utf8" });
  if (result.status === 0) return result.stdout;
  throw new Error(`${program} ${words.join(" ")}: ${result.stderr}`, { cause: result.error });
}
