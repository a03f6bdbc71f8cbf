/**
 * Whether datagrams to an endpoint are still to leave from where they did: the address is there, and the way to the
 * endpoint leads over its interface. The kernel's WireGuard looks at the same before each datagram; we do after a change.
 */
import { listAddresses } from "../ffi/address.ts";
import { SyscallError } from "../ffi/errno.ts";
import { type Netlink, openNetlink } from "../ffi/netlink.ts";
import { lookUpRoute } from "../ffi/route.ts";
import { formatAddress } from "../tunnel/address_text.ts";
import { endpointAddress, endpointSource } from "../tunnel/endpoint.ts";

/** Of one moment: addresses are asked for once. */
export class SourceCheck implements Disposable {
  readonly #netlink: Netlink = openNetlink();
  readonly #mark: number;
  readonly #addresses = new Map<number, ReadonlySet<string>>();

  /** @param mark of the interface's datagrams */
  constructor(mark: number) {
    this.#mark = mark;
  }

  [Symbol.dispose](): void {
    this.#netlink.close();
  }

  /** @param record an endpoint record; one without a source has none to lose */
  keeps(record: Uint8Array): boolean {
    const source = endpointSource(record);
    const destination = endpointAddress(record);
    if (source === null || destination === null) return true;
    return this.#addressesOf(source.index).has(formatAddress(source.address)) &&
      this.#interfaceTo(destination) === source.index;
  }

  #addressesOf(index: number): ReadonlySet<string> {
    let known = this.#addresses.get(index);
    if (known === undefined) {
      known = new Set(listAddresses(this.#netlink, index).map(({ address }) => formatAddress(address)));
      this.#addresses.set(index, known);
    }
    return known;
  }

  /** 0 if no way leads there. */
  #interfaceTo(destination: Uint8Array): number {
    try {
      return lookUpRoute(this.#netlink, destination, this.#mark).index;
    } catch (error) {
      if (error instanceof SyscallError) return 0;
      throw error;
    }
  }
}
