/** Failed system calls as errors: which call, which errno, and words for it. */
import { errno } from "./libc.ts";

export const EPERM = 1;
export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EFAULT = 14;
export const EBUSY = 16;
export const EEXIST = 17;
export const ENODEV = 19;
export const ENOTDIR = 20;
export const EINVAL = 22;
export const EMFILE = 24;
export const ENOTTY = 25;
export const ENOSPC = 28;
export const EROFS = 30;
export const EPIPE = 32;
export const ERANGE = 34;
export const ENAMETOOLONG = 36;
export const EPROTO = 71;
export const EBADFD = 77;
export const ENOTSOCK = 88;
export const EMSGSIZE = 90;
export const EPROTONOSUPPORT = 93;
export const EOPNOTSUPP = 95;
export const EAFNOSUPPORT = 97;
export const EADDRINUSE = 98;
export const EADDRNOTAVAIL = 99;
export const ENETDOWN = 100;
export const ENETUNREACH = 101;
export const ECONNRESET = 104;
export const ENOBUFS = 105;
export const ENOTCONN = 107;
export const ETIMEDOUT = 110;
export const ECONNREFUSED = 111;
export const EHOSTUNREACH = 113;
export const EINPROGRESS = 115;

/** Name and meaning by number; x86-64 and arm64 agree. */
const MEANINGS: ReadonlyMap<number, readonly [string, string]> = new Map([
  [EPERM, ["EPERM", "not permitted"]],
  [ENOENT, ["ENOENT", "does not exist"]],
  [ESRCH, ["ESRCH", "no such process or entry"]],
  [EINTR, ["EINTR", "interrupted by a signal"]],
  [EIO, ["EIO", "input/output error"]],
  [ENXIO, ["ENXIO", "no such device or address"]],
  [EBADF, ["EBADF", "not an open descriptor"]],
  [EAGAIN, ["EAGAIN", "not ready"]],
  [ENOMEM, ["ENOMEM", "out of memory"]],
  [EACCES, ["EACCES", "access denied"]],
  [EFAULT, ["EFAULT", "bad address"]],
  [EBUSY, ["EBUSY", "in use"]],
  [EEXIST, ["EEXIST", "exists already"]],
  [ENODEV, ["ENODEV", "no such device"]],
  [ENOTDIR, ["ENOTDIR", "not a directory"]],
  [EINVAL, ["EINVAL", "invalid argument"]],
  [EMFILE, ["EMFILE", "too many open files"]],
  [ENOTTY, ["ENOTTY", "not possible on this kind of descriptor"]],
  [ENOSPC, ["ENOSPC", "no space left"]],
  [EROFS, ["EROFS", "read-only file system"]],
  [EPIPE, ["EPIPE", "the other end is closed"]],
  [ERANGE, ["ERANGE", "out of range"]],
  [ENAMETOOLONG, ["ENAMETOOLONG", "name too long"]],
  [EPROTO, ["EPROTO", "protocol error"]],
  [EBADFD, ["EBADFD", "descriptor in a bad state"]],
  [ENOTSOCK, ["ENOTSOCK", "not a socket"]],
  [EMSGSIZE, ["EMSGSIZE", "message too long"]],
  [EPROTONOSUPPORT, ["EPROTONOSUPPORT", "protocol not supported"]],
  [EOPNOTSUPP, ["EOPNOTSUPP", "not supported"]],
  [EAFNOSUPPORT, ["EAFNOSUPPORT", "address family not supported"]],
  [EADDRINUSE, ["EADDRINUSE", "address in use"]],
  [EADDRNOTAVAIL, ["EADDRNOTAVAIL", "address not available"]],
  [ENETDOWN, ["ENETDOWN", "network is down"]],
  [ENETUNREACH, ["ENETUNREACH", "network unreachable"]],
  [ECONNRESET, ["ECONNRESET", "connection reset"]],
  [ENOBUFS, ["ENOBUFS", "no buffer space"]],
  [ENOTCONN, ["ENOTCONN", "not connected"]],
  [ETIMEDOUT, ["ETIMEDOUT", "timed out"]],
  [ECONNREFUSED, ["ECONNREFUSED", "connection refused"]],
  [EHOSTUNREACH, ["EHOSTUNREACH", "host unreachable"]],
  [EINPROGRESS, ["EINPROGRESS", "in progress"]],
]);

/** The symbolic name (`EBUSY`), or `E<number>` where this table has none. */
export function errnoName(number: number): string {
  return MEANINGS.get(number)?.[0] ?? `E${number}`;
}

/** A system call failed. `message` names the call and the reason and holds nothing secret. */
export class SyscallError extends Error {
  override readonly name = "SyscallError";
  /** The call, with what it was called on where that helps: `open /dev/net/tun`. */
  readonly call: string;
  /** Positive. */
  readonly errno: number;
  /** Symbolic name of errno. */
  readonly code: string;

  /**
   * @param number errno, positive
   * @param detail what the kernel said beyond errno
   */
  constructor(call: string, number: number, detail = "") {
    const code = errnoName(number);
    const meaning = detail === "" ? MEANINGS.get(number)?.[1] ?? "system call failed" : detail;
    super(`${call}: ${meaning} (${code})`);
    this.call = call;
    this.errno = number;
    this.code = code;
  }
}

/**
 * The result of the call that was just made.
 *
 * @throws {SyscallError} if it is negative
 */
export function checked(call: string, result: number): number {
  if (result < 0) throw new SyscallError(call, errno());
  return result;
}
