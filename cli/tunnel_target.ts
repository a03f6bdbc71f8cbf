/**
 * What a tunnel is to be, in one shape, whether its file says so or it was so before: what `apply` brings about, and
 * what it goes back to when it must.
 */
import type { Config, PeerConfig } from "../config/config.ts";
import { formatEndpointText, formatPrefix } from "../config/config_writer.ts";
import { type EndpointText, maskAddress } from "../config/values.ts";
import { interfaceIndex } from "../control/interface_index.ts";
import type { DeviceStatus } from "../control/uapi_status.ts";
import { isZero } from "../crypto/bytes.ts";
import { encodeBase64 } from "../crypto/encoding.ts";
import { clampPrivateKey } from "../crypto/keys.ts";
import { publicKey } from "../crypto/x25519.ts";
import type { Family } from "../host/full_tunnel.ts";
import type { HostLink } from "../host/host_link.ts";
import type { Prefix } from "../host/routing.ts";
import type { Applied, Change, HostState } from "../host/state.ts";
import { parseEndpoint } from "../tunnel/address_text.ts";
import { endpointNames } from "./endpoint_names.ts";
import type { QuickConfig } from "./quick_config.ts";
import { appliedOf, endpointAddresses, outsideNetworks, planRoutes, prefixOf, routeText } from "./tunnel_wish.ts";

export interface PeerTarget {
  readonly publicKey: Uint8Array;
  /** Secret; null for none. */
  presharedKey: Uint8Array | null;
  /** Seconds, 0 is off. */
  keepalive: number;
  /** `address/cidr`, host bits cleared. */
  readonly allowedIps: string[];
  /** As the file spells it; null without one. */
  endpointText: string | null;
  /** The numeric form to set if it is to be set; null for none. */
  endpoint: string | null;
  /** What the interface is to look up again by itself. */
  endpointNames: readonly string[];
}

export interface Target {
  /** Secret. Zeros mean: none; null: whatever there is, as a hook may have set it. */
  readonly privateKey: Uint8Array | null;
  /** 0 lets the system choose. */
  readonly listenPort: number;
  readonly isPortChosen: boolean;
  /** 0 is off, or yet to be chosen. */
  readonly fwmark: number;
  /** A mark is needed and none is given. */
  readonly isMarkChosen: boolean;
  /** By public key in base64. */
  readonly peers: ReadonlyMap<string, PeerTarget>;
  /** `address/cidr`. */
  readonly addresses: readonly string[];
  readonly mtu: number;
  /** As `routeText` has them. */
  readonly routes: readonly string[];
  /** Families that are taken as a whole, by a table of our own. */
  readonly defaults: readonly Family[];
  readonly killSwitch: boolean;
  /** Rules that lead marked packets past the tunnel: no others are to be left; null for those that there are. */
  readonly passes: readonly Change[] | null;
  /** What is to be written down once all this is so. */
  readonly applied: Applied;
}

/** Finds the numeric form of an endpoint with a name. */
export type LookUp = (endpoint: EndpointText) => Promise<string>;

/**
 * What the file wants, on this host and now.
 *
 * @param state what is written down, whose `applied` is not null
 * @param status what runs
 * @param lookUp asked for names that are new
 * @throws {HostError} for a table without a number
 */
export async function targetOfFile(
  quick: QuickConfig,
  state: HostState & { readonly applied: Applied },
  status: DeviceStatus,
  link: HostLink,
  lookUp: LookUp,
): Promise<Target> {
  const { config } = quick;
  const { applied } = state;
  const peers = peersOf(config);
  const running = new Set(status.peers.map(({ publicKey }) => encodeBase64(publicKey)));
  await findEndpoints(config, peers, state, running, lookUp);
  const { table, listenPort } = config.interface;
  const addresses = [...new Set(config.interface.addresses.map(formatPrefix))];
  const allowed = [...peers.values()].flatMap(({ allowedIps }) => allowedIps.map(prefixOf));
  const plan = planRoutes(allowed, table, (prefixes) => outsideNetworks(addresses.map(prefixOf), prefixes));
  const killSwitch = quick.killSwitch || applied.isKillSwitchForced;
  const mark = config.interface.fwmark ?? 0;
  const isMarkChosen = mark === 0 && (plan.defaults.length > 0 || killSwitch);
  const routes = plan.routes.map(routeText);
  const mtu = mtuOf(config, peers, state, status, link);
  return {
    privateKey: clamped(config.interface.privateKey),
    listenPort: listenPort || state.port,
    isPortChosen: !listenPort,
    fwmark: isMarkChosen && applied.fwmark === 0 ? state.mark : mark,
    isMarkChosen,
    peers,
    addresses,
    mtu,
    routes,
    defaults: plan.defaults.map(familyOf),
    killSwitch,
    passes: null,
    applied: appliedOf(config, routes, mtu, applied.isKillSwitchForced, applied),
  };
}

