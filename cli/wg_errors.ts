/** Errors in `wg`'s words, so that what reads `wg`'s messages reads ours. */
import { InterfaceError } from "../control/interface_client.ts";

/** Ends a verb of `wg`: the message goes to stderr as it is, the exit code is 1. */
export class WgError extends Error {
  override readonly name = "WgError";
}

/** What the C library says of an error number. */
const ERROR_TEXTS: ReadonlyMap<number, string> = new Map([
  [1, "Operation not permitted"],
  [2, "No such file or directory"],
  [4, "Interrupted system call"],
  [5, "Input/output error"],
  [7, "Argument list too long"],
  [12, "Cannot allocate memory"],
  [13, "Permission denied"],
  [16, "Device or resource busy"],
  [19, "No such device"],
  [20, "Not a directory"],
  [21, "Is a directory"],
  [22, "Invalid argument"],
  [24, "Too many open files"],
  [28, "No space left on device"],
  [34, "Numerical result out of range"],
  [53, "Invalid request descriptor"],
  [55, "No anode"],
  [71, "Protocol error"],
  [90, "Message too long"],
  [93, "Protocol not supported"],
  [95, "Operation not supported"],
  [96, "Protocol family not supported"],
  [97, "Address family not supported by protocol"],
  [98, "Address already in use"],
  [99, "Cannot assign requested address"],
  [105, "No buffer space available"],
  [110, "Connection timed out"],
  [111, "Connection refused"],
]);

/** What the C library says of an error number. */
export function errorText(errno: number): string {
  return ERROR_TEXTS.get(errno) ?? `Unknown error ${errno}`;
}

/** Why an operation of the system failed, null if it was not the system. */
export function failureText(error: unknown): string | null {
  if (error instanceof InterfaceError) return errorText(error.errno);
  if (error instanceof Deno.errors.NotFound) return errorText(2);
  if (error instanceof Deno.errors.PermissionDenied) return errorText(13);
  if (error instanceof Deno.errors.NotADirectory) return errorText(20);
  if (error instanceof Deno.errors.IsADirectory) return errorText(21);
  if (error instanceof Deno.errors.FilesystemLoop) return "Too many levels of symbolic links";
  if (error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset) return errorText(71);
  return null;
}

/** Does `task`; a failure of the system becomes `what: reason`, as C's perror writes it. */
export async function explaining<T>(what: string, task: () => T | Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    const text = failureText(error);
    if (text === null) throw error;
    throw new WgError(`${what}: ${text}`);
  }
}
