/** What a file wants of the host, as `up` makes it and `apply` compares it. */
import type { Config } from "../config/config.ts";
import { formatEndpointText, formatPrefix } from "../config/config_writer.ts";
import { maskAddress } from "../config/values.ts";
import { blake2s } from "../crypto/blake2s.ts";
import { encodeBase64, encodeHex } from "../crypto/encoding.ts";
import { isCovered, type Prefix, TABLE_MAIN, tableNumber } from "../host/routing.ts";
import type { Applied } from "../host/state.ts";
import { parseAddress, parsePrefix } from "../tunnel/address_text.ts";

/** A prefix and the table that leads it through the interface. */
export interface WantedRoute {
  readonly prefix: Prefix;
  readonly table: number;
}

export interface RoutePlan {
  readonly routes: readonly WantedRoute[];
  /** Prefixes of length 0 that want a table of their own. */
  readonly defaults: readonly Prefix[];
}

/**
 * The routes to all allowed IPs.
 *
 * @param allowed in any order
 * @param table of the file
 * @param unrouted picks what the main table does not lead through the interface by itself, as to its own networks
 * @throws {HostError} if the table has no number
 */
export function planRoutes(
  allowed: readonly Prefix[],
  table: string,
  unrouted: (prefixes: readonly Prefix[]) => readonly Prefix[],
): RoutePlan {
  if (table === "off") return { routes: [], defaults: [] };
  // The longest come first, so that only what the interface had before can cover them.
  const prefixes = allowed.toSorted((a, b) => b.cidr - a.cidr);
  if (table !== "auto") {
    const number = tableNumber(table);
    return { routes: prefixes.map((prefix) => ({ prefix, table: number })), defaults: [] };
  }
  const missing = unrouted(prefixes.filter(({ cidr }) => cidr > 0));
  return {
    routes: missing.map((prefix) => ({ prefix, table: TABLE_MAIN })),
    defaults: prefixes.filter(({ cidr }) => cidr === 0),
  };
}

/** Picks the prefixes that the kernel does not route by itself once the interface has these addresses. */
export function outsideNetworks(addresses: readonly Prefix[], prefixes: readonly Prefix[]): Prefix[] {
  const networks = addresses
    .filter(({ address, cidr }) => address.length === 16 || cidr < 32)
    .map(({ address, cidr }) => ({ destination: maskAddress(address, cidr), cidr }));
  return prefixes.filter((prefix) => !networks.some((network) => isCovered(prefix, network)));
}

/** A route as the state keeps it. */
export function routeText({ prefix, table }: WantedRoute): string {
  return `${formatPrefix(prefix)} ${table}`;
}

/** The reverse of `routeText`. */
export function parseRouteText(text: string): WantedRoute {
  const [prefix, table] = text.split(" ");
  return { prefix: prefixOf(prefix), table: Number(table) };
}

/** A prefix of our own writing. */
export function prefixOf(text: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === null) throw new RangeError(`"${text}" is not a prefix`);
  return prefix;
}

/** The addresses of endpoints, without those that hold on one link only. */
export function endpointAddresses(endpoints: readonly (string | null)[]): Uint8Array[] {
  return endpoints.flatMap((endpoint) => {
    const host = endpoint?.match(/^\[?([0-9a-f:.]+)\]?:\d+$/)?.[1];
    const address = host === undefined ? null : parseAddress(host);
    return address === null ? [] : [address];
  });
}

/**
 * What is to be written down of a file once it is applied.
 *
 * @param routes that were added for it, as `routeText` has them
 * @param mtu of the interface
 * @param former what was written down before: the hooks stay those that the interface came up with
 */
export function appliedOf(
  config: Config,
  routes: readonly string[],
  mtu: number,
  isKillSwitchForced: boolean,
  former: Applied | null,
): Applied {
  const { fwmark, addresses, dnsServers, dnsSearch } = config.interface;
  const named = config.peers.flatMap(({ publicKey, endpoint }) =>
    endpoint === null ? [] : [[encodeBase64(publicKey), formatEndpointText(endpoint)] as const]
  );
  return {
    fwmark: fwmark ?? 0,
    mtu: config.interface.mtu === null ? mtu : 0,
    isKillSwitchForced,
    endpoints: Object.fromEntries(named),
    addresses: [...new Set(addresses.map(formatPrefix))],
    routes,
    servers: dnsServers,
    search: dnsSearch,
    hooks: former === null ? hookHashes(config) : former.hooks,
  };
}

/** By which hooks are compared with what they were: they may hold secrets. */
export function hookHashes({ interface: { preUp, postUp, preDown, postDown } }: Config): Record<string, string> {
  const hooks = { PreUp: preUp, PostUp: postUp, PreDown: preDown, PostDown: postDown };
  return Object.fromEntries(
    Object.entries(hooks).map(([key, lines]) => [key, encodeHex(blake2s(new TextEncoder().encode(lines.join("\n"))))]),
  );
}
