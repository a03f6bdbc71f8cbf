/**
 * Routes over rtnetlink, in the network namespace of the socket given.
 *
 * struct rtmsg: family u8 | destination length u8 | source length u8 | tos u8 | table u8 | protocol u8 | scope u8 |
 * type u8 | flags u32. A table above 255 is told by an attribute. Spec: rtnetlink(7), linux/rtnetlink.h.
 */
import { ENOENT, SyscallError } from "./errno.ts";
import { SCOPE_GLOBAL, SCOPE_LINK } from "./address.ts";
import type { Netlink } from "./netlink.ts";
import { mapAttributes, NetlinkMessage, NLM_F_CREATE, NLM_F_EXCL, readU32 } from "./netlink_message.ts";
import { AF_INET, AF_INET6, trySetOption } from "./socket.ts";

export const TABLE_DEFAULT = 253;
export const TABLE_MAIN = 254;
export const TABLE_LOCAL = 255;

/** Type of a route that sends packets on. */
export const ROUTE_UNICAST = 1;
/** Type of a route to this host itself. */
export const ROUTE_LOCAL = 2;

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;

const RTMSG_LENGTH = 1;
const RTMSG_TABLE = 4;
const RTMSG_PROTOCOL = 5;
const RTMSG_TYPE = 7;
const RTMSG_FLAGS = 8;
const RTMSG_BYTES = 12;

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_METRICS = 8;
const RTA_TABLE = 15;
const RTA_MARK = 16;
const RTAX_MTU = 2;

/** Made by hand, as `ip` says it. */
export const PROTOCOL_BOOT = 3;
/** A copy of another route that the kernel made for one destination. */
const RTM_F_CLONED = 0x200;

const SOL_NETLINK = 270;
const NETLINK_GET_STRICT_CHK = 12;

export interface Route {
  /** 4 or 16 bytes, zeros for a default route. */
  readonly destination: Uint8Array;
  readonly cidr: number;
  readonly table: number;
  /** Index of the interface, 0 if there is none or more than one. */
  readonly index: number;
  /** The path's MTU where the route knows it, else 0. */
  readonly mtu: number;
  /** ROUTE_UNICAST or another. */
  readonly type: number;
  /** Who made it: PROTOCOL_BOOT for what `addRoute` added. */
  readonly protocol: number;
}

/**
 * Routes of one family and table. The kernel sorts out the rest where it can (4.20 and later), which counts beside
 * tables as large as the Internet's.
 */
