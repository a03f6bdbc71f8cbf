/** `culvert IFNAME`: one interface, from its first moment to its last. */
import {
  adoptInterface,
  Configuration,
  createInterface,
  DEFAULT_MTU,
  defaultThreads,
  hardenProcess,
  interfaceIndex,
  realSuite,
  releaseFreeMemory,
  releaseInterface,
  reportReady,
  setUpLink,
  SupervisedPlane,
  type TunnelInterface,
  UapiServer,
} from "../mod.ts";
import type { Environment } from "./environment.ts";
import { OperatorError } from "./errors.ts";
import { KeyLogFile } from "./key_log_file.ts";
import { EndpointService } from "./endpoint_service.ts";
import { type Log, prefixLog, startLog } from "./log.ts";
import { adoptControlSocket, bindControlSocket } from "./control_socket.ts";

export interface InterfaceOptions {
  readonly name: string;
  readonly foreground: boolean;
  readonly keyLogFile: string | null;
  readonly carrier: "auto" | "batch" | "datagram";
  readonly engine: string;
  readonly usesOffload: boolean;
  /** Null chooses by the number of cores. */
  readonly threads: number | null;
  readonly environment: Environment;
}

const END_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Serves the interface until it ends. Everything that was opened is closed again, however this ends, in reverse order. */
export async function serveInterface(options: InterfaceOptions): Promise<void> {
  const { environment, foreground } = options;
  hardenProcess(`culvert ${options.name}`);
  await using opened = new AsyncDisposableStack();
  const end = new End();
  opened.defer(() => end.ignoreSignals());
  const keyLog = options.keyLogFile === null ? null : KeyLogFile.open(options.keyLogFile);
  opened.defer(() => keyLog?.close());

  const threads = threadsOf(options);
  const { tunFd } = environment;
  const tunnel = tunFd === null ? createInterface(options.name, threads) : adoptInterface(tunFd);
  opened.defer(() => releaseInterface(tunnel));
  const programLog = startLog(environment.logLevel);
  const log = prefixLog(programLog, tunnel.name);
  if (tunnel.furtherFds.length + 1 < threads) log.info("the TUN device has a single queue: 1 thread");
  setUpLink(tunnel, DEFAULT_MTU, log.debug);

  const { uapiFd } = environment;
  const socket = uapiFd === null ? await bindControlSocket(tunnel.name) : adoptControlSocket(tunnel.name, uapiFd);
  opened.defer(() => socket.listener.close());
  // A socket that was handed to us does not remove its file itself.
  opened.defer(() => socket.file?.remove());
  const plane = await startPlane(tunnel, options, keyLog, programLog);
  opened.defer(() => plane.stop());
  plane.onTunnelGone = () => end.because("the interface is gone");

  const configuration = new Configuration({ suite: realSuite, target: plane, log });
  const endpoints = new EndpointService(configuration, plane, tunnel.name, log);
  opened.defer(() => endpoints.close());
  plane.onRestart = () =>
    void configuration.restore().then(() => endpoints.tellAnew())
      .catch((error) => log.error(`cannot tell the new workers everything: ${error}`));
  const server = new UapiServer(socket.listener, configuration, {
    log,
    interfaceIndex,
    releaseMemory: releaseFreeMemory,
  });
  opened.defer(() => server.close());
  const watch = socket.file?.watch(() => end.because("the control socket was removed"));
  opened.defer(() => watch?.close());

  log.debug(`ready; ${plane.carrier} carrier, threads: ${tunnel.furtherFds.length + 1}`);
  if (environment.detached && !foreground) reportReady(environment.keepsLog);
  log.debug(`ending: ${await end.reason}`);
  if (plane.failure !== null) {
    throw new OperatorError(`the data plane of ${tunnel.name} broke down: ${plane.failure.message}; start it again`);
  }
}

/** The datagram carrier has one. */
function threadsOf({ threads, carrier }: InterfaceOptions): number {
  return carrier === "datagram" ? 1 : threads ?? defaultThreads(navigator.hardwareConcurrency);
}

async function startPlane(
  tunnel: TunnelInterface,
  options: InterfaceOptions,
  keyLog: KeyLogFile | null,
  log: Log,
): Promise<SupervisedPlane> {
  try {
    const plane = await SupervisedPlane.start({
      tunFd: tunnel.fd,
      furtherTunFds: tunnel.furtherFds,
      hasVnetHeader: tunnel.hasVnetHeader,
      interfaceName: tunnel.name,
      carrier: options.carrier,
      engine: options.engine,
      usesOffload: options.usesOffload,
      keyLog: keyLog !== null,
      debug: options.environment.logLevel === "debug",
      log,
    });
    if (keyLog !== null) plane.onKeyLog = (lines) => keyLog.append(lines);
    return plane;
  } catch (error) {
    if (!(error instanceof Error) || error instanceof Deno.errors.NotCapable) throw error;
    throw new OperatorError(`cannot start the data plane of ${tunnel.name}: ${error.message}`);
  }
}

/** What an interface waits for: the first reason to end. */
class End {
  readonly #reason = Promise.withResolvers<string>();
  readonly #listeners = END_SIGNALS.map((signal) => ({ signal, listen: () => this.because(signal) }));

  constructor() {
    for (const { signal, listen } of this.#listeners) Deno.addSignalListener(signal, listen);
  }

  get reason(): Promise<string> {
    return this.#reason.promise;
  }

  because(reason: string): void {
    this.#reason.resolve(reason);
  }

  ignoreSignals(): void {
    for (const { signal, listen } of this.#listeners) Deno.removeSignalListener(signal, listen);
  }
}
