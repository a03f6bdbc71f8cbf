/**
 * Summaries of the first packets, for people who want to see the tunnel work. It stands in front of the device (as its
 * packet path) and behind it (as its sinks), so that nothing is asked on the way of a packet when nobody watches.
 */
import { formatAddress, formatEndpoint } from "../tunnel/address_text.ts";
import { ENDPOINT_BYTES, ENDPOINT_FAMILY, ENDPOINT_SOURCE } from "../tunnel/endpoint.ts";
import { destinationOffset, IPV4, ipVersion, sourceOffset } from "../tunnel/ip.ts";
import { TYPE_DATA } from "../tunnel/messages.ts";
import type { DatagramSink, PacketSink } from "../tunnel/ports.ts";
import type { DeviceTables } from "../tunnel/tables.ts";
import type { PacketPath } from "./plane.ts";
import type { TunPort } from "./tun_port.ts";
import type { UdpPort } from "./udp_port.ts";
import type { PacketSummary } from "./worker_messages.ts";

type Inner = PacketSummary["inner"];

export class PacketObserver {
  readonly #bytes: Uint8Array;
  readonly #tables: DeviceTables;
  readonly #onPacket: (summary: PacketSummary) => void;
  #left: number;
  /** The packet that the call under way is about. */
  #inner: Inner = null;
  #reserved = 0;

  /** @param count packets to summarise @param bytes the arena's */
  constructor(count: number, bytes: Uint8Array, tables: DeviceTables, onPacket: (summary: PacketSummary) => void) {
    this.#left = count;
    this.#bytes = bytes;
    this.#tables = tables;
    this.#onPacket = onPacket;
  }

  /** @param path the device */
  watchPath(path: PacketPath, network: UdpPort): PacketPath {
    return {
      send: (offset, length, now) => {
        this.#inner = this.#left > 0 ? this.#readInner(offset, length) : null;
        const result = path.send(offset, length, now);
        this.#inner = null;
        return result;
      },
      receive: (offset, length, endpoint, now) => {
        this.#inner = null;
        if (this.#left === 0) return path.receive(offset, length, endpoint, now);
        const type = length > 0 ? this.#bytes[offset] : 0;
        const result = path.receive(offset, length, endpoint, now);
        const outer = { source: this.#remote(endpoint), destination: this.#local(endpoint, network), length };
        this.#report({ direction: "in", inner: this.#inner, type, outer });
        return result;
      },
    };
  }

  watchNetwork(network: UdpPort): DatagramSink {
    return {
      reserve: (bytes) => this.#reserved = network.reserve(bytes),
      commit: (length, endpoint, peer) => {
        if (this.#left > 0) {
          const outer = { source: this.#local(endpoint, network), destination: this.#remote(endpoint), length };
          const type = this.#bytes[this.#reserved];
          // A packet without a session is staged, and it is an initiation that leaves instead.
          this.#report({ direction: "out", inner: type === TYPE_DATA ? this.#inner : null, type, outer });
        }
        network.commit(length, endpoint, peer);
      },
    };
  }

  watchTunnel(tunnel: TunPort): PacketSink {
    return {
      deliver: (offset, length, peer) => {
        if (this.#left > 0) this.#inner = this.#readInner(offset, length);
        tunnel.deliver(offset, length, peer);
      },
    };
  }

  #report(summary: PacketSummary): void {
    if (this.#left === 0) return;
    this.#left--;
    this.#onPacket(summary);
  }

  #readInner(offset: number, length: number): Inner {
    const source = sourceOffset(this.#bytes, offset);
    if (source < 0) return null;
    const destination = destinationOffset(this.#bytes, offset);
    const size = ipVersion(this.#bytes, offset) === IPV4 ? 4 : 16;
    return {
      source: formatAddress(this.#bytes.slice(source, source + size)),
      destination: formatAddress(this.#bytes.slice(destination, destination + size)),
      length,
    };
  }

  #remote(endpoint: number): string {
    return formatEndpoint(this.#tables.endpoints, endpoint * ENDPOINT_BYTES);
  }

  /** Our own address as far as it is known: before the first answer the kernel chooses it. */
  #local(endpoint: number, network: UdpPort): string {
    const { endpoints, endpointView } = this.#tables;
    const at = endpoint * ENDPOINT_BYTES;
    const isIpv4 = endpointView.getUint16(at + ENDPOINT_FAMILY, true) === 4;
    const from = at + ENDPOINT_SOURCE;
    const source = endpoints.slice(from, from + (isIpv4 ? 4 : 16));
    if (source.every((byte) => byte === 0)) return `*:${network.port}`;
    return isIpv4 ? `${formatAddress(source)}:${network.port}` : `[${formatAddress(source)}]:${network.port}`;
  }
}
