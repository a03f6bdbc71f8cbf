/** Network namespaces of the calling thread. Sockets and TUN devices belong to the one they were opened in. */
import { checked, SyscallError } from "./errno.ts";
import { close, O_RDONLY, open } from "./file.ts";
import { libc } from "./libc.ts";

const CLONE_NEWNET = 0x4000_0000;

/** This thread's own, and not `/proc/self`, which is the main thread's. */
const OWN_NAMESPACE = "/proc/thread-self/ns/net";

/** A descriptor of the calling thread's network namespace; the caller closes it. */
export function currentNamespace(): number {
  return open(OWN_NAMESPACE, O_RDONLY);
}

/** A descriptor of a namespace by path (`/run/netns/NAME`, `/proc/PID/ns/net`); the caller closes it. */
export function openNamespace(path: string): number {
  return open(path, O_RDONLY);
}

/**
 * A new network namespace with nothing but a loopback interface that is down. It lives as long as the descriptor, a
 * socket or a device in it; the caller closes the descriptor.
 *
 * @throws {SyscallError} EPERM without CAP_SYS_ADMIN
 */
export function createNamespace(): number {
  const home = currentNamespace();
  try {
    checked("unshare", libc().unshare(CLONE_NEWNET));
    try {
      return currentNamespace();
    } finally {
      comeBack(home);
    }
  } finally {
    close(home);
  }
}

/**
 * Moves the calling thread, and it alone, into a network namespace.
 *
 * Other threads of the process stay, among them those that run `nonblocking` calls and Deno's own network code: only
 * descriptors opened by synchronous calls of this thread belong to the new namespace.
 *
 * @throws {SyscallError} EPERM without CAP_SYS_ADMIN, EINVAL if `fd` is no network namespace
 */
export function setns(fd: number): void {
  checked("setns", libc().setns(fd, CLONE_NEWNET));
}

/**
 * Calls `f` with the calling thread in another network namespace, and comes back whatever happens.
 *
 * @param f synchronous, for anything later would run in the namespace of then; and it must start nothing asynchronous,
 * for a thread that the runtime creates for it would stay in the foreign namespace
 * @throws {SyscallError} from `setns`; then `f` was not called
 */
export function inNamespace<T>(fd: number, f: () => T): T {
  const home = currentNamespace();
  let result: T;
  try {
    setns(fd);
    try {
      result = f();
    } finally {
      comeBack(home);
    }
  } finally {
    close(home);
  }
  if (result instanceof Promise) throw new TypeError("What runs in another namespace must be synchronous");
  return result;
}

/** Deliberately replaces an error of `f`: a thread that is lost in a foreign namespace is the worse news. */
function comeBack(home: number): void {
  try {
    setns(home);
  } catch (error) {
    const number = error instanceof SyscallError ? error.errno : 0;
    throw new SyscallError("setns back", number, "the thread is left in another network namespace");
  }
}
