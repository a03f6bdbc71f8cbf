/**
 * Sockets that send one packet to see what becomes of it: as any program's, but for a hop limit of 1, so that whatever
 * gets out gets no farther than the first hop.
 */
import { checked, EINPROGRESS } from "./errno.ts";
import { close } from "./file.ts";
import { errno, libc } from "./libc.ts";
import {
  AF_INET,
  AF_INET6,
  createSocket,
  setOption,
  SO_MARK,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_STREAM,
  socketAddress,
  SOL_SOCKET,
} from "./socket.ts";
import { localPort, SOL_IP, SOL_IPV6 } from "./udp.ts";

/** Hop limit of every probe. */
export const PROBE_HOPS = 1;

const SO_BINDTODEVICE = 25;
const IP_TTL = 2;
const IPV6_UNICAST_HOPS = 16;
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;

export type ProbeKind = "udp" | "tcp" | "icmp";

export interface ProbeTarget {
  readonly kind: ProbeKind;
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  /** 0 for ICMP. */
  readonly port: number;
  /** Interface that a link-local address holds on, else 0. */
  readonly scope: number;
  /** SO_MARK, 0 for none. */
  readonly mark: number;
  /** The interface that the socket is bound to, "" for none. */
  readonly device: string;
}

export class ProbeSocket implements Disposable {
  readonly #fd: number;
  readonly #target: ProbeTarget;
  readonly #address: Uint8Array<ArrayBuffer>;

  /** @throws {SyscallError} ENODEV for the interface, EPERM without CAP_NET_RAW or CAP_NET_ADMIN */
  constructor(target: ProbeTarget) {
    const isIpv4 = target.address.length === 4;
    this.#target = target;
    this.#address = socketAddress(target.address, target.port, target.scope);
    this.#fd = createSocket(isIpv4 ? AF_INET : AF_INET6, ...typeOf(target.kind, isIpv4));
    try {
      if (isIpv4) setOption("IP_TTL", this.#fd, SOL_IP, IP_TTL, PROBE_HOPS);
      else setOption("IPV6_UNICAST_HOPS", this.#fd, SOL_IPV6, IPV6_UNICAST_HOPS, PROBE_HOPS);
      if (target.mark !== 0) setOption("SO_MARK", this.#fd, SOL_SOCKET, SO_MARK, target.mark);
      if (target.device !== "") this.#bindToDevice(target.device);
      if (target.kind !== "icmp") this.#bindPort();
    } catch (error) {
      close(this.#fd);
      throw error;
    }
  }

  /** The port that the packet comes from; 0 for ICMP. */
  get port(): number {
    return this.#target.kind === "icmp" ? 0 : localPort(this.#fd);
  }

  /**
   * Sends, or begins to connect.
   *
   * @param payload nothing for TCP, whose first packet carries none
   * @returns 0 if the kernel took it, else a positive error number: EPERM from a filter, ENETUNREACH without a route, …
   */
  send(payload: Uint8Array<ArrayBuffer>): number {
    const address = this.#address;
    const result = this.#target.kind === "tcp"
      ? libc().connect(this.#fd, address, address.length)
      : libc().sendto(this.#fd, payload, payload.length, 0, address, address.length);
    if (result >= 0) return 0;
    const number = errno();
    return number === EINPROGRESS ? 0 : number;
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }

  #bindToDevice(device: string): void {
    const name = new TextEncoder().encode(`${device}\0`);
    const result = libc().setsockopt(this.#fd, SOL_SOCKET, SO_BINDTODEVICE, name, name.length);
    checked(`setsockopt SO_BINDTODEVICE ${device}`, result);
  }

  /** To a port that the system chooses, before the first packet, which is known by it. */
  #bindPort(): void {
    const any = socketAddress(new Uint8Array(this.#target.address.length), 0, 0);
    checked("bind", libc().bind(this.#fd, any, any.length));
  }
}

function typeOf(kind: ProbeKind, isIpv4: boolean): [type: number, protocol: number] {
  if (kind === "icmp") return [SOCK_RAW, isIpv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6];
  return [kind === "udp" ? SOCK_DGRAM : SOCK_STREAM, 0];
}
