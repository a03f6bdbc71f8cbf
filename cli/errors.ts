/** What a verb throws to end with one line on stderr: the class decides the exit code. */

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** The command line is right and it did not work: exit code 1. The message names the cause and the remedy. */
export class OperatorError extends Error {
  override name = "OperatorError";
}
