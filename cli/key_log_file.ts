/** The file that Wireshark reads to decrypt a capture: it holds secrets, so nobody else may read it. */
import { OperatorError } from "./errors.ts";

const OWNER_ONLY = 0o600;

export class KeyLogFile {
  readonly #file: Deno.FsFile;

  private constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /**
   * Opens the file to append to it, and takes it away from group and others.
   *
   * @throws {OperatorError}
   */
  static open(path: string): KeyLogFile {
    try {
      const file = Deno.openSync(path, { append: true, create: true, mode: OWNER_ONLY });
      try {
        const { isFile, uid } = file.statSync();
        if (isFile && uid !== Deno.uid()) throw new Error(`${path} belongs to another user`);
        // `mode` counts for a new file only.
        if (isFile) Deno.chmodSync(path, OWNER_ONLY);
        return new KeyLogFile(file);
      } catch (error) {
        file.close();
        throw error;
      }
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      throw new OperatorError(`cannot write the key log: ${error.message}; choose another file for --keylog`);
    }
  }

  append(lines: readonly string[]): void {
    const bytes = new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""));
    for (let written = 0; written < bytes.length;) written += this.#file.writeSync(bytes.subarray(written));
  }

  close(): void {
    this.#file.close();
  }
}
