/**
 * WireGuard interfaces of the kernel's own module, over generic netlink, in this network namespace.
 *
 * struct genlmsghdr: command u8 | version u8 | pad u16. The controller tells a family's number by its name.
 * Spec: Linux Documentation/userspace-api/netlink/intro.rst, "Resolving the Family ID".
 */
import { wipe } from "../crypto/bytes.ts";
import { ENOENT, EOPNOTSUPP, SyscallError } from "../ffi/errno.ts";
import { type Netlink, NETLINK_GENERIC, openNetlink } from "../ffi/netlink.ts";
import { mapAttributes, NetlinkMessage, readText } from "../ffi/netlink_message.ts";
import type { DeviceChange } from "./device_change.ts";
import type { DeviceStatus } from "./uapi_status.ts";
import {
  GENERIC_HEADER_BYTES,
  getDeviceMessage,
  readDeviceMessages,
  setDeviceMessages,
  WG_FAMILY,
} from "./wireguard_netlink.ts";

const CONTROLLER = 0x10;
const CONTROLLER_GET_FAMILY = 3;
const CONTROLLER_VERSION = 1;
const FAMILY_ID = 1;
const FAMILY_NAME = 2;

const RTM_GETLINK = 18;
const IFINFO_BYTES = 16;
const IFLA_IFNAME = 3;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;

/** Names of the kernel's WireGuard interfaces. */
export function listKernelInterfaces(): string[] {
  return closing(openNetlink(), (netlink) => {
    const request = new NetlinkMessage(RTM_GETLINK);
    for (let at = 0; at < IFINFO_BYTES; at += 4) request.u32(0);
    return netlink.dump("list links", request.finish()).flatMap(({ body }) => {
      const attributes = mapAttributes(body, IFINFO_BYTES);
      const info = attributes.get(IFLA_LINKINFO);
      const isOurs = info !== undefined && readText(mapAttributes(info).get(IFLA_INFO_KIND)) === WG_FAMILY;
      return isOurs ? [readText(attributes.get(IFLA_IFNAME))] : [];
    });
  });
}

/**
 * The configuration and counters of an interface.
 *
 * @throws {SyscallError} ENODEV without such an interface; EOPNOTSUPP if it is no WireGuard one, or without the module
 */
export function getKernelDevice(name: string): DeviceStatus {
  return withFamily((netlink, family) => {
    return readDeviceMessages(netlink.dump("WG_CMD_GET_DEVICE", getDeviceMessage(family, name)));
  });
}

/** Changes an interface; a change too long for one message is not applied as a whole. @throws as `getKernelDevice` */
export function setKernelDevice(name: string, change: DeviceChange): void {
  withFamily((netlink, family) => {
    const messages = setDeviceMessages(family, name, change);
    try {
      for (const message of messages) netlink.request("WG_CMD_SET_DEVICE", message);
    } finally {
      wipe(...messages);
    }
  });
}

function withFamily<T>(use: (netlink: Netlink, family: number) => T): T {
  return closing(openNetlink(NETLINK_GENERIC), (netlink) => use(netlink, familyNumber(netlink)));
}

function familyNumber(netlink: Netlink): number {
  const request = new NetlinkMessage(CONTROLLER).u8(CONTROLLER_GET_FAMILY).u8(CONTROLLER_VERSION).u16(0)
    .attributeText(FAMILY_NAME, WG_FAMILY).finish();
  try {
    for (const { body } of netlink.request("CTRL_CMD_GETFAMILY", request)) {
      const id = mapAttributes(body, GENERIC_HEADER_BYTES).get(FAMILY_ID);
      if (id !== undefined && id.length >= 2) return id[0] | (id[1] << 8);
    }
  } catch (error) {
    if (!(error instanceof SyscallError) || error.errno !== ENOENT) throw error;
  }
  throw new SyscallError("CTRL_CMD_GETFAMILY", EOPNOTSUPP, "the kernel has no WireGuard");
}

function closing<T>(netlink: Netlink, use: (netlink: Netlink) => T): T {
  try {
    return use(netlink);
  } finally {
    netlink.close();
  }
}
