/**
 * `culvert IFNAME`, up to where the interface begins: in the background by a child, in the foreground by this process, if
 * need be started anew with V8's flags. Apart from the interface, whose code takes longer to load than all this to run.
 */
import { HostError } from "../host/host_error.ts";
import { continueInBackground, restartWithV8Flags } from "../host/process.ts";
import { wantedV8Flags } from "../plane/v8_flags.ts";
import { DETACHED } from "./environment.ts";
import { OperatorError } from "./errors.ts";
import type { InterfaceOptions } from "./interface.ts";

/**
 * Starts the interface and, in the foreground, serves it until it ends.
 *
 * @returns the exit code: in the background 0 as soon as the control socket accepts
 */
export async function runInterface(options: InterfaceOptions): Promise<number> {
  const { environment, foreground } = options;
  const v8Flags = wantedV8Flags(options.engine);
  try {
    if (!foreground && !environment.detached) {
      const descriptors = [environment.tunFd, environment.uapiFd].filter((fd) => fd !== null);
      return await continueInBackground({ marker: DETACHED, descriptors, keepStderr: environment.keepsLog, v8Flags });
    }
    if (!environment.detached) restartWithV8Flags(v8Flags);
    const { serveInterface } = await import("./interface.ts");
    await serveInterface(options);
    return 0;
  } catch (error) {
    if (error instanceof HostError) throw new OperatorError(error.message);
    throw error;
  }
}
