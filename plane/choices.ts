/** What of the data plane an operator can choose, apart from it: the command line knows it without loading the rest. */

/** What `--engine` takes. */
export const ENGINE_NAMES: readonly string[] = [
  "auto",
  "kernel",
  "kernel-wide",
  "kernel-wide-arithmetic",
  "native",
  "noble",
];

/** What `--threads` takes at most: each worker of a device has RECEIVE_SLOTS of the tables' scratch endpoints. */
export const MAX_THREADS = 8;
