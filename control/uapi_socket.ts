/**
 * The control socket in the file system: `/var/run/wireguard/NAME.sock`, for root alone. A socket file that nobody
 * serves is replaced; ours is removed when we end.
 */
import { SocketFile } from "./socket_file.ts";
import type { UapiConnection, UapiListener } from "./uapi_server.ts";

/** Where `wg` and every userspace WireGuard look. */
export const UAPI_DIRECTORY = "/var/run/wireguard";

const SUFFIX = ".sock";

/** The path of an interface's socket. @throws {RangeError} for a name that is not 1–15 of `[a-zA-Z0-9_=+.-]` */
export function uapiSocketPath(name: string, directory: string = UAPI_DIRECTORY): string {
  if (!/^[a-zA-Z0-9_=+.-]{1,15}$/.test(name) || name === "." || name === "..") {
    throw new RangeError(`Cannot use "${name}" as an interface name`);
  }
  return `${directory}/${name}${SUFFIX}`;
}

/** Names of all interfaces with a socket file, served or not, in alphabetical order. */
export async function uapiSocketNames(directory: string = UAPI_DIRECTORY): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(directory)) {
      if (entry.name.endsWith(SUFFIX)) names.push(entry.name.slice(0, -SUFFIX.length));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names.sort();
}

/** Whether a process listens at the path; a listener whose queue is full counts. */
export async function isUapiServed(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused || error instanceof Deno.errors.NotFound) return false;
    if (error instanceof Deno.errors.WouldBlock) return true;
    throw error;
  }
}

/** A listening control socket that this process bound. */
export class UapiSocket implements UapiListener {
  readonly file: SocketFile;
  readonly #listener: Deno.UnixListener;
  #closed = false;

  private constructor(file: SocketFile, listener: Deno.UnixListener) {
    this.file = file;
    this.#listener = listener;
  }

  /**
   * Creates the directory if needed and listens. The process's umask is changed for the moment of it.
   *
   * @throws {Deno.errors.AddrInUse} if another process serves this name, or its path is not a socket
   */
  static async bind(name: string, directory: string = UAPI_DIRECTORY): Promise<UapiSocket> {
    const path = uapiSocketPath(name, directory);
    withUmask(0o022, () => Deno.mkdirSync(directory, { recursive: true, mode: 0o755 }));
    const listener = tryListen(path) ?? await replaceStale(path);
    const file = SocketFile.at(path);
    if (file !== null) return new UapiSocket(file, listener);
    listener.close();
    throw new Deno.errors.NotFound(`Cannot listen on ${path}: it was removed at once`);
  }

  async accept(): Promise<UapiConnection | null> {
    if (this.#closed) return null;
    try {
      return await this.#listener.accept();
    } catch (error) {
      if (this.#closed) return null;
      throw error;
    }
  }

  /** Stops listening and removes the file if it is still ours. */
  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    this.#listener.close();
    this.file.remove();
    return Promise.resolve();
  }
}

/**
 * Listens at a name of our own and gives the socket its real name only then. So nobody ever finds a socket that does
 * not answer yet (`wg` would delete it), and Deno, which unlinks the name it bound when the listener is closed, cannot
 * unlink a file that has come to our path meanwhile.
 *
 * @returns null if the path exists
 */
function tryListen(path: string): Deno.UnixListener | null {
  const slash = path.lastIndexOf("/");
  const ownPath = `${path.slice(0, slash)}/.${path.slice(slash + 1)}.${crypto.randomUUID().slice(0, 8)}`;
  const listener = withUmask(0o077, () => Deno.listen({ transport: "unix", path: ownPath }));
  try {
    Deno.linkSync(ownPath, path);
    Deno.removeSync(ownPath);
    return listener;
  } catch (error) {
    listener.close();
    SocketFile.at(ownPath)?.remove();
    if (error instanceof Deno.errors.AlreadyExists) return null;
    throw error;
  }
}

async function replaceStale(path: string): Promise<Deno.UnixListener> {
  const found = SocketFile.at(path);
  if (found !== null && !found.isSocket) {
    throw new Deno.errors.AddrInUse(`Cannot listen on ${path}: it is not a socket`);
  }
  const isServed = found !== null && await isUapiServed(path);
  // Only the very file that refused is removed: another process may have replaced it meanwhile.
  if (!isServed) found?.remove();
  const listener = isServed ? null : tryListen(path);
  if (listener === null) throw new Deno.errors.AddrInUse(`Cannot listen on ${path}: it is in use`);
  return listener;
}

function withUmask<T>(mask: number, f: () => T): T {
  const former = Deno.umask(mask);
  try {
    return f();
  } finally {
    Deno.umask(former);
  }
}
