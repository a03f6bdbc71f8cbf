/** Files for root's eyes: written whole or not at all, read and removed if they are there. */

/** Writes a value as JSON. A reader sees the former file or this one, and no one but root sees either. */
export function replacePrivately(path: string, value: unknown): void {
  const draft = `${path}.new`;
  const file = Deno.openSync(draft, { write: true, create: true, truncate: true, mode: 0o600 });
  try {
    const bytes = new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
    for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
    file.syncSync();
    bytes.fill(0);
  } finally {
    file.close();
  }
  Deno.renameSync(draft, path);
}

/** The text, null if there is no such file. */
export function readIfThere(path: string): string | null {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Removes a file, and a draft that was left of it. */
export function removeIfThere(path: string): void {
  for (const each of [path, `${path}.new`]) {
    try {
      Deno.removeSync(each);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
