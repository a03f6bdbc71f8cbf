/**
 * Stand-ins for tests: a configuration target that obeys commands strictly and remembers what they made of it, and
 * connections without sockets.
 */
import type { DeviceCommand, PlaneCommand } from "../tunnel/commands.ts";
import { formatAddress, formatEndpoint } from "../tunnel/address_text.ts";
import { ENDPOINT_BYTES } from "../tunnel/endpoint.ts";
import { DeviceTables } from "../tunnel/tables.ts";
import type { ConfigurationTarget } from "./configuration.ts";
import type { UapiConnection, UapiListener } from "./uapi_server.ts";

/** What the commands so far have made of one peer slot. */
export interface MemoryPeer {
  readonly publicKey: Uint8Array;
  presharedKey: Uint8Array | null;
  keepalive: number;
  readonly allowedIps: Set<string>;
  timesConfigured: number;
  /** Null for a peer without names. */
  candidates: string[] | null;
}

/** Obeys commands as the data plane does, and throws on those that make no sense. */
export class MemoryTarget implements ConfigurationTarget {
  readonly tables: DeviceTables;
  readonly peers: Map<number, MemoryPeer> = new Map();
  privateKey: Uint8Array | null = null;
  listenPort = 0;
  fwmark = 0;
  /** Who was given a prefix last; perhaps it has lost it since. */
  readonly #owners: Map<string, MemoryPeer> = new Map();
  /** Every command applied, in order; their keys have been erased since. */
  readonly applied: (PlaneCommand | DeviceCommand)[] = [];
  /** The ports that are taken by somebody else. */
  readonly takenPorts: Set<number> = new Set();
  /** Number that port 0 becomes next. */
  nextPort = 40_000;
  /** Awaited before each application. */
  delay: () => Promise<void> = () => Promise.resolve();

  constructor(peers = 64) {
    this.tables = DeviceTables.create({ peers, keypairs: 1 });
  }

  async apply(plane: PlaneCommand[], device: Iterable<DeviceCommand>): Promise<void> {
    await this.delay();
    for (const command of plane) {
      if (command.op === "listen-port" && this.takenPorts.has(command.port)) {
        throw Object.assign(new Error("bind: address in use"), { errno: 98 });
      }
    }
    for (const command of plane) this.#plane(command);
    for (const command of device) this.#device(command);
    for (const command of [...plane, ...device]) this.applied.push(command);
  }

  #plane(command: PlaneCommand): void {
    if (command.op === "fwmark") this.fwmark = command.mark;
    else this.listenPort = command.port === 0 ? this.nextPort++ : command.port;
  }

  #device(command: DeviceCommand): void {
    switch (command.op) {
      case "private-key":
        this.privateKey = command.key?.slice() ?? null;
        break;
      case "add-peer":
        this.#add(command.peer, command.publicKey);
        break;
      case "remove-peer":
        this.#peer(command.peer);
        this.peers.delete(command.peer);
        break;
      case "preshared-key":
        this.#peer(command.peer).presharedKey = command.key?.slice() ?? null;
        break;
      case "endpoint":
        this.#peer(command.peer);
        this.tables.endpoints.set(command.record, command.peer * ENDPOINT_BYTES);
        break;
      case "keepalive":
        this.#peer(command.peer).keepalive = command.seconds;
        break;
      case "allowed-ip":
        this.#own(this.#peer(command.peer), prefixText(command));
        break;
      case "remove-allowed-ip":
        if (!this.#peer(command.peer).allowedIps.delete(prefixText(command))) throw new Error("No such allowed IP");
        break;
      case "clear-allowed-ips":
        this.#peer(command.peer).allowedIps.clear();
        break;
      case "peer-configured":
        this.#peer(command.peer).timesConfigured++;
        break;
      case "begin-candidates":
        this.#peer(command.peer).candidates = [];
        break;
      case "candidate":
        this.#peer(command.peer).candidates!.push(formatEndpoint(command.record, 0));
        break;
      case "end-candidates":
      case "path-changed":
        this.#peer(command.peer);
        break;
      case "forget-candidates":
        this.#peer(command.peer).candidates = null;
        break;
    }
  }

  #own(peer: MemoryPeer, prefix: string): void {
    this.#owners.get(prefix)?.allowedIps.delete(prefix);
    this.#owners.set(prefix, peer);
    peer.allowedIps.add(prefix);
  }

  #add(slot: number, publicKey: Uint8Array): void {
    if (this.peers.has(slot) || slot < 0 || slot >= this.tables.capacity.peers) {
      throw new Error(`Slot ${slot} is taken`);
    }
    this.peers.set(slot, {
      publicKey: publicKey.slice(),
      presharedKey: null,
      keepalive: 0,
      allowedIps: new Set(),
      timesConfigured: 0,
      candidates: null,
    });
    this.tables.endpoints.fill(0, slot * ENDPOINT_BYTES, (slot + 1) * ENDPOINT_BYTES);
  }

  #peer(slot: number): MemoryPeer {
    const peer = this.peers.get(slot);
    if (peer === undefined) throw new Error(`Slot ${slot} has no peer`);
    return peer;
  }
}

/** One direction of a connection: bytes wait until they are read. */
class Channel {
  #chunks: Uint8Array[] = [];
  #ended = false;
  #wake: (() => void) | null = null;

  push(bytes: Uint8Array): void {
    if (this.#ended) throw new Error("Broken pipe");
    this.#chunks.push(bytes.slice());
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async pull(into: Uint8Array): Promise<number | null> {
    while (this.#chunks.length === 0) {
      if (this.#ended) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const chunk = this.#chunks[0];
    const length = Math.min(chunk.length, into.length);
    into.set(chunk.subarray(0, length));
    if (length === chunk.length) this.#chunks.shift();
    else this.#chunks[0] = chunk.subarray(length);
    return length;
  }
}

/** Both ends of a connection. */
export function memoryConnection(): [UapiConnection, UapiConnection] {
  const channels = [new Channel(), new Channel()];
  const end = (own: number): UapiConnection => ({
    read: (into) => channels[own].pull(into),
    write: (bytes) => {
      channels[1 - own].push(bytes);
      return Promise.resolve(bytes.length);
    },
    close: () => channels.forEach((channel) => channel.end()),
  });
  return [end(0), end(1)];
}

/** A listener whose clients are in this process. */
export class MemoryListener implements UapiListener {
  readonly #waiting: UapiConnection[] = [];
  #closed = false;
  #wake: (() => void) | null = null;

  connect(): UapiConnection {
    const [client, server] = memoryConnection();
    this.#waiting.push(server);
    this.#wake?.();
    return client;
  }

  async accept(): Promise<UapiConnection | null> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) return next;
      if (this.#closed) return null;
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#wake?.();
    return Promise.resolve();
  }
}

/** Sends bytes and reads until the reply's empty line, or the end of the connection. */
export async function ask(client: UapiConnection, request: Uint8Array | string): Promise<string> {
  await client.write(typeof request === "string" ? new TextEncoder().encode(request) : request);
  const buffer = new Uint8Array(64 * 1024);
  const decoder = new TextDecoder();
  let reply = "";
  while (!reply.endsWith("\n\n")) {
    const read = await client.read(buffer);
    if (read === null) break;
    reply += decoder.decode(buffer.subarray(0, read));
  }
  return reply;
}

function prefixText({ address, cidr }: { address: Uint8Array; cidr: number }): string {
  return `${formatAddress(address)}/${cidr}`;
}
