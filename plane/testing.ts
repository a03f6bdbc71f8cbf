/** For tests that need root: two namespaces joined by a veth, with a data plane on a TUN device in each. */
import { realSuite } from "../crypto/real_suite.ts";
import { close } from "../ffi/file.ts";
import { createNamespace, inNamespace } from "../ffi/namespace.ts";
import { openTun } from "../ffi/tun.ts";
import { parseEndpoint } from "../tunnel/address_text.ts";
import type { DeviceCommand } from "../tunnel/commands.ts";
import { DataPlane, type DataPlaneOptions } from "./data_plane.ts";

export const CAPACITY = { peers: 64, keypairs: 128 };

export type PlaneOverrides = Partial<Omit<DataPlaneOptions, "tunFd" | "furtherTunFds">> & {
  /** Queues of the TUN device, and workers; 1 if left out. */
  readonly threads?: number;
};

/** One end: 10.9.0.N and fd09::N outside, 10.8.0.N and fd08::N inside, port 5000 + N. */
export class End {
  readonly number: number;
  readonly namespace = createNamespace();
  readonly privateKey = crypto.getRandomValues(new Uint8Array(32));
  readonly errors: string[] = [];
  readonly keyLines: string[] = [];
  #queues: number[] = [];
  #moved = -1;
  #plane: DataPlane | null = null;

  constructor(number: number) {
    this.number = number;
  }

