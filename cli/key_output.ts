import { fstatSync } from "node:fs";
import { printError } from "./output.ts";

/** Warns, as `wg` does, when a secret is about to go into a file that everybody on the machine may open. */
export function warnIfWorldAccessible(): void {
  const stdout = fstatSync(1);
  if (!stdout.isFile() || (stdout.mode & 0o007) === 0) return;
  printError("Warning: writing to world accessible file.\nConsider setting the umask to 077 and trying again.\n");
}
