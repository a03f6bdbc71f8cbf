/**
 * The one door to libc: a single `dlopen`, at first use, so that whatever needs no system call needs no `--allow-ffi`.
 *
 * Types are chosen by measured cost per call (Deno 2.9): i32, u32 and `buffer` take 5–15 ns, `usize` given a BigInt
 * 7 ns, `usize` given a number 100 ns. So hot calls declare a `size_t` as u32 and only cold ones use `usize`. That counts
 * on the upper half of the register being zero: the ABI does not promise it, but 32-bit values that V8 computes are so
 * on x86-64 and arm64 as long as they come from constants, lengths and typed arrays. Pass nothing else as a length.
 * A name ending in `At` takes an address where the plain one takes a buffer.
 *
 * The variadic functions (`open`, `fcntl`, `ioctl`, `prctl`) are called like fixed ones: on x86-64 and arm64 Linux both
 * kinds pass integers in the same registers.
 *
 * Shared memory works wherever a buffer is wanted, but Deno before 2.9 does not say so in its types: hence the casts to
 * `Uint8Array<ArrayBuffer>` where these functions are called.
 *
 * A call marked `nonblocking` runs on another thread: its errno is lost.
 */
const SYMBOLS = {
  // Descriptors.
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  readAt: { name: "read", parameters: ["i32", "usize", "u32"], result: "i32" },
  readv: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  readvAt: { name: "readv", parameters: ["i32", "usize", "i32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  writeAt: { name: "write", parameters: ["i32", "usize", "u32"], result: "i32" },
  writev: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  writevAt: { name: "writev", parameters: ["i32", "usize", "i32"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  dup2: { parameters: ["i32", "i32"], result: "i32" },
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  isatty: { parameters: ["i32"], result: "i32" },
  ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  ioctlValue: { name: "ioctl", parameters: ["i32", "usize", "usize"], result: "i32" },

  // Waiting and time.
  poll: { parameters: ["buffer", "u32", "i32"], result: "i32" },
  pollAsync: { name: "poll", parameters: ["buffer", "u32", "i32"], result: "i32", nonblocking: true },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  timerfd_create: { parameters: ["i32", "i32"], result: "i32" },
  timerfd_settime: { parameters: ["i32", "i32", "buffer", "buffer"], result: "i32" },
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },

  // Sockets.
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  send: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  recvfrom: { parameters: ["i32", "buffer", "u32", "i32", "buffer", "buffer"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "u32", "i32", "buffer", "u32"], result: "i32" },
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  sendmsgAt: { name: "sendmsg", parameters: ["i32", "usize", "i32"], result: "i32" },
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  sendmmsg: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  sendmmsgAt: { name: "sendmmsg", parameters: ["i32", "usize", "u32", "i32"], result: "i32" },
  recvmmsg: { parameters: ["i32", "buffer", "u32", "i32", "buffer"], result: "i32" },
  recvmmsgAt: { name: "recvmmsg", parameters: ["i32", "usize", "u32", "i32", "buffer"], result: "i32" },

  // The process and its namespaces.
  setns: { parameters: ["i32", "i32"], result: "i32" },
  unshare: { parameters: ["i32"], result: "i32" },
  setsid: { parameters: [], result: "i32" },
  umask: { parameters: ["u32"], result: "u32" },
  kill: { parameters: ["i32", "i32"], result: "i32" },
  getpid: { parameters: [], result: "i32" },
  getppid: { parameters: [], result: "i32" },
  geteuid: { parameters: [], result: "u32" },
  prctl: { parameters: ["i32", "usize", "usize", "usize", "usize"], result: "i32" },
  execve: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },

  /** Gives the system back what `free` keeps; musl has no such function. */
  malloc_trim: { parameters: ["usize"], result: "i32", optional: true },

  // errno of the calling thread; the name is the same in glibc and musl.
  __errno_location: { parameters: [], result: "pointer" },
} as const;

/** The functions of libc that culvert uses. */
export type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** glibc's name first; musl is its own dynamic linker and goes by the machine's name. */
const NAMES: readonly string[] = ["libc.so.6", `libc.musl-${Deno.build.arch}.so.1`];

let opened: Libc | null = null;
let errnoCell: Int32Array | null = null;

/** The functions of libc, opened at the first call of this thread. */
export function libc(): Libc {
  return opened ?? openLibc();
}

/**
 * errno of this thread's last failed call. Read it before anything else calls libc; it is not reset by success, and it
 * knows nothing of `nonblocking` calls.
 */
export function errno(): number {
  return errnoCell === null ? 0 : errnoCell[0];
}

function openLibc(): Libc {
  if (Deno.build.os !== "linux") throw new Error(`Cannot use libc on ${Deno.build.os}: only Linux is supported`);
  let failure: unknown;
  for (const name of NAMES) {
    try {
      const symbols = Deno.dlopen(name, SYMBOLS).symbols;
      const location = symbols.__errno_location();
      if (location === null) throw new Error("Cannot find errno");
      errnoCell = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(location, 4));
      opened = symbols;
      return symbols;
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      failure = error;
    }
  }
  throw new Error(`Cannot open libc as ${NAMES.join(" or ")}`, { cause: failure });
}
