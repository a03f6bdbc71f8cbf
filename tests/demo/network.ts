/**
 * The demo's two machines: network namespaces that exist only as descriptors of this process, so that they vanish with
 * it whatever happens, and a cable between them. All of it by netlink: nothing need be installed.
 */
import { checked } from "../../ffi/errno.ts";
import { close } from "../../ffi/file.ts";
import { libc } from "../../ffi/libc.ts";
import { getLink, setLinkUp } from "../../ffi/link.ts";
import { currentNamespace, inNamespace, setns } from "../../ffi/namespace.ts";
import { type Netlink, openNetlink } from "../../ffi/netlink.ts";
import { NetlinkMessage, NLM_F_CREATE, NLM_F_EXCL } from "../../ffi/netlink_message.ts";
import { AF_INET } from "../../ffi/socket.ts";
import { parseAddress } from "../../tunnel/address_text.ts";

const CLONE_NEWNET = 0x4000_0000;

const RTM_NEWLINK = 16;
const IFLA_IFNAME = 3;
const IFLA_LINKINFO = 18;
const IFLA_NET_NS_FD = 28;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;

const RTM_NEWADDR = 20;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;

/** Name of either end of the cable. */
export const CABLE = "cable";

/** A network namespace. */
export class Machine {
  readonly #namespace: number;

  /** @throws {SyscallError} EPERM without CAP_SYS_ADMIN */
  constructor() {
    const home = currentNamespace();
    try {
      checked("unshare", libc().unshare(CLONE_NEWNET));
      try {
        this.#namespace = currentNamespace();
      } finally {
        setns(home);
      }
    } finally {
      close(home);
    }
  }

  /** Calls `f`, synchronously, with this thread on the machine; processes it starts stay there. */
  run<T>(f: () => T): T {
    return inNamespace(this.#namespace, f);
  }

  /** A cable from this machine to another. */
  connect(other: Machine): void {
    this.#ask((netlink) => {
      const message = new NetlinkMessage(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
      linkHeader(message).attributeText(IFLA_IFNAME, CABLE)
        .begin(IFLA_LINKINFO).attributeText(IFLA_INFO_KIND, "veth")
        .begin(IFLA_INFO_DATA).begin(VETH_INFO_PEER);
      linkHeader(message).attributeText(IFLA_IFNAME, CABLE).attributeU32(IFLA_NET_NS_FD, other.#namespace);
      netlink.request("make veth", message.end().end().end().finish());
    });
  }

  /** Gives an interface an address and brings it up. */
  setAddress(name: string, address: string, prefixLength: number): void {
    this.#ask((netlink) => {
      const index = this.#index(netlink, name);
      const bytes = parseAddress(address);
      if (bytes === null) throw new RangeError(`Cannot read the address ${address}`);
      const message = new NetlinkMessage(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL)
        .u8(AF_INET).u8(prefixLength).u8(0).u8(0).u32(index)
        .attribute(IFA_LOCAL, bytes).attribute(IFA_ADDRESS, bytes);
      netlink.request(`add ${address} to ${name}`, message.finish());
      setLinkUp(netlink, index);
    });
  }

  /** The number of an interface on this machine. */
  interfaceIndex(name: string): number {
    return this.#ask((netlink) => this.#index(netlink, name));
  }

  /** Lets the namespace go; it ends with its last process. */
  close(): void {
    close(this.#namespace);
  }

  #ask<T>(question: (netlink: Netlink) => T): T {
    const netlink = this.run(() => openNetlink());
    try {
      return question(netlink);
    } finally {
      netlink.close();
    }
  }

  #index(netlink: Netlink, name: string): number {
    const link = getLink(netlink, name);
    if (link === null) throw new Error(`Cannot find the interface ${name}`);
    return link.index;
  }
}

/** struct ifinfomsg, all zero. */
function linkHeader(message: NetlinkMessage): NetlinkMessage {
  return message.u8(0).u8(0).u16(0).u32(0).u32(0).u32(0);
}
