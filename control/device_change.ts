/** What is to change about an interface, for any kind of interface: as `wg` thinks of it, not as a socket wants it. */
import { wipe } from "../crypto/bytes.ts";
import type { SetStatement } from "./uapi_request.ts";

export interface AllowedIpChange {
  /** 4 or 16 bytes, host bits cleared. */
  readonly address: Uint8Array;
  readonly cidr: number;
  /** Take it from the peer. */
  readonly remove: boolean;
}

/** Null leaves a value as it is. */
export interface PeerChange {
  readonly publicKey: Uint8Array;
  /** Then nothing else counts. */
  remove: boolean;
  /** Secret; zeros remove it. */
  presharedKey: Uint8Array | null;
  /** A 48-byte record of endpoint.ts. */
  endpoint: Uint8Array | null;
  /**
   * Names and further addresses of the endpoint, as `host:port` in ASCII, in order; null leaves them as they are, but an
   * endpoint alone clears them. Only our own interfaces keep them.
   */
  endpointNames: readonly string[] | null;
  /** Seconds, 0 is off. */
  keepalive: number | null;
  replaceAllowedIps: boolean;
  readonly allowedIps: AllowedIpChange[];
}

/** Null leaves a value as it is. */
export interface DeviceChange {
  /** Secret; zeros remove it. */
  privateKey: Uint8Array | null;
  /** 0 lets the system choose. */
  listenPort: number | null;
  /** 0 is off. */
  fwmark: number | null;
  /** Lines of the resolv.conf that names are to be looked up by; empty for the host's. Only our own interfaces. */
  dns: readonly string[] | null;
  replacePeers: boolean;
  readonly peers: PeerChange[];
}

/** A change of nothing. */
export function emptyChange(): DeviceChange {
  return { privateKey: null, listenPort: null, fwmark: null, dns: null, replacePeers: false, peers: [] };
}

/** A peer that is made if it is not there, and else left as it is. */
export function emptyPeerChange(publicKey: Uint8Array): PeerChange {
  return {
    publicKey,
    remove: false,
    presharedKey: null,
    endpoint: null,
    endpointNames: null,
    keepalive: null,
    replaceAllowedIps: false,
    allowedIps: [],
  };
}

/** Whether something of a change is for our own interfaces alone. */
export function hasExtensions({ dns, peers }: DeviceChange): boolean {
  return dns !== null || peers.some(({ endpointNames }) => endpointNames !== null);
}

/**
 * The change as lines of the control socket, in `wg`'s order. The statements share the change's bytes.
 *
 * @param isOurs the interface knows our extensions
 */
export function statementsOf(change: DeviceChange, isOurs = false): SetStatement[] {
  const statements: SetStatement[] = [];
  if (change.privateKey !== null) statements.push({ key: "private_key", value: change.privateKey });
  if (change.listenPort !== null) statements.push({ key: "listen_port", value: change.listenPort });
  if (change.fwmark !== null) statements.push({ key: "fwmark", value: change.fwmark });
  if (isOurs && change.dns !== null) {
    statements.push({ key: "culvert_replace_dns" });
    for (const value of change.dns) statements.push({ key: "culvert_dns", value });
  }
  if (change.replacePeers) statements.push({ key: "replace_peers" });
  for (const peer of change.peers) pushPeer(statements, peer, isOurs);
  return statements;
}

/** Erases the secret keys. */
export function wipeChange(change: DeviceChange): void {
  if (change.privateKey !== null) wipe(change.privateKey);
  for (const { presharedKey } of change.peers) if (presharedKey !== null) wipe(presharedKey);
}

function pushPeer(statements: SetStatement[], peer: PeerChange, isOurs: boolean): void {
  statements.push({ key: "public_key", value: peer.publicKey });
  if (peer.remove) {
    statements.push({ key: "remove" });
    return;
  }
  if (peer.presharedKey !== null) statements.push({ key: "preshared_key", value: peer.presharedKey });
  if (peer.endpoint !== null) statements.push({ key: "endpoint", value: peer.endpoint });
  if (isOurs && peer.endpointNames !== null) {
    statements.push({ key: "culvert_replace_endpoints" });
    for (const value of peer.endpointNames) statements.push({ key: "culvert_endpoint", value });
  }
  if (peer.keepalive !== null) statements.push({ key: "persistent_keepalive_interval", value: peer.keepalive });
  if (peer.replaceAllowedIps) statements.push({ key: "replace_allowed_ips" });
  for (const allowedIp of peer.allowedIps) statements.push({ key: "allowed_ip", ...allowedIp });
}
