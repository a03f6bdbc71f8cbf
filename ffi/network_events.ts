/**
 * News of a host's links, addresses and routes over rtnetlink, in the network namespace of the calling thread.
 *
 * struct ifinfomsg, ifaddrmsg and rtmsg: see link.ts, address.ts and route.ts. Spec: rtnetlink(7).
 */
import { SCOPE_LINK } from "./address.ts";
import { IFF_LOWER_UP, IFF_RUNNING, IFF_UP } from "./link.ts";
import { listenNetlink, type NetlinkListener } from "./netlink.ts";
import { mapAttributes, readU32, type ReceivedMessage } from "./netlink_message.ts";
import { ROUTE_UNICAST, TABLE_LOCAL } from "./route.ts";

const RTMGRP_LINK = 0x1;
const RTMGRP_IPV4_IFADDR = 0x10;
const RTMGRP_IPV4_ROUTE = 0x40;
const RTMGRP_IPV6_IFADDR = 0x100;
const RTMGRP_IPV6_ROUTE = 0x400;

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;

const IFINFO_INDEX = 4;
const IFINFO_FLAGS = 8;
const IFINFO_BYTES = 16;

const IFADDR_FLAGS = 2;
const IFADDR_SCOPE = 3;
const IFADDR_INDEX = 4;
const IFADDR_BYTES = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
const IFA_F_DEPRECATED = 0x20;
const IFA_F_TENTATIVE = 0x40;

const RTMSG_TABLE = 4;
const RTMSG_TYPE = 7;
const RTMSG_FLAGS = 8;
const RTMSG_BYTES = 12;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTM_F_CLONED = 0x200;

/** One thing that changed and may lead packets another way. */
export type NetworkEvent =
  /** @property index of the link @property state what packets depend on; -1 if it is gone */
  | { readonly kind: "link"; readonly index: number; readonly state: number }
  /** @property address as text of numbers @property state -1 if it is gone */
  | { readonly kind: "address"; readonly index: number; readonly address: string; readonly state: number }
  /** @property index of the link it leads to, 0 for none or several */
  | { readonly kind: "route"; readonly index: number }
  /** News were lost. */
  | { readonly kind: "overrun" };

/** Listens to all of it. */
export function listenNetwork(): NetlinkListener {
  return listenNetlink(
    RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE,
  );
}

/** All news that wait, without those that concern one link alone, or this host alone. */
export function readNetworkEvents(listener: NetlinkListener): NetworkEvent[] {
  const events: NetworkEvent[] = [];
  for (;;) {
    const messages = listener.read();
    if (messages === null) return events;
    if (messages === "overrun") events.push({ kind: "overrun" });
    else for (const message of messages) events.push(...eventsOf(message));
  }
}

function eventsOf({ type, body }: ReceivedMessage): NetworkEvent[] {
  switch (type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return linkEvents(body, type === RTM_DELLINK);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return addressEvents(body, type === RTM_DELADDR);
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return routeEvents(body);
    default:
      return [];
  }
}

function linkEvents(body: Uint8Array, isGone: boolean): NetworkEvent[] {
  // Bridges and IPv6 report about links of theirs under the same types with another family.
  if (body.length < IFINFO_BYTES || body[0] !== 0) return [];
  const view = viewOf(body);
  const flags = view.getUint32(IFINFO_FLAGS, true) & (IFF_UP | IFF_RUNNING | IFF_LOWER_UP);
  return [{ kind: "link", index: view.getInt32(IFINFO_INDEX, true), state: isGone ? -1 : flags }];
}

function addressEvents(body: Uint8Array, isGone: boolean): NetworkEvent[] {
  if (body.length < IFADDR_BYTES || body[IFADDR_SCOPE] >= SCOPE_LINK) return [];
  const attributes = mapAttributes(body, IFADDR_BYTES);
  const flags = readU32(attributes.get(IFA_FLAGS), body[IFADDR_FLAGS]);
  // One that is still being checked sends nothing yet; when it is, there will be news again.
  if (!isGone && (flags & IFA_F_TENTATIVE) !== 0) return [];
  const address = (attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS) ?? new Uint8Array(0)).join(".");
  const index = viewOf(body).getUint32(IFADDR_INDEX, true);
  return [{ kind: "address", index, address, state: isGone ? -1 : flags & IFA_F_DEPRECATED }];
}

function routeEvents(body: Uint8Array): NetworkEvent[] {
  if (body.length < RTMSG_BYTES || body[RTMSG_TYPE] !== ROUTE_UNICAST || body[RTMSG_TABLE] === TABLE_LOCAL) return [];
  if ((viewOf(body).getUint32(RTMSG_FLAGS, true) & RTM_F_CLONED) !== 0) return [];
  const attributes = mapAttributes(body, RTMSG_BYTES);
  const destination = attributes.get(RTA_DST);
  if (destination?.length === 16 && destination[0] === 0xfe && (destination[1] & 0xc0) === 0x80) return [];
  return [{ kind: "route", index: readU32(attributes.get(RTA_OIF), 0) }];
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
