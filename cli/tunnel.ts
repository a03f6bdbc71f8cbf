/** What bringing tunnels up and taking them down share. */
import { SocketFile } from "../control/socket_file.ts";
import { isUapiServed, uapiSocketPath } from "../control/uapi_socket.ts";
import { InterfaceError } from "../control/interface_client.ts";
import { HostError } from "../host/host_error.ts";
import { OperatorError } from "./errors.ts";
import { printError } from "./output.ts";
import { errorText, WgError } from "./wg_errors.ts";

/** How long an interface's process may take to end once its interface is gone. */
const END_TIMEOUT = 2_000;
const END_INTERVAL = 20;

/** What a command says while it works. */
export interface Teller {
  /** What is done next. */
  step(what: string): void;
  warn(message: string): void;
}

/** On stderr; steps as wg-quick marks them. @param program who warns */
export function startTeller(program: string): Teller {
  return {
    step: (what) => printError(`[#] ${what}\n`),
    warn: (message) => printError(`${program}: ${message}\n`),
  };
}

/** Faults of the host and the interface become the operator's; others are thrown. */
export function asOperatorError(error: unknown): OperatorError {
  if (error instanceof OperatorError) return error;
  if (error instanceof HostError || error instanceof WgError) return new OperatorError(error.message);
  if (error instanceof InterfaceError) {
    return new OperatorError(`cannot reach the interface: ${errorText(error.errno)}`);
  }
  if (error instanceof Error && error.name === "SyscallError") return new OperatorError(error.message);
  throw error;
}

/**
 * Waits until nobody serves the interface's control socket, and removes what a process that was killed left of it. An
 * interface that a hook has moved out of reach ends when its socket is removed.
 */
export async function awaitEnd(name: string): Promise<void> {
  const path = uapiSocketPath(name);
  const deadline = performance.now() + END_TIMEOUT;
  while (performance.now() < deadline && await isUapiServed(path)) {
    await new Promise((resolve) => setTimeout(resolve, END_INTERVAL));
  }
  const file = SocketFile.at(path);
  if (file?.isSocket) file.remove();
}

/** @throws {OperatorError} without the rights that it takes */
export function requireRoot(verb: string): void {
  if (Deno.uid() !== 0) throw new OperatorError(`${verb} changes this host; run it as root: sudo culvert ${verb} …`);
}
