/**
 * Addresses of network interfaces over rtnetlink, in the network namespace of the socket given.
 *
 * struct ifaddrmsg: family u8 | prefix length u8 | flags u8 | scope u8 | index u32.
 * Spec: rtnetlink(7), linux/if_addr.h.
 */
import type { Netlink } from "./netlink.ts";
import { mapAttributes, NetlinkMessage, NLM_F_CREATE, NLM_F_EXCL } from "./netlink_message.ts";
import { AF_INET, AF_INET6 } from "./socket.ts";

export const SCOPE_GLOBAL = 0;
export const SCOPE_LINK = 253;
export const SCOPE_HOST = 254;

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;

const IFADDR_PREFIX = 1;
const IFADDR_SCOPE = 3;
const IFADDR_INDEX = 4;
const IFADDR_BYTES = 8;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;

const LOOPBACK_NET = 127;

/** An address with the length of its network's prefix. */
export interface InterfaceAddress {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly cidr: number;
  /** SCOPE_… */
  readonly scope: number;
}

/** The addresses of the interface, IPv4 first, each family in the kernel's order. */
export function listAddresses(netlink: Netlink, index: number): InterfaceAddress[] {
  const addresses: InterfaceAddress[] = [];
  for (const family of [AF_INET, AF_INET6]) {
    const request = new NetlinkMessage(RTM_GETADDR).u8(family).u8(0).u8(0).u8(0).u32(0);
    for (const { type, body } of netlink.dump("list addresses", request.finish())) {
      // Where a family is not built in, the kernel lists all the others instead.
      if (type !== RTM_NEWADDR || body[0] !== family) continue;
      const view = new DataView(body.buffer, body.byteOffset, body.length);
      if (view.getUint32(IFADDR_INDEX, true) !== index) continue;
      const attributes = mapAttributes(body, IFADDR_BYTES);
      const address = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
      if (address === undefined) continue;
      addresses.push({ address: address.slice(), cidr: body[IFADDR_PREFIX], scope: body[IFADDR_SCOPE] });
    }
  }
  return addresses;
}

/** Adds an address. @throws {SyscallError} EEXIST if it has it, EACCES or EOPNOTSUPP where its family is off */
export function addAddress(netlink: Netlink, index: number, address: Uint8Array, cidr: number): void {
  const message = addressMessage(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address, cidr);
  netlink.request("add address", message);
}

/** Removes an address. @throws {SyscallError} EADDRNOTAVAIL if it has not got it */
export function deleteAddress(netlink: Netlink, index: number, address: Uint8Array, cidr: number): void {
  netlink.request("delete address", addressMessage(RTM_DELADDR, 0, index, address, cidr));
}

function addressMessage(
  type: number,
  flags: number,
  index: number,
  address: Uint8Array,
  cidr: number,
): Uint8Array<ArrayBuffer> {
  const isIpv4 = address.length === 4;
  // The kernel finds the scope of an IPv6 address itself.
  const scope = isIpv4 && address[0] === LOOPBACK_NET ? SCOPE_HOST : SCOPE_GLOBAL;
  return new NetlinkMessage(type, flags)
    .u8(isIpv4 ? AF_INET : AF_INET6).u8(cidr).u8(0).u8(scope).u32(index)
    .attribute(IFA_LOCAL, address).attribute(IFA_ADDRESS, address)
    .finish();
}
