/** Files as they are, and as they were before a tunnel changed them. */
import { Buffer } from "node:buffer";
import { dirname, resolve } from "node:path";
import type { SavedFile } from "./state.ts";

/** The text of a file, empty if there is none. */
export function readIfThere(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}

/** The text that a file had. @param path where it was, for links that lead from there */
export function savedText(saved: SavedFile, path: string): string {
  switch (saved.kind) {
    case "absent":
      return "";
    case "link":
      return readIfThere(resolve(dirname(path), saved.target));
    case "file":
      return Buffer.from(saved.content, "base64").toString();
  }
}
