/**
 * Descriptors: open, read, write, flags, duplicates, ioctl.
 *
 * Deno's own file functions refuse `/proc`, `/sys` and `/dev` unless everything is allowed; these need `--allow-ffi`.
 * `open` and its like throw a SyscallError; `read` and `write`, whose failures are part of the normal course of a
 * non-blocking descriptor, return a negative errno.
 */
import { checked, EINTR, SyscallError } from "./errno.ts";
import { errno, libc } from "./libc.ts";
import { cString } from "./memory.ts";

export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0x40;
export const O_EXCL = 0x80;
export const O_TRUNC = 0x200;
export const O_APPEND = 0x400;
export const O_NONBLOCK = 0x800;
export const O_CLOEXEC = 0x80000;

const F_DUPFD_CLOEXEC = 1030;
const F_GETFD = 1;
const F_SETFD = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const FD_CLOEXEC = 1;

/** Opens a path, close-on-exec. @param mode permissions of a file that O_CREAT makes, before the umask */
export function open(path: string, flags: number, mode = 0o600): number {
  return checked(`open ${path}`, libc().open(cString(path), flags | O_CLOEXEC, mode));
}

/** Closes a descriptor; a failure is a fault of the caller (EBADF) or of the disk. */
export function close(fd: number): void {
  const result = libc().close(fd);
  // Linux has released the descriptor even when it reports EINTR.
  if (result < 0 && errno() !== EINTR) throw new SyscallError("close", errno());
}

/** @returns bytes read into the start of `into`, 0 at the end, or a negative errno */
export function read(fd: number, into: Uint8Array): number {
  const result = libc().read(fd, into as Uint8Array<ArrayBuffer>, into.length);
  return result < 0 ? -errno() : result;
}

/** @returns bytes written from the start of `from`, or a negative errno */
export function write(fd: number, from: Uint8Array): number {
  const result = libc().write(fd, from as Uint8Array<ArrayBuffer>, from.length);
  return result < 0 ? -errno() : result;
}

/** A whole file of unknown length, such as those under `/proc` and `/sys`. */
export function readFile(path: string): Uint8Array<ArrayBuffer> {
  const fd = open(path, O_RDONLY);
  try {
    let bytes = new Uint8Array(4096);
    let length = 0;
    for (;;) {
      const result = read(fd, bytes.subarray(length));
      if (result === -EINTR) continue;
      if (result < 0) throw new SyscallError(`read ${path}`, -result);
      if (result === 0) return bytes.slice(0, length);
      length += result;
      if (length === bytes.length) {
        const larger = new Uint8Array(2 * length);
        larger.set(bytes);
        bytes = larger;
      }
    }
  } finally {
    close(fd);
  }
}

/** A whole file as text. */
export function readTextFile(path: string): string {
  return new TextDecoder().decode(readFile(path));
}

/**
 * Writes an existing file, such as those under `/proc/sys`, in one call (those accept no second one).
 */
export function writeFile(path: string, content: Uint8Array | string): void {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const fd = open(path, O_WRONLY);
  try {
    const result = write(fd, bytes);
    if (result < 0) throw new SyscallError(`write ${path}`, -result);
    if (result !== bytes.length) throw new Error(`Cannot write ${path}: only ${result} of ${bytes.length} bytes taken`);
  } finally {
    close(fd);
  }
}

export function setNonBlocking(fd: number, on = true): void {
  const flags = checked("fcntl F_GETFL", libc().fcntl(fd, F_GETFL, 0));
  checked("fcntl F_SETFL", libc().fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
}

/** Whether children started by exec inherit the descriptor (`on` = they do not). */
export function setCloseOnExec(fd: number, on = true): void {
  const flags = checked("fcntl F_GETFD", libc().fcntl(fd, F_GETFD, 0));
  checked("fcntl F_SETFD", libc().fcntl(fd, F_SETFD, on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC));
}

/** Whether `fd` is open. */
export function isOpen(fd: number): boolean {
  return libc().fcntl(fd, F_GETFD, 0) >= 0;
}

/** A second descriptor of the same open file, close-on-exec, numbered `from` or higher. */
export function duplicate(fd: number, from = 3): number {
  return checked("fcntl F_DUPFD_CLOEXEC", libc().fcntl(fd, F_DUPFD_CLOEXEC, from));
}

/** Makes `target` the same open file as `fd`; `target` is closed first and survives exec. */
export function dup2(fd: number, target: number): void {
  checked("dup2", libc().dup2(fd, target));
}

/** A pipe, close-on-exec. @param flags O_NONBLOCK or 0 */
export function pipe(flags = 0): { readFd: number; writeFd: number } {
  const pair = new Int32Array(2);
  checked("pipe2", libc().pipe2(pair, flags | O_CLOEXEC));
  return { readFd: pair[0], writeFd: pair[1] };
}

/** Whether `fd` is a terminal. */
export function isatty(fd: number): boolean {
  return libc().isatty(fd) === 1;
}

/**
 * ioctl with a structure. @param name for the error @returns the call's non-negative result
 */
export function ioctl(name: string, fd: number, request: number, argument: Uint8Array): number {
  return checked(`ioctl ${name}`, libc().ioctl(fd, BigInt(request), argument as Uint8Array<ArrayBuffer>));
}

/** ioctl with a plain number. */
export function ioctlValue(name: string, fd: number, request: number, value: number): number {
  return checked(`ioctl ${name}`, libc().ioctlValue(fd, BigInt(request), BigInt(value)));
}