/**
 * Whether the file names another endpoint than was last applied. That the peer has roamed since is no difference, nor
 * that a name has another address by now.
 */
export function isOtherEndpoint(wanted: string | null, applied: string | null): boolean {
  return wanted !== applied;
}

/** A peer by itself, as it is in the file's sections together: what a later one says counts. */
function peersOf(config: Config): Map<string, PeerTarget> {
  const peers = new Map<string, PeerTarget>();
  const owners = new Map<string, string>();
  const { privateKey } = config.interface;
  // The interface ignores a peer with its own key.
  const own = privateKey === null || isZero(privateKey) ? "" : encodeBase64(publicKey(privateKey));
  for (const section of config.peers) {
    const key = encodeBase64(section.publicKey);
    if (key === own) continue;
    const former = peers.get(key);
    const peer = former ?? emptyTarget(section.publicKey);
    peers.set(key, peer);
    if (former !== undefined && section.replaceAllowedIps) disown(owners, key);
    if (section.presharedKey !== null) peer.presharedKey = isZero(section.presharedKey) ? null : section.presharedKey;
    takeEndpoints(peer, section);
    peer.keepalive = section.keepalive ?? peer.keepalive;
    takeAllowedIps(owners, key, section);
  }
  for (const [prefix, key] of owners) peers.get(key)?.allowedIps.push(prefix);
  return peers;
}

/** An endpoint without names ends those of an earlier section, as the interface does it. */
function takeEndpoints(peer: PeerTarget, { endpoint, furtherEndpoints }: PeerConfig): void {
  if (endpoint !== null) peer.endpointText = formatEndpointText(endpoint);
  const names = endpointNames([...(endpoint === null ? [] : [endpoint]), ...furtherEndpoints]);
  if (names !== null || endpoint !== null) peer.endpointNames = names ?? [];
}

function disown(owners: Map<string, string>, key: string): void {
  for (const [prefix, owner] of owners) if (owner === key) owners.delete(prefix);
}

/** An allowed IP belongs to the one who names it last. */
function takeAllowedIps(owners: Map<string, string>, key: string, section: PeerConfig): void {
  for (const { address, cidr, remove } of section.allowedIps) {
    const prefix = formatPrefix({ address: maskAddress(address, cidr), cidr });
    if (!remove) owners.set(prefix, key);
    else if (owners.get(prefix) === key) owners.delete(prefix);
  }
}

function emptyTarget(publicKey: Uint8Array): PeerTarget {
  return {
    publicKey,
    presharedKey: null,
    keepalive: 0,
    allowedIps: [],
    endpointText: null,
    endpoint: null,
    endpointNames: [],
  };
}

/** Gives all peers the numeric forms of their endpoints; names that were applied before keep what was found then. */
async function findEndpoints(
  config: Config,
  peers: ReadonlyMap<string, PeerTarget>,
  state: HostState & { readonly applied: Applied },
  running: ReadonlySet<string>,
  lookUp: LookUp,
): Promise<void> {
  for (const { publicKey, endpoint } of config.peers) {
    const key = encodeBase64(publicKey);
    const peer = peers.get(key);
    if (endpoint === null || peer?.endpointText !== formatEndpointText(endpoint)) continue;
    const text = peer.endpointText;
    if (running.has(key) && !isOtherEndpoint(text, state.applied.endpoints[key] ?? null)) {
      peer.endpoint = state.endpoints[text] ?? text;
    } else if (parseEndpoint(text, interfaceIndex) !== null) peer.endpoint = text;
    else peer.endpoint = await lookUp(endpoint);
  }
}

/** What `up` would find; with the same endpoints, what was found when they were last applied. */
function mtuOf(
  config: Config,
  peers: ReadonlyMap<string, PeerTarget>,
  { applied }: HostState & { readonly applied: Applied },
  status: DeviceStatus,
  link: HostLink,
): number {
  if (config.interface.mtu !== null) return config.interface.mtu;
  const named = [...peers].filter(([, { endpointText }]) => endpointText !== null);
  const areSame = named.length === Object.keys(applied.endpoints).length &&
    named.every(([key, { endpointText }]) => !isOtherEndpoint(endpointText, applied.endpoints[key] ?? null));
  return areSame && applied.mtu !== 0 ? applied.mtu : link.discoverMtu(endpointsOf(peers), status.fwmark);
}

function endpointsOf(peers: ReadonlyMap<string, PeerTarget>): Uint8Array[] {
  return endpointAddresses([...peers.values()].map(({ endpoint }) => endpoint));
}

function familyOf({ address }: Prefix): Family {
  return address.length === 4 ? 4 : 6;
}

/** As the interface will have it. */
function clamped(privateKey: Uint8Array | null): Uint8Array | null {
  if (privateKey !== null && !isZero(privateKey)) clampPrivateKey(privateKey);
  return privateKey;
}
