/**
 * Memory that was given back to the C library is not yet given back to the system: what a large request leaves behind
 * lies in holes between what stays, and the library keeps holes of any size for later.
 */
import { libc } from "../ffi/libc.ts";

/**
 * Gives the system back what the C library keeps unused, of all threads: about 2 ms, during which threads that need
 * memory of the library wait. Does nothing with a C library that cannot.
 */
export function releaseFreeMemory(): void {
  libc().malloc_trim?.(0n);
}
