/** A folder for the states of a test. */

// Opens libc, which the leak sanitizer would otherwise lay at the door of the first test.
import "../ffi/testing.ts";

/** Runs `f` with a folder that is gone afterwards. */
export function inFolder(f: (folder: string) => void): void {
  const folder = Deno.makeTempDirSync({ prefix: "culvert-state-" });
  try {
    f(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** The same for what takes its time. */
export async function inFolderAsync(f: (folder: string) => Promise<void>): Promise<void> {
  const folder = Deno.makeTempDirSync({ prefix: "culvert-state-" });
  try {
    await f(folder);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}