export function listRoutes(netlink: Netlink, family: 4 | 6, table: number): Route[] {
  const request = routeMessage(RTM_GETROUTE, 0, family, 0, { table, scope: 0, type: 0, protocol: 0 });
  const isStrict = trySetOption(netlink.fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
  try {
    return netlink.dump("list routes", request.finish())
      .filter(({ type, body }) => type === RTM_NEWROUTE && body[0] === familyNumber(family))
      .filter(({ body }) => (readFlags(body) & RTM_F_CLONED) === 0)
      .map(({ body }) => parseRoute(body, family))
      .filter((route) => route.table === table);
  } catch (error) {
    // A table without routes does not exist.
    if (error instanceof SyscallError && error.errno === ENOENT) return [];
    throw error;
  } finally {
    if (isStrict) trySetOption(netlink.fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 0);
  }
}

/** The next hops of a table's routes, each once: the address, of 4 or 16 bytes, and the interface it is behind. */
export function listGateways(netlink: Netlink, family: 4 | 6, table: number): { address: Uint8Array; index: number }[] {
  const request = routeMessage(RTM_GETROUTE, 0, family, 0, { table, scope: 0, type: 0, protocol: 0 });
  const gateways = new Map<string, { address: Uint8Array; index: number }>();
  for (const { type, body } of netlink.dump("list routes", request.finish())) {
    if (type !== RTM_NEWROUTE || body[0] !== familyNumber(family) || parseRoute(body, family).table !== table) continue;
    const attributes = mapAttributes(body, RTMSG_BYTES);
    const address = attributes.get(RTA_GATEWAY);
    const index = readU32(attributes.get(RTA_OIF), 0);
    if (address !== undefined && index !== 0) gateways.set(`${address} ${index}`, { address: address.slice(), index });
  }
  return [...gateways.values()];
}

/**
 * Adds a route through an interface without a gateway.
 *
 * @param destination 4 or 16 bytes, its host bits zero
 * @throws {SyscallError} EEXIST if the table has such a route
 */
export function addRoute(netlink: Netlink, destination: Uint8Array, cidr: number, index: number, table: number): void {
  const message = deviceRoute(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, destination, cidr, index, table);
  netlink.request("add route", message);
}

/** Removes a route that `addRoute` added. @throws {SyscallError} ESRCH if there is none */
export function deleteRoute(
  netlink: Netlink,
  destination: Uint8Array,
  cidr: number,
  index: number,
  table: number,
): void {
  netlink.request("delete route", deviceRoute(RTM_DELROUTE, 0, destination, cidr, index, table));
}

/**
 * The route that a packet of this host to `address` would take.
 *
 * @param mark that it carries, 0 = none
 * @throws {SyscallError} ENETUNREACH, EHOSTUNREACH, or another if there is none
 */
export function lookUpRoute(netlink: Netlink, address: Uint8Array, mark = 0): Route {
  const family = address.length === 4 ? 4 : 6;
  const request = routeMessage(RTM_GETROUTE, 0, family, 8 * address.length, {
    table: 0,
    scope: 0,
    type: 0,
    protocol: 0,
  })
    .attribute(RTA_DST, address);
  if (mark !== 0) request.attributeU32(RTA_MARK, mark);
  const [answer] = netlink.request("look up route", request.finish());
  return parseRoute(answer.body, family);
}

interface RouteFields {
  readonly table: number;
  readonly scope: number;
  readonly type: number;
  readonly protocol: number;
}

function deviceRoute(
  type: number,
  flags: number,
  destination: Uint8Array,
  cidr: number,
  index: number,
  table: number,
): Uint8Array<ArrayBuffer> {
  const family = destination.length === 4 ? 4 : 6;
  const scope = family === 4 ? SCOPE_LINK : SCOPE_GLOBAL;
  const fields = { table, scope, type: ROUTE_UNICAST, protocol: PROTOCOL_BOOT };
  const message = routeMessage(type, flags, family, cidr, fields);
  if (cidr > 0) message.attribute(RTA_DST, destination);
  return message.attributeU32(RTA_OIF, index).finish();
}

/** The fixed part and the table. */
function routeMessage(type: number, flags: number, family: 4 | 6, cidr: number, fields: RouteFields): NetlinkMessage {
  const { table, scope, protocol } = fields;
  const message = new NetlinkMessage(type, flags)
    .u8(familyNumber(family)).u8(cidr).u8(0).u8(0)
    .u8(table > 255 ? 0 : table).u8(protocol).u8(scope).u8(fields.type).u32(0);
  if (table > 0) message.attributeU32(RTA_TABLE, table);
  return message;
}

function parseRoute(body: Uint8Array, family: 4 | 6): Route {
  const attributes = mapAttributes(body, RTMSG_BYTES);
  const metrics = attributes.get(RTA_METRICS);
  const destination = attributes.get(RTA_DST);
  return {
    destination: destination === undefined ? new Uint8Array(family === 4 ? 4 : 16) : destination.slice(),
    cidr: body[RTMSG_LENGTH],
    table: readU32(attributes.get(RTA_TABLE), body[RTMSG_TABLE]),
    index: readU32(attributes.get(RTA_OIF), 0),
    mtu: metrics === undefined ? 0 : readU32(mapAttributes(metrics).get(RTAX_MTU), 0),
    type: body[RTMSG_TYPE],
    protocol: body[RTMSG_PROTOCOL],
  };
}

function readFlags(body: Uint8Array): number {
  return new DataView(body.buffer, body.byteOffset, body.length).getUint32(RTMSG_FLAGS, true);
}

function familyNumber(family: 4 | 6): number {
  return family === 4 ? AF_INET : AF_INET6;
}
