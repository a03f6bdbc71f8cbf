/**
 * Network interfaces over rtnetlink, in the network namespace of the socket given.
 *
 * struct ifinfomsg: family u8 | pad u8 | type u16 | index i32 | flags u32 | change mask u32.
 * Spec: rtnetlink(7), linux/if_link.h.
 */
import { EAFNOSUPPORT, ENODEV, SyscallError } from "./errno.ts";
import { listenNetlink, type Netlink, type NetlinkListener } from "./netlink.ts";
import {
  mapAttributes,
  NetlinkMessage,
  NLM_F_CREATE,
  NLM_F_EXCL,
  readText,
  readU32,
  readU8,
  type ReceivedMessage,
} from "./netlink_message.ts";
import { AF_INET6 } from "./socket.ts";

// Flags of an interface.
export const IFF_UP = 0x1;
export const IFF_RUNNING = 0x40;
export const IFF_LOWER_UP = 0x10000;

/** Address-generation mode of an interface that makes no link-local address of itself. */
export const ADDRESS_GENERATION_NONE = 1;

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_SETLINK = 19;
const RTMGRP_LINK = 1;

const IFINFO_INDEX = 4;
const IFINFO_FLAGS = 8;
const IFINFO_BYTES = 16;

const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_AF_SPEC = 26;
const IFLA_NET_NS_FD = 28;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const IFLA_INFO_KIND = 1;

export interface Link {
  readonly index: number;
  readonly name: string;
  /** IFF_… */
  readonly flags: number;
  /** 0 if not told. */
  readonly mtu: number;
  /** RFC 2863: 6 up, 2 down, 0 unknown, as for a TUN that is up. */
  readonly operstate: number;
  /** ADDRESS_GENERATION_NONE, another mode, or -1 if IPv6 is off or it was not told. */
  readonly addressGeneration: number;
}

/** News of a link; "gone" also when it moved to another namespace; "overrun" when news were lost. */
export type LinkEvent =
  | { readonly kind: "changed"; readonly link: Link }
  | { readonly kind: "gone"; readonly link: Link }
  | { readonly kind: "overrun" };

/** The interface by name (at most 15 bytes) or index, null if there is none. */
export function getLink(netlink: Netlink, which: string | number): Link | null {
  const message = linkMessage(RTM_GETLINK, typeof which === "number" ? which : 0);
  if (typeof which === "string") message.attributeText(IFLA_IFNAME, which);
  try {
    const [answer] = netlink.request(`get link ${which}`, message.finish());
    return answer === undefined ? null : parseLink(answer.body);
  } catch (error) {
    if (error instanceof SyscallError && error.errno === ENODEV) return null;
    throw error;
  }
}

/** All interfaces. */
export function listLinks(netlink: Netlink): Link[] {
  const messages = netlink.dump("list links", linkMessage(RTM_GETLINK, 0).finish());
  return messages.filter(({ type }) => type === RTM_NEWLINK).map(({ body }) => parseLink(body));
}

/**
 * Makes an interface of one of the kernel's kinds; the kernel looks for the module.
 *
 * @param name at most 15 bytes
 * @throws {SyscallError} EOPNOTSUPP if it has no such kind, EEXIST, EPERM
 */
export function createLink(netlink: Netlink, name: string, kind: string): void {
  netlink.request(`make a link of kind ${kind}`, createLinkMessage(name, kind));
}

/** What `createLink` asks for. */
export function createLinkMessage(name: string, kind: string): Uint8Array<ArrayBuffer> {
  const header = new NetlinkMessage(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL).u8(0).u8(0).u16(0).u32(0).u32(0).u32(0);
  return header.attributeText(IFLA_IFNAME, name)
    .begin(IFLA_LINKINFO).attributeText(IFLA_INFO_KIND, kind).end()
    .finish();
}