  get plane(): DataPlane {
    if (this.#plane === null) throw new Error("Not started");
    return this.#plane;
  }

  get port(): number {
    return 5000 + this.number;
  }

  get tun(): number {
    return this.#queues[0] ?? -1;
  }

  /** Opens a TUN device, down, and starts a data plane on it. */
  async start({ threads = 1, ...overrides }: PlaneOverrides = {}): Promise<void> {
    let started: Promise<DataPlane> | null = null;
    inNamespace(this.namespace, () => {
      for (let i = 0; i < threads; i++) this.#queues.push(openTun("tun0", { multiQueue: threads > 1 }).fd);
      started = DataPlane.start({
        tunFd: this.#queues[0],
        furtherTunFds: this.#queues.slice(1),
        interfaceName: "tun0",
        carrier: "batch",
        capacity: CAPACITY,
        log: { error: (text) => this.errors.push(text), info: () => {}, debug: () => {} },
        ...overrides,
      });
    });
    this.#plane = await started!;
    this.#plane.onKeyLog = (lines): void => void this.keyLines.push(...lines);
  }

  /** Tells it its key and its only peer, and starts listening. */
  async configure(other: End, endpoint: string): Promise<void> {
    const allowed = (address: Uint8Array, cidr: number): DeviceCommand => ({
      op: "allowed-ip",
      peer: 0,
      address,
      cidr,
    });
    await this.plane.apply([{ op: "listen-port", port: this.port }], [
      { op: "private-key", key: this.privateKey },
      { op: "add-peer", peer: 0, publicKey: realSuite.publicKey(other.privateKey) },
      { op: "endpoint", peer: 0, record: parseEndpoint(endpoint)! },
      allowed(Uint8Array.of(10, 8, 0, other.number), 32),
      allowed(Uint8Array.of(0xfd, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, other.number), 128),
      { op: "peer-configured", peer: 0 },
    ]);
  }

  /** Addresses the TUN device and brings it up. */
  async linkUp(mtu = 1420): Promise<void> {
    await this.run("ip", "link", "set", "tun0", "addrgenmode", "none");
    await this.run("ip", "address", "replace", `10.8.0.${this.number}/24`, "dev", "tun0");
    await this.run("ip", "link", "set", "tun0", "mtu", `${mtu}`, "up");
    await this.run("ip", "address", "replace", `fd08::${this.number}/64`, "dev", "tun0", "nodad");
  }

  /** Runs a command in the namespace. @returns what it printed @throws Error if it failed */
  async run(...command: string[]): Promise<string> {
    return await runIn(this.namespace, command);
  }

  /** Moves the TUN device to a new namespace, for `runMoved`. */
  async moveTun(): Promise<void> {
    this.#moved = createNamespace();
    await this.run("ip", "link", "set", "tun0", "netns", `/proc/${Deno.pid}/fd/${this.#moved}`);
  }

  /** Runs a command where the TUN device is now. */
  async runMoved(...command: string[]): Promise<string> {
    return await runIn(this.#moved, command);
  }

  async ping(address: string, count = 3, ...options: string[]): Promise<string> {
    return await this.run("ping", "-n", "-q", "-c", `${count}`, "-i", "0.02", "-W", "3", ...options, address);
  }

  /** Ports of the UDP sockets in the namespace, by family. */
  async udpPorts(): Promise<{ four: number[]; six: number[] }> {
    const ports = (table: string): number[] =>
      Array.from(table.matchAll(/^ *\d+: [0-9A-F]+:([0-9A-F]{4}) /gm), ([, port]) => parseInt(port, 16));
    return {
      four: ports(await this.run("cat", "/proc/net/udp")),
      six: ports(await this.run("cat", "/proc/net/udp6")),
    };
  }

  async stop(): Promise<void> {
    await this.#plane?.stop();
    this.#queues.forEach(close);
    this.#plane = null;
    this.#queues = [];
  }

  /** Also lets the namespaces go, with all that is in it. */
  async dispose(): Promise<void> {
    await this.stop();
    close(this.namespace);
    if (this.#moved >= 0) close(this.#moved);
  }
}

/** The outer endpoint of an end. */
export function outerEndpoint(end: End, family: 4 | 6): string {
  return family === 4 ? `10.9.0.${end.number}:${end.port}` : `[fd09::${end.number}]:${end.port}`;
}

/** Starts, configures and brings up both ends. */
export async function connect(one: End, two: End, family: 4 | 6, overrides: PlaneOverrides): Promise<void> {
  await one.start(overrides);
  await two.start(overrides);
  await one.configure(two, outerEndpoint(two, family));
  await two.configure(one, outerEndpoint(one, family));
  await one.linkUp();
  await two.linkUp();
  await until("both links are up", () => one.plane.isUp && two.plane.isUp);
}

/** Calls `f` with two ends whose outer addresses reach each other, and cleans up whatever happens. */
export async function withPair(f: (one: End, two: End) => Promise<void>): Promise<void> {
  const one = new End(1);
  const two = new End(2);
  try {
    const there = `/proc/${Deno.pid}/fd/${two.namespace}`;
    await one.run("ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", there);
    for (const end of [one, two]) {
      await end.run("ip", "link", "set", "lo", "up");
      // Without a link-local address nobody waits for duplicate address detection.
      await end.run("ip", "link", "set", "veth0", "addrgenmode", "none");
      await end.run("ip", "address", "add", `10.9.0.${end.number}/24`, "dev", "veth0");
      await end.run("ip", "address", "add", `fd09::${end.number}/64`, "dev", "veth0", "nodad");
      await end.run("ip", "link", "set", "veth0", "up");
    }
    await f(one, two);
  } finally {
    await one.dispose();
    await two.dispose();
  }
}

/** Waits until `isTrue`, checking often. @throws Error after `timeout` milliseconds */
export async function until(what: string, isTrue: () => boolean | Promise<boolean>, timeout = 5_000): Promise<void> {
  const end = performance.now() + timeout;
  while (!await isTrue()) {
    if (performance.now() > end) throw new Error(`Not within ${timeout} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function runIn(namespace: number, command: readonly string[]): Promise<string> {
  const args = [`--net=/proc/${Deno.pid}/fd/${namespace}`, ...command];
  const { code, stdout, stderr } = await new Deno.Command("nsenter", { args, stdin: "null" }).output();
  const text = new TextDecoder();
  if (code !== 0) throw new Error(`${command.join(" ")}: ${text.decode(stderr)}${text.decode(stdout)}`);
  return text.decode(stdout);
}
