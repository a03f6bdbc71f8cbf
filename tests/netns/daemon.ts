/** One running WireGuard daemon and its interface, spoken to by the real `wg` and, raw, over its control socket. */

import { type Host, uniqueInterface } from "./lab.ts";
import { exists, isRunning, kill, must, type Output, readText, run, waitFor } from "./process.ts";
import type { Implementation } from "./implementation.ts";

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly name?: string;
  /** Further arguments before the interface name. */
  readonly args?: readonly string[];
}

/** A line of `wg show … dump`. */
export interface PeerState {
  readonly publicKey: string;
  readonly presharedKey: string;
  readonly endpoint: string;
  readonly allowedIps: readonly string[];
  /** Unix seconds, 0 = never. */
  readonly latestHandshake: number;
  readonly received: number;
  readonly sent: number;
  readonly keepalive: string;
}

export interface InterfaceState {
  readonly publicKey: string;
  readonly listenPort: number;
  readonly fwmark: string;
  readonly peers: readonly PeerState[];
}

export class Daemon {
  readonly host: Host;
  readonly interfaceName: string;
  readonly pid: number;
  readonly #log: () => string;

  constructor(host: Host, interfaceName: string, pid: number, log: () => string) {
    this.host = host;
    this.interfaceName = interfaceName;
    this.pid = pid;
    this.#log = log;
  }

  /** Starts it as wg-quick does: the command returns by itself and the daemon stays. */
  static async detached(host: Host, implementation: Implementation, options: StartOptions = {}): Promise<Daemon> {
    const name = options.name ?? uniqueInterface();
    const before = await host.pids();
    const log = await Deno.makeTempFile({ dir: host.lab.folder, suffix: ".log" });
    const output = await startDetached(host, implementation, name, log, options);
    if (output.code !== 0) {
      throw new Error(`${implementation.name} ${name} exited with ${output.code}: ${readText(log)}`);
    }
    const added = (await host.pids()).filter((pid) => !before.includes(pid));
    if (added.length !== 1) throw new Error(`${implementation.name} left the processes ${added}: ${readText(log)}`);
    return new Daemon(host, name, added[0], () => readText(log));
  }

  /** Starts it in the foreground and waits until `wg` can read it. */
  static async foreground(host: Host, implementation: Implementation, options: StartOptions = {}): Promise<Daemon> {
    const name = options.name ?? uniqueInterface();
    const command = [...await implementation.command(), ...options.args ?? [], "-f", name];
    const background = host.spawn(command, { LOG_LEVEL: "error", WG_PROCESS_FOREGROUND: "1", ...options.env });
    const daemon = new Daemon(host, name, background.pid, () => background.output());
    await waitFor(`${implementation.name} to answer`, async () => {
      if (background.exited) throw new Error(`${implementation.name} ended at its start: ${background.output()}`);
      // wg would delete a socket that is bound and does not listen yet, so it is not asked first.
      return await accepts(daemon.socketPath) && (await run(["wg", "show", name, "listen-port"])).code === 0;
    }, 20_000);
    return daemon;
  }

  get socketPath(): string {
    return socketPathOf(this.interfaceName);
  }

  get isRunning(): boolean {
    return isRunning(this.pid);
  }

  log(): string {
    return this.#log();
  }

  /** Runs `ip -n HOST …`. */
  ip(...args: string[]): Promise<string> {
    return must(["ip", "-n", this.host.name, ...args]);
  }

  /** `ip link set INTERFACE …`. */
  link(...args: string[]): Promise<string> {
    return this.ip("link", "set", "dev", this.interfaceName, ...args);
  }

  /** `wg set INTERFACE …`, which must succeed. */
  set(...args: string[]): Promise<string> {
    return must(["wg", "set", this.interfaceName, ...args]);
  }

  /** What `wg show INTERFACE dump` says. */
  async show(): Promise<InterfaceState> {
    const [first, ...rest] = (await must(["wg", "show", this.interfaceName, "dump"])).trimEnd().split("\n");
    const [, publicKey, listenPort, fwmark] = first.split("\t");
    return { publicKey, listenPort: Number(listenPort), fwmark, peers: rest.map(parsePeer) };
  }

