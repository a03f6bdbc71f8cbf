/** What a tunnel is now: the interface's own configuration, and the host around it. */
import { formatPrefix } from "../config/config_writer.ts";
import type { DeviceStatus, PeerStatus } from "../control/uapi_status.ts";
import { encodeBase64 } from "../crypto/encoding.ts";
import { hasKillSwitch } from "../host/firewall.ts";
import { FAMILIES, type Family, type FullTunnel } from "../host/full_tunnel.ts";
import type { HostLink } from "../host/host_link.ts";
import { TABLE_MAIN } from "../host/routing.ts";
import type { Applied, Change, HostState } from "../host/state.ts";
import type { PeerTarget, Target } from "./tunnel_target.ts";
import { parseRouteText, routeText } from "./tunnel_wish.ts";

/** A state whose interface is up. */
export type UpState = HostState & { readonly applied: Applied };

export interface Present {
  /** Holds secrets. */
  readonly status: DeviceStatus;
  /** `address/cidr`, also those of others. */
  readonly addresses: readonly string[];
  /** As `routeText` has them, also those of others. */
  readonly routes: readonly string[];
  /** Families that are taken, with everything that belongs to it. */
  readonly defaults: readonly Family[];
  /** Families of which something is written down, be it there or not. */
  readonly begun: readonly Family[];
  readonly mtu: number;
  readonly isUp: boolean;
  readonly killSwitch: boolean;
  /** Rules of ours that lead marked packets past the tunnel. */
  readonly passes: readonly Change[];
  /** What is written down. */
  readonly mark: number;
  readonly port: number;
  readonly applied: Applied;
}

/** @param wanted routes whose tables are to be looked into, beside those that are written down */
export function readPresent(
  status: DeviceStatus,
  state: UpState,
  link: HostLink,
  full: FullTunnel,
  wanted: readonly string[],
): Present {
  const { applied, mark, port, changes } = state;
  const tables = new Set([TABLE_MAIN, ...[...applied.routes, ...wanted].map((text) => parseRouteText(text).table)]);
  return {
    status,
    addresses: link.allAddresses().map(formatPrefix),
    routes: [...tables].flatMap((table) => link.routes(table).map((prefix) => routeText({ prefix, table }))),
    defaults: FAMILIES.filter((family) => full.isTaken(family)),
    begun: FAMILIES.filter((family) =>
      changes.some((change) => (change.kind === "rule" || change.kind === "nft-table") && change.family === family)
    ),
    mtu: link.mtu,
    isUp: link.isUp,
    killSwitch: hasKillSwitch(state),
    passes: full.passes(),
    mark,
    port,
    applied,
  };
}

/** The present as something to go back to. It shares the secrets of the status. */
export function asTarget(present: Present): Target {
  const { status, applied } = present;
  const isMarkChosen = applied.fwmark === 0 && status.fwmark !== 0 && status.fwmark === present.mark;
  return {
    privateKey: status.privateKey ?? new Uint8Array(32),
    listenPort: status.listenPort,
    isPortChosen: status.listenPort === present.port,
    fwmark: status.fwmark,
    isMarkChosen,
    peers: new Map(status.peers.map((peer) => {
      const key = encodeBase64(peer.publicKey);
      return [key, asPeerTarget(peer, applied.endpoints[key] ?? null)];
    })),
    addresses: applied.addresses.filter((address) => present.addresses.includes(address)),
    mtu: present.mtu,
    routes: applied.routes.filter((route) => present.routes.includes(route)),
    defaults: present.defaults,
    killSwitch: present.killSwitch,
    passes: present.passes,
    applied,
  };
}

function asPeerTarget(peer: PeerStatus, endpointText: string | null): PeerTarget {
  const { publicKey, presharedKey, persistentKeepalive, allowedIps, endpoint, endpointNames } = peer;
  return { publicKey, presharedKey, keepalive: persistentKeepalive, allowedIps, endpointText, endpoint, endpointNames };
}
