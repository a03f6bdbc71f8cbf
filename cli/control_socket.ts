/** The control socket of an interface, of our own making or handed to us listening. */
import { DescriptorListener, SocketFile, type UapiListener, UapiSocket, uapiSocketPath } from "../mod.ts";
import { OperatorError } from "./errors.ts";

export interface ControlSocket {
  /** Closing it again does nothing. */
  readonly listener: UapiListener;
  /** Null if a socket that was handed to us has none at the usual place. */
  readonly file: SocketFile | null;
}

/**
 * Binds the socket of an interface.
 *
 * @throws {OperatorError}
 */
export async function bindControlSocket(name: string): Promise<ControlSocket> {
  try {
    const listener = await UapiSocket.bind(name);
    return { listener, file: listener.file };
  } catch (error) {
    throw bindFailure(uapiSocketPath(name), error);
  }
}

/**
 * Takes over a listening socket.
 *
 * @throws {OperatorError}
 */
export function adoptControlSocket(name: string, descriptor: number): ControlSocket {
  try {
    return { listener: new DescriptorListener(descriptor), file: SocketFile.at(uapiSocketPath(name)) };
  } catch (error) {
    if (!(error instanceof Error) || error instanceof Deno.errors.NotCapable) throw error;
    throw new OperatorError(`descriptor ${descriptor} is not a listening unix socket; check WG_UAPI_FD`);
  }
}

function bindFailure(path: string, error: unknown): unknown {
  if (error instanceof Deno.errors.AddrInUse) {
    return new OperatorError(`${path} is in use by another program; end that program, or choose another name`);
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return new OperatorError(`not allowed to make ${path}; run as root`);
  }
  if (!(error instanceof Error) || error instanceof Deno.errors.NotCapable) return error;
  return new OperatorError(`cannot make ${path}: ${error.message}; is its directory writable?`);
}