  /** Sends raw text to the control socket, closes the sending side, and returns everything that came back. */
  async uapi(request: string): Promise<string> {
    using connection = await Deno.connect({ transport: "unix", path: this.socketPath });
    // Ends a connection that never answers; reading then throws.
    const timer = setTimeout(() => connection.close(), 10_000);
    try {
      await writeAll(connection, request);
      await connection.closeWrite();
      return await readAll(connection);
    } finally {
      clearTimeout(timer);
    }
  }

  signal(signal: Deno.Signal): void {
    kill(this.pid, signal);
  }

  /** Waits until process, control socket and interface are all gone. */
  async gone(timeout = 5_000): Promise<void> {
    await waitFor(`process ${this.pid} to end`, () => !this.isRunning, timeout);
    await waitFor(`${this.socketPath} to go`, () => !exists(this.socketPath), 1_000);
    await waitFor(`${this.interfaceName} to go`, async () => !await hasInterface(this.host, this.interfaceName), 1_000);
  }

  /** Open descriptors of the process. */
  descriptors(): number {
    return [...Deno.readDirSync(`/proc/${this.pid}/fd`)].length;
  }

  /** Resident memory in bytes. */
  residentBytes(): number {
    const kibibytes = readText(`/proc/${this.pid}/status`).match(/^VmRSS:\s+(\d+) kB$/m)?.[1];
    if (kibibytes === undefined) throw new Error(`Process ${this.pid} has no VmRSS: it has ended`);
    return Number(kibibytes) * 1024;
  }
}

export function socketPathOf(interfaceName: string): string {
  return `/var/run/wireguard/${interfaceName}.sock`;
}

/** Whether a control socket takes connections. */
export async function accepts(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
}

/** Runs the program without `-f` and waits for its return, whatever the exit code; the log gets both its streams. */
export async function startDetached(
  host: Host,
  implementation: Implementation,
  name: string,
  log: string,
  options: StartOptions = {},
): Promise<Output> {
  const command = [...await implementation.command(), ...options.args ?? [], name];
  // The daemon may keep the streams it was started with, so they must not be pipes that the test waits for.
  const redirect = ["sh", "-c", 'log=$1; shift; exec "$@" >"$log" 2>&1', "sh", log];
  return await host.run([...redirect, ...command], { env: options.env, timeout: 30_000 });
}

export async function hasInterface(host: Host, name: string): Promise<boolean> {
  return (await run(["ip", "-n", host.name, "link", "show", "dev", name])).code === 0;
}

export interface KeyPair {
  readonly privateKey: string;
  readonly publicKey: string;
}

/** Keys made by the real `wg`. */
export async function makeKeys(): Promise<KeyPair> {
  const privateKey = (await must(["wg", "genkey"])).trim();
  return { privateKey, publicKey: (await must(["wg", "pubkey"], { stdin: privateKey })).trim() };
}

/** Puts a secret where `wg set … private-key FILE` can read it. */
export async function keyFile(host: Host, key: string): Promise<string> {
  const path = await Deno.makeTempFile({ dir: host.lab.folder, suffix: ".key" });
  await Deno.writeTextFile(path, `${key}\n`);
  return path;
}

/** Newest handshake of the interface's only peer, waiting until there is one. */
export function firstHandshake(daemon: Daemon, timeout = 10_000): Promise<number> {
  return waitFor("a handshake", async () => (await daemon.show()).peers[0]?.latestHandshake || null, timeout);
}

function parsePeer(line: string): PeerState {
  const [publicKey, presharedKey, endpoint, allowedIps, handshake, received, sent, keepalive] = line.split("\t");
  return {
    publicKey,
    presharedKey,
    endpoint,
    allowedIps: allowedIps === "(none)" ? [] : allowedIps.split(","),
    latestHandshake: Number(handshake),
    received: Number(received),
    sent: Number(sent),
    keepalive,
  };
}

async function readAll(connection: Deno.Conn): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(1 << 16);
  let text = "";
  for (let length = await connection.read(buffer); length !== null; length = await connection.read(buffer)) {
    text += decoder.decode(buffer.subarray(0, length), { stream: true });
  }
  return text;
}

async function writeAll(connection: Deno.Conn, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let written = 0; written < bytes.length;) written += await connection.write(bytes.subarray(written));
}
