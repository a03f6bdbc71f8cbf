/**
 * Unix stream sockets by descriptor: servers that may be handed to us open (`WG_UAPI_FD`), and clients.
 *
 * struct sockaddr_un: family u16 | path, NUL-terminated, at most 107 bytes.
 */
import { checked, EAGAIN, ECONNREFUSED, EINTR, EINVAL, ENAMETOOLONG, SyscallError } from "./errno.ts";
import { close, setCloseOnExec, setNonBlocking } from "./file.ts";
import { errno, libc } from "./libc.ts";
import { cString } from "./memory.ts";
import {
  AF_UNIX,
  createSocket,
  getOption,
  MSG_NOSIGNAL,
  SO_ACCEPTCONN,
  SO_DOMAIN,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from "./socket.ts";

const SOCKADDR_UN_PATH = 2;
const SOCKADDR_UN_BYTES = 110;

/**
 * Binds a path and listens on it. The socket file's rights are 0777 less the umask.
 *
 * @throws {SyscallError} EADDRINUSE if the path exists
 */
export function listenUnix(path: string, backlog = 128): number {
  const address = unixAddress(path);
  const fd = createSocket(AF_UNIX, SOCK_STREAM);
  try {
    checked(`bind ${path}`, libc().bind(fd, address, address.length));
    checked(`listen ${path}`, libc().listen(fd, backlog));
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * Takes over a listening unix socket that another process opened: makes it non-blocking and close-on-exec.
 *
 * @throws {SyscallError} ENOTSOCK, or EINVAL if it is another kind of socket
 */
export function adoptUnixListener(fd: number): void {
  const isUnix = getOption("SO_DOMAIN", fd, SOL_SOCKET, SO_DOMAIN) === AF_UNIX;
  if (!isUnix || getOption("SO_ACCEPTCONN", fd, SOL_SOCKET, SO_ACCEPTCONN) !== 1) {
    throw new SyscallError(`descriptor ${fd}`, EINVAL, "not a listening unix socket");
  }
  setNonBlocking(fd);
  setCloseOnExec(fd);
}

/** @returns a new connection's descriptor (non-blocking, close-on-exec), or a negative errno: -EAGAIN if none waits */
export function acceptUnix(fd: number): number {
  const result = libc().accept4(fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);
  return result < 0 ? -errno() : result;
}

/**
 * Connects to a path. Unix connections complete at once, or fail with EAGAIN when the listener's queue is full.
 *
 * @throws {SyscallError} ENOENT, ECONNREFUSED (a stale file), EAGAIN, EACCES
 */
export function connectUnix(path: string): number {
  const address = unixAddress(path);
  const fd = createSocket(AF_UNIX, SOCK_STREAM);
  try {
    checked(`connect ${path}`, libc().connect(fd, address, address.length));
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/**
 * Whether somebody accepts connections at `path`; a full queue counts as somebody. False for a socket file that a dead
 * process left, and for a file that is no socket.
 *
 * @throws {SyscallError} ENOENT if there is nothing at all, EACCES
 */
export function isUnixServed(path: string): boolean {
  try {
    close(connectUnix(path));
    return true;
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    if (error.errno === EAGAIN) return true;
    if (error.errno === ECONNREFUSED) return false;
    throw error;
  }
}

/** @returns bytes received into the start of `into`, 0 when the other end has closed, or a negative errno */
export function receiveUnix(fd: number, into: Uint8Array): number {
  for (;;) {
    const result = libc().recv(fd, into as Uint8Array<ArrayBuffer>, into.length, 0);
    if (result >= 0) return result;
    if (errno() !== EINTR) return -errno();
  }
}

/** @returns bytes taken from the start of `from`, or a negative errno; -EPIPE instead of a signal */
export function sendUnix(fd: number, from: Uint8Array): number {
  for (;;) {
    const result = libc().send(fd, from as Uint8Array<ArrayBuffer>, from.length, MSG_NOSIGNAL);
    if (result >= 0) return result;
    if (errno() !== EINTR) return -errno();
  }
}

/**
 * Sends one datagram to a unix socket.
 *
 * @param path a leading NUL stands for an abstract socket
 * @throws {SyscallError} ENOENT, ECONNREFUSED, EAGAIN if nobody reads
 */
export function sendUnixDatagram(path: string, bytes: Uint8Array<ArrayBuffer>): void {
  const address = path.startsWith("\0") ? abstractAddress(path) : unixAddress(path);
  const fd = createSocket(AF_UNIX, SOCK_DGRAM);
  try {
    const result = libc().sendto(fd, bytes, bytes.length, MSG_NOSIGNAL, address, address.length);
    checked("send to unix socket", result);
  } finally {
    close(fd);
  }
}

/** Without a NUL at the end, which would belong to the name. */
function abstractAddress(path: string): Uint8Array<ArrayBuffer> {
  const named = unixAddress(`@${path.slice(1)}`);
  named[SOCKADDR_UN_PATH] = 0;
  return named.slice(0, -1);
}

function unixAddress(path: string): Uint8Array<ArrayBuffer> {
  const bytes = cString(path);
  if (path === "") throw new SyscallError("unix socket path", EINVAL);
  if (SOCKADDR_UN_PATH + bytes.length > SOCKADDR_UN_BYTES) throw new SyscallError(`unix socket ${path}`, ENAMETOOLONG);
  const address = new Uint8Array(SOCKADDR_UN_PATH + bytes.length);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(bytes, SOCKADDR_UN_PATH);
  return address;
}
