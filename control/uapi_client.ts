/**
 * Talks to the control socket of a running interface, ours or any other userspace WireGuard's, as `wg` does.
 * Errors name the interface and the error number, never a value.
 */
import { wipe } from "../crypto/bytes.ts";
import { EPROTO, serializeSet, type SetStatement } from "./uapi_request.ts";
import { isUapiServed, UAPI_DIRECTORY, uapiSocketNames, uapiSocketPath } from "./uapi_socket.ts";
import { type DeviceStatus, ReplyReader, StatusReader, type TakeValue, wipeStatus } from "./uapi_status.ts";

/** An interface refused a request or answered nonsense. */
export class UapiError extends Error {
  override readonly name = "UapiError";
  /** Positive, as Linux counts. */
  readonly errno: number;

  constructor(interfaceName: string, operation: "get" | "set", errno: number) {
    const what = operation === "get" ? "read the configuration of" : "configure";
    super(`Cannot ${what} ${interfaceName}: ${errno === EPROTO ? "protocol error" : `error ${errno}`}`);
    this.errno = errno;
  }
}

/** Interfaces whose control socket accepts connections, in alphabetical order. */
export async function listInterfaces(directory: string = UAPI_DIRECTORY): Promise<string[]> {
  const names: string[] = [];
  for (const name of await uapiSocketNames(directory)) {
    if (await isUapiServed(`${directory}/${name}.sock`)) names.push(name);
  }
  return names;
}

/**
 * The configuration and counters of an interface. `wipeStatus` erases its keys.
 *
 * @throws {UapiError} what the interface answered
 * @throws {Deno.errors.NotFound | Deno.errors.ConnectionRefused} without such an interface
 */
export async function getDevice(name: string, directory: string = UAPI_DIRECTORY): Promise<DeviceStatus> {
  const status = new StatusReader();
  try {
    const errno = await exchange(
      name,
      directory,
      new TextEncoder().encode("get=1\n\n"),
      (...line) => status.line(...line),
    );
    if (errno !== 0) throw new UapiError(name, "get", errno);
    return status.device;
  } catch (error) {
    wipeStatus(status.device);
    throw error;
  }
}

/**
 * Sends one set request. The statements remain the caller's.
 *
 * @throws {UapiError} what the interface answered
 */
export async function setDevice(
  name: string,
  statements: readonly SetStatement[],
  directory: string = UAPI_DIRECTORY,
): Promise<void> {
  const errno = await exchange(name, directory, serializeSet(statements), () => true);
  if (errno !== 0) throw new UapiError(name, "set", errno);
}

/** Sends a request, erases it, and hands the reply's lines to `take`. @returns the positive error number, or 0 */
async function exchange(name: string, directory: string, request: Uint8Array, take: TakeValue): Promise<number> {
  const buffer = new Uint8Array(64 * 1024);
  let connection: Deno.UnixConn | undefined;
  const reply = new ReplyReader(take);
  try {
    connection = await Deno.connect({ transport: "unix", path: uapiSocketPath(name, directory) });
    for (let sent = 0; sent < request.length;) sent += await connection.write(request.subarray(sent));
    while (reply.errno === -1) {
      const read = await connection.read(buffer);
      if (read === null) return EPROTO;
      reply.feed(buffer, read);
    }
    return reply.errno;
  } finally {
    connection?.close();
    wipe(request, buffer);
    reply.wipe();
  }
}