/** @throws {SyscallError} EINVAL out of the device's range, ENODEV, EPERM */
export function setLinkMtu(netlink: Netlink, index: number, mtu: number): void {
  netlink.request(`set mtu ${mtu}`, linkMessage(RTM_SETLINK, index).attributeU32(IFLA_MTU, mtu).finish());
}

export function setLinkUp(netlink: Netlink, index: number): void {
  netlink.request("set link up", linkMessage(RTM_SETLINK, index, IFF_UP, IFF_UP).finish());
}

export function setLinkDown(netlink: Netlink, index: number): void {
  netlink.request("set link down", linkMessage(RTM_SETLINK, index, 0, IFF_UP).finish());
}

/**
 * Keeps the kernel from giving the interface a link-local address (and sending router solicitations from it). To be
 * done before it is first up.
 *
 * @returns false if the interface has no IPv6, which comes to the same
 */
export function setAddressGenerationNone(netlink: Netlink, index: number): boolean {
  const message = linkMessage(RTM_SETLINK, index)
    .begin(IFLA_AF_SPEC).begin(AF_INET6)
    .attributeU8(IFLA_INET6_ADDR_GEN_MODE, ADDRESS_GENERATION_NONE)
    .end().end();
  try {
    netlink.request("set address generation", message.finish());
    return true;
  } catch (error) {
    if (error instanceof SyscallError && error.errno === EAFNOSUPPORT) return false;
    throw error;
  }
}

/** Moves the interface to another network namespace. @param namespace descriptor of it */
export function moveLink(netlink: Netlink, index: number, namespace: number): void {
  netlink.request("move link", linkMessage(RTM_SETLINK, index).attributeU32(IFLA_NET_NS_FD, namespace).finish());
}

export function deleteLink(netlink: Netlink, index: number): void {
  netlink.request("delete link", linkMessage(RTM_DELLINK, index).finish());
}

/** Listens to news of all links of the calling thread's network namespace. */
export function listenLinks(): NetlinkListener {
  return listenNetlink(RTMGRP_LINK);
}

/** All news that wait. */
export function readLinkEvents(listener: NetlinkListener): LinkEvent[] {
  const events: LinkEvent[] = [];
  for (;;) {
    const messages = listener.read();
    if (messages === null) return events;
    if (messages === "overrun") events.push({ kind: "overrun" });
    else for (const message of messages) addLinkEvent(events, message);
  }
}

function addLinkEvent(events: LinkEvent[], { type, body }: ReceivedMessage): void {
  // Bridges and IPv6 report about a link under the same types with another family; those tell no name or MTU change.
  if (body.length < IFINFO_BYTES || body[0] !== 0) return;
  if (type === RTM_NEWLINK) events.push({ kind: "changed", link: parseLink(body) });
  if (type === RTM_DELLINK) events.push({ kind: "gone", link: parseLink(body) });
}

function linkMessage(type: number, index: number, flags = 0, change = 0): NetlinkMessage {
  return new NetlinkMessage(type).u8(0).u8(0).u16(0).u32(index).u32(flags).u32(change);
}

function parseLink(body: Uint8Array): Link {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const attributes = mapAttributes(body, IFINFO_BYTES);
  return {
    index: view.getInt32(IFINFO_INDEX, true),
    name: readText(attributes.get(IFLA_IFNAME)),
    flags: view.getUint32(IFINFO_FLAGS, true),
    mtu: readU32(attributes.get(IFLA_MTU), 0),
    operstate: readU8(attributes.get(IFLA_OPERSTATE), 0),
    addressGeneration: addressGeneration(attributes.get(IFLA_AF_SPEC)),
  };
}

function addressGeneration(families: Uint8Array | undefined): number {
  const ipv6 = families === undefined ? undefined : mapAttributes(families).get(AF_INET6);
  return ipv6 === undefined ? -1 : readU8(mapAttributes(ipv6).get(IFLA_INET6_ADDR_GEN_MODE), -1);
}
