/**
 * Running interfaces as JSON, in the shape of wireguard-tools' `wg-json`: zero and none are left out, secrets are not.
 * What culvert adds: `drops`, counts of dropped packets by reason, and `endpointNames`, what a peer's endpoint is called.
 */
import type { DeviceStatus, PeerStatus } from "../control/uapi_status.ts";
import { encodeBase64 } from "../crypto/encoding.ts";
import { publicKey } from "../crypto/x25519.ts";

/** @param devices by name */
export function formatJson(devices: ReadonlyMap<string, DeviceStatus>): string {
  const shown = Object.fromEntries([...devices].map(([name, device]) => [name, deviceJson(device)]));
  return `${JSON.stringify(shown, null, 2)}\n`;
}

function deviceJson(device: DeviceStatus): Record<string, unknown> {
  const { privateKey, listenPort, fwmark, peers, drops } = device;
  return {
    privateKey: privateKey === null ? undefined : encodeBase64(privateKey),
    publicKey: privateKey === null ? undefined : encodeBase64(publicKey(privateKey)),
    listenPort: listenPort || undefined,
    fwmark: fwmark || undefined,
    drops: dropsJson(drops),
    peers: Object.fromEntries(peers.map((peer) => [encodeBase64(peer.publicKey), peerJson(peer)])),
  };
}

function peerJson(peer: PeerStatus): Record<string, unknown> {
  return {
    presharedKey: peer.presharedKey === null ? undefined : encodeBase64(peer.presharedKey),
    endpoint: peer.endpoint ?? undefined,
    endpointNames: peer.endpointNames.length === 0 ? undefined : peer.endpointNames,
    latestHandshake: peer.lastHandshakeSeconds || undefined,
    transferRx: peer.rxBytes || undefined,
    transferTx: peer.txBytes || undefined,
    persistentKeepalive: peer.persistentKeepalive || undefined,
    allowedIps: peer.allowedIps,
    drops: dropsJson(peer.drops),
  };
}

/** Reasons have the names of reasons.ts. */
function dropsJson(drops: ReadonlyMap<string, number>): Record<string, number> | undefined {
  const counted = [...drops].filter(([, count]) => count !== 0);
  if (counted.length === 0) return undefined;
  return Object.fromEntries(counted.map(([reason, count]) => [reason.replaceAll("_", "-"), count]));
}
