/** What a leak test needs to know of the host: the interfaces that are no tunnels, and who is behind them. */
import { listAddresses, SCOPE_HOST, SCOPE_LINK } from "../ffi/address.ts";
import { IFF_RUNNING, IFF_UP, type Link, listLinks } from "../ffi/link.ts";
import type { Netlink } from "../ffi/netlink.ts";
import { listGateways, TABLE_MAIN } from "../ffi/route.ts";
import { withNetlink } from "./routing.ts";

const IFF_LOOPBACK = 0x8;
const FAMILIES = [4, 6] as const;
/** Draws of an address; a network so full that all fail has no member to try. */
const MEMBER_TRIES = 64;

/** An address on a link. */
export interface Neighbour {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  /** Index of the interface if the address means nothing without it, else 0. */
  readonly scope: number;
  /** Packets beyond the link go through it. */
  readonly isGateway: boolean;
}

/** An interface through which packets would leave unencrypted. */
export interface OutsideInterface {
  readonly index: number;
  readonly name: string;
  readonly neighbours: readonly Neighbour[];
}

export interface LeakScene {
  readonly outside: readonly OutsideInterface[];
  /** Every interface's name, the tunnels' and the loopback's too. */
  readonly names: ReadonlyMap<number, string>;
  readonly tunnels: readonly string[];
}

/** @param tunnels names of the interfaces that encrypt */
export function surveyHost(tunnels: readonly string[]): LeakScene {
  return withNetlink((netlink) => {
    const links = listLinks(netlink);
    const outside = links.filter((link) => isInUse(link) && !tunnels.includes(link.name));
    return {
      outside: outside.map(({ index, name }) => ({ index, name, neighbours: neighboursOn(netlink, index) })),
      names: new Map(links.map(({ index, name }) => [index, name])),
      tunnels,
    };
  });
}

function isInUse({ flags }: Link): boolean {
  return (flags & IFF_LOOPBACK) === 0 && (flags & IFF_UP) !== 0 && (flags & IFF_RUNNING) !== 0;
}

/** The gateways, and of each network on the link a member drawn by lot. */
function neighboursOn(netlink: Netlink, index: number): Neighbour[] {
  const gateways = FAMILIES.flatMap((family) => listGateways(netlink, family, TABLE_MAIN))
    .filter((gateway) => gateway.index === index)
    .map(({ address }) => ({ address, scope: isLinkLocal(address) ? index : 0, isGateway: true }));
  const taken = gateways.map(({ address }) => `${address}`);
  const members = listAddresses(netlink, index)
    .filter(({ scope }) => scope !== SCOPE_HOST)
    .flatMap(({ address, cidr, scope }) => {
      const member = memberOf(address, cidr, taken);
      if (member === null) return [];
      return [{ address: member, scope: scope === SCOPE_LINK && member.length === 16 ? index : 0, isGateway: false }];
    });
  return [...gateways, ...members];
}

function isLinkLocal(address: Uint8Array): boolean {
  return address.length === 16 && address[0] === 0xfe && (address[1] & 0xc0) === 0x80;
}

/** An address of the network of `own`: neither that, nor one that is taken, nor all ones or zeros; null without any. */
function memberOf(own: Uint8Array, cidr: number, taken: readonly string[]): Uint8Array | null {
  const bits = 8 * own.length - cidr;
  for (let tries = 0; tries < MEMBER_TRIES; tries++) {
    const member = own.slice();
    const random = crypto.getRandomValues(new Uint8Array(own.length));
    let ones = 0;
    for (let bit = 0; bit < bits; bit++) {
      const at = own.length - 1 - (bit >> 3);
      const mask = 1 << (bit & 7);
      member[at] = (member[at] & ~mask) | (random[at] & mask);
      if ((member[at] & mask) !== 0) ones++;
    }
    if (ones > 0 && ones < bits && `${member}` !== `${own}` && !taken.includes(`${member}`)) return member;
  }
  return null;
}
