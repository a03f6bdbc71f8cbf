/** What is wrong with a configuration: where it stands and why, never a secret value. */

/** A value is not one of its key. The message is the reason, in `wg`'s words. */
export class ValueError extends SyntaxError {
  override readonly name = "ValueError";
}

/** A line of a file cannot be read. `message` is `file:line: key: reason`. */
export class ConfigError extends SyntaxError {
  override readonly name = "ConfigError";
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** As the file spells it; empty where the line has none. */
  readonly key: string;
  readonly reason: string;

  constructor(file: string, line: number, key: string, reason: string) {
    super(`${file}:${line}: ${key === "" ? "" : `${key}: `}${reason}`);
    this.file = file;
    this.line = line;
    this.key = key;
    this.reason = reason;
  }
}
