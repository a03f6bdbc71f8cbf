/** Text to the standard streams, whole and at once. */

/** Writes to stdout; a closed pipe or full disk is thrown. */
export function print(text: string): void {
  writeAll(Deno.stdout, text);
}

/** Writes to stderr. A reader that went away is no reason to fail: there is nobody left to tell. */
export function printError(text: string): void {
  try {
    writeAll(Deno.stderr, text);
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.WouldBlock)) throw error;
  }
}

function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let written = 0; written < bytes.length;) written += stream.writeSync(bytes.subarray(written));
}
