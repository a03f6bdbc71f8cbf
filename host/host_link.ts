/** A running interface as the host sees it: its addresses, MTU and routes. */
import { deleteAddress, type InterfaceAddress, listAddresses, SCOPE_HOST } from "../ffi/address.ts";
import { EADDRNOTAVAIL, EOPNOTSUPP, ESRCH, SyscallError } from "../ffi/errno.ts";
import { createLink, getLink, IFF_UP, setLinkMtu, setLinkUp } from "../ffi/link.ts";
import { type Netlink, openNetlink } from "../ffi/netlink.ts";
import { deleteRoute, listRoutes, PROTOCOL_BOOT, ROUTE_UNICAST, TABLE_MAIN } from "../ffi/route.ts";
import { HostError } from "./host_error.ts";
import { assignAddress, assignRoute, claimTable, discoverMtu, isCovered, type Prefix, takeDefault } from "./routing.ts";
import { withNetlink } from "./routing.ts";
import { type Journal, unlessAbsent } from "./state.ts";
import { withSysctl } from "./sysctl.ts";

/** Whether there is an interface of this name. */
export function isLink(name: string): boolean {
  return withNetlink((netlink) => getLink(netlink, name)) !== null;
}

/** The index of an interface, 0 if there is none. */
export function linkIndex(name: string): number {
  return withNetlink((netlink) => getLink(netlink, name))?.index ?? 0;
}

/** Makes an interface of the kernel's own WireGuard. @throws {HostError} if it has none */
export function createKernelLink(name: string): void {
  try {
    withNetlink((netlink) => createLink(netlink, name, "wireguard"));
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    throw new HostError(
      error.errno === EOPNOTSUPP
        ? "this kernel has no WireGuard; load it with: modprobe wireguard, or leave --kernel out"
        : `cannot make the interface ${name}: ${error.message}`,
    );
  }
}

export class HostLink implements Disposable {
  readonly name: string;
  readonly index: number;
  readonly #netlink: Netlink;

  private constructor(netlink: Netlink, name: string, index: number) {
    this.#netlink = netlink;
    this.name = name;
    this.index = index;
  }

  /** @throws {HostError} if there is none of this name */
  static find(name: string): HostLink {
    const netlink = openNetlink();
    try {
      const link = getLink(netlink, name);
      if (link !== null) return new HostLink(netlink, name, link.index);
    } catch (error) {
      netlink.close();
      throw error;
    }
    netlink.close();
    throw new HostError(`the interface ${name} is gone`);
  }

  /** All but those that hold on this host only, IPv4 first. */
  addresses(): InterfaceAddress[] {
    return this.allAddresses().filter(({ scope }) => scope !== SCOPE_HOST);
  }

  allAddresses(): InterfaceAddress[] {
    return listAddresses(this.#netlink, this.index);
  }

  /** @param text the address as the operator knows it */
  addAddress(prefix: Prefix, text: string): void {
    assignAddress(this.#netlink, this.index, prefix, text);
  }

  /**
   * Removes what the interface has of these. Where a setting would have the kernel remove an address's neighbours in
   * the same network with it, it is told otherwise meanwhile.
   */
  removeAddresses(prefixes: readonly Prefix[]): void {
    withSysctl(`net/ipv4/conf/${this.name}/promote_secondaries`, "1", () => {
      for (const { address, cidr } of prefixes) {
        unlessAbsent(() => deleteAddress(this.#netlink, this.index, address, cidr), EADDRNOTAVAIL);
      }
    });
  }

  get mtu(): number {
    return getLink(this.#netlink, this.index)?.mtu ?? 0;
  }

  get isUp(): boolean {
    return ((getLink(this.#netlink, this.index)?.flags ?? 0) & IFF_UP) !== 0;
  }

  /** What suits endpoints of 4 or 16 bytes, less the tunnel's overhead. @param mark of the packets to them */
  discoverMtu(endpoints: readonly Uint8Array[], mark = 0): number {
    return discoverMtu(this.#netlink, endpoints, mark);
  }

  /** @throws {HostError} for an MTU that the device refuses */
  bringUp(mtu: number): void {
    try {
      setLinkMtu(this.#netlink, this.index, mtu);
      setLinkUp(this.#netlink, this.index);
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      throw new HostError(`cannot bring ${this.name} up with the MTU ${mtu}: ${error.message}`);
    }
  }

  addRoute(prefix: Prefix, table: number = TABLE_MAIN): void {
    assignRoute(this.#netlink, this.index, prefix, table);
  }

  /** Does nothing if there is none. */
  removeRoute({ address, cidr }: Prefix, table: number): void {
    unlessAbsent(() => deleteRoute(this.#netlink, address, cidr, this.index, table), ESRCH);
  }

  /** The routes through the interface that somebody added to a table; the kernel's own are not among them. */
  routes(table: number): Prefix[] {
    return ([4, 6] as const).flatMap((family) => listRoutes(this.#netlink, family, table))
      .filter(({ index, type, protocol }) =>
        index === this.index && type === ROUTE_UNICAST && protocol === PROTOCOL_BOOT
      )
      .map(({ destination, cidr }) => ({ address: destination, cidr }));
  }

  /** Those of `prefixes` that the main table does not lead through the interface yet, as its own networks. */
  unrouted(prefixes: readonly Prefix[]): Prefix[] {
    const routes = ([4, 6] as const).flatMap((family) => listRoutes(this.#netlink, family, TABLE_MAIN))
      .filter(({ index }) => index === this.index);
    return prefixes.filter((prefix) => !routes.some((route) => isCovered(prefix, route)));
  }

  /** A number that is free as a mark and as a routing table, and from now on claimed. */
  claimTable(journal: Journal): number {
    return claimTable(journal, this.#netlink);
  }

  /** Leads all of a family through the interface but what carries the mark `table`. */
  takeDefault(journal: Journal, prefix: Prefix, table: number): void {
    takeDefault(journal, this.#netlink, this.index, prefix, table);
  }

  [Symbol.dispose](): void {
    this.#netlink.close();
  }
}
