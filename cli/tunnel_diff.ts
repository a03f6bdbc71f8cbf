/** The difference between what a tunnel is and what it is to be, and how the one becomes the other. Pure. */
import { type DeviceChange, emptyChange, emptyPeerChange, type PeerChange } from "../control/device_change.ts";
import { interfaceIndex } from "../control/interface_index.ts";
import type { PeerStatus } from "../control/uapi_status.ts";
import { equalConstantTime, isZero } from "../crypto/bytes.ts";
import { encodeBase64 } from "../crypto/encoding.ts";
import type { Family } from "../host/full_tunnel.ts";
import { parseEndpoint } from "../tunnel/address_text.ts";
import { planHost } from "./tunnel_diff_host.ts";
import type { Present } from "./tunnel_present.ts";
import { isOtherEndpoint, type PeerTarget, type Target } from "./tunnel_target.ts";
import { prefixOf } from "./tunnel_wish.ts";

const KEY_BYTES = 32;

/** One thing that differs, for the operator's eyes: nothing secret is in it. */
export interface Difference {
  readonly op: "add" | "remove" | "change";
  /** `address`, `route`, `allowed-ip`, `listen-port`, … */
  readonly what: string;
  /** Whose; the public key in base64. */
  readonly peer?: string;
  /** Null where the value is secret, or there is none. */
  readonly from: string | null;
  readonly to: string | null;
}

/** What happens on the host. */
export interface HostPlan {
  readonly addAddresses: readonly string[];
  readonly removeAddresses: readonly string[];
  readonly addRoutes: readonly string[];
  readonly removeRoutes: readonly string[];
  readonly take: readonly Family[];
  /** Those whose mark and table change. */
  readonly move: readonly Family[];
  readonly release: readonly Family[];
  /** Null leaves it as it is. */
  readonly mtu: number | null;
  readonly killSwitch: boolean | null;
  /** Name servers are to be set anew; without any, those before are to come back. */
  readonly dns: boolean;
}

export interface Plan {
  readonly differences: readonly Difference[];
  /** What the interface is asked for, all but the mark. It shares secrets with the target. */
  readonly device: DeviceChange;
  /** The new mark; null leaves it, 0 ends it, -1 is one that is yet to be chosen. */
  readonly mark: number | null;
  readonly host: HostPlan;
}

export const MARK_TO_CHOOSE = -1;

/** What must happen for `present` to become `target`. */
export function planChange(present: Present, target: Target): Plan {
  const differences: Difference[] = [];
  const device = emptyChange();
  planDevice(present, target, device, differences);
  const mark = planMark(present, target, differences);
  planPeers(present, target, device, differences);
  const host = planHost(present, target, mark, differences);
  return { differences, device, mark, host };
}

function planDevice(present: Present, target: Target, device: DeviceChange, differences: Difference[]): void {
  const { status } = present;
  if (target.privateKey !== null && !isSameKey(status.privateKey, target.privateKey)) {
    device.privateKey = target.privateKey;
    differences.push(change("private-key", null, null));
  }
  if (target.listenPort === status.listenPort && target.listenPort !== 0) return;
  device.listenPort = target.listenPort;
  differences.push(
    change("listen-port", `${status.listenPort}`, target.listenPort === 0 ? "any" : `${target.listenPort}`),
  );
}

function planMark({ status }: Present, target: Target, differences: Difference[]): number | null {
  const wanted = target.isMarkChosen && target.fwmark === 0 ? MARK_TO_CHOOSE : target.fwmark;
  if (wanted === status.fwmark) return null;
  differences.push(change("fwmark", markText(status.fwmark), wanted === MARK_TO_CHOOSE ? "any" : markText(wanted)));
  return wanted;
}

/** First those that are new or gain something, so that an allowed IP that moves always has an owner. */
function planPeers(present: Present, target: Target, device: DeviceChange, differences: Difference[]): void {
  const running = new Map(present.status.peers.map((peer) => [encodeBase64(peer.publicKey), peer]));
  const removals: PeerChange[] = [];
  for (const [key, peer] of target.peers) {
    const former = running.get(key);
    const planned = former === undefined
      ? newPeer(key, peer, differences)
      : changedPeer(key, former, peer, present, differences);
    if (planned !== null) device.peers.push(planned);
  }
  for (const [key, peer] of running) {
    if (target.peers.has(key)) continue;
    removals.push({ ...emptyPeerChange(peer.publicKey), remove: true });
    differences.push({ op: "remove", what: "peer", peer: key, from: null, to: null });
  }
  device.peers.push(...removals);
}

function newPeer(key: string, peer: PeerTarget, differences: Difference[]): PeerChange {
  const change = emptyPeerChange(peer.publicKey);
  change.presharedKey = peer.presharedKey;
  change.keepalive = peer.keepalive;
  change.endpoint = endpointRecord(peer.endpoint);
  if (peer.endpointNames.length > 0) change.endpointNames = peer.endpointNames;
  change.replaceAllowedIps = true;
  for (const text of peer.allowedIps) change.allowedIps.push({ ...prefixOf(text), remove: false });
  const details = [
    peer.presharedKey === null ? "" : "with a preshared key",
    peer.endpoint === null ? "" : `endpoint ${peer.endpointText ?? peer.endpoint}`,
    peer.allowedIps.length === 0 ? "" : `allowed ips ${peer.allowedIps.join(", ")}`,
    peer.keepalive === 0 ? "" : `keepalive ${peer.keepalive}`,
  ];
  const to = details.filter((detail) => detail !== "").join("; ");
  differences.push({ op: "add", what: "peer", peer: key, from: null, to: to === "" ? null : to });
  return change;
}

/** @returns null if nothing differs */
function changedPeer(
  key: string,
  running: PeerStatus,
  peer: PeerTarget,
  present: Present,
  differences: Difference[],
): PeerChange | null {
  const planned = emptyPeerChange(peer.publicKey);
  const before = differences.length;
  if (!isSameKey(running.presharedKey, peer.presharedKey)) {
    planned.presharedKey = peer.presharedKey ?? new Uint8Array(KEY_BYTES);
    const op = running.presharedKey === null ? "add" : peer.presharedKey === null ? "remove" : "change";
    differences.push({ op, what: "preshared-key", peer: key, from: null, to: null });
  }
  planEndpoint(key, running, peer, present, planned, differences);
  if (running.persistentKeepalive !== peer.keepalive) {
    planned.keepalive = peer.keepalive;
    differences.push(change("keepalive", secondsText(running.persistentKeepalive), secondsText(peer.keepalive), key));
  }
  planAllowedIps(key, running.allowedIps, peer.allowedIps, planned, differences);
  return differences.length === before ? null : planned;
}

/** Whoever sets the endpoint ends the names that were known for it, so they are told again. */
function planEndpoint(
  key: string,
  running: PeerStatus,
  peer: PeerTarget,
  { applied, status }: Present,
  planned: PeerChange,
  differences: Difference[],
): void {
  const { endpoint, endpointText, endpointNames } = peer;
  const formerEndpoint = applied.endpoints[key] ?? null;
  const haveNamesChanged = status.features.includes("endpoints") &&
    endpointNames.join(" ") !== running.endpointNames.join(" ");
  if (endpoint !== null && isOtherEndpoint(endpointText, formerEndpoint)) {
    planned.endpoint = endpointRecord(endpoint);
    if (endpointNames.length > 0) planned.endpointNames = endpointNames;
    differences.push(change("endpoint", formerEndpoint ?? running.endpoint, endpointText ?? endpoint, key));
  } else if (haveNamesChanged) {
    planned.endpointNames = endpointNames;
    differences.push(change("endpoint-names", namesText(running.endpointNames), namesText(endpointNames), key));
  }
}

function planAllowedIps(
  key: string,
  running: readonly string[],
  wanted: readonly string[],
  planned: PeerChange,
  differences: Difference[],
): void {
  for (const text of without(wanted, running)) {
    planned.allowedIps.push({ ...prefixOf(text), remove: false });
    differences.push({ op: "add", what: "allowed-ip", peer: key, from: null, to: text });
  }
  for (const text of without(running, wanted)) {
    planned.allowedIps.push({ ...prefixOf(text), remove: true });
    differences.push({ op: "remove", what: "allowed-ip", peer: key, from: text, to: null });
  }
}

/** What of `list` is not in `other`. */
export function without<T>(list: readonly T[], other: readonly T[]): T[] {
  const others = new Set(other);
  return list.filter((each) => !others.has(each));
}

function change(what: string, from: string | null, to: string | null, peer?: string): Difference {
  return { op: "change", what, ...peer === undefined ? {} : { peer }, from, to };
}

function endpointRecord(text: string | null): Uint8Array | null {
  return text === null ? null : parseEndpoint(text, interfaceIndex);
}

function markText(mark: number): string {
  return mark === 0 ? "off" : `0x${mark.toString(16)}`;
}

function namesText(names: readonly string[]): string {
  return names.length === 0 ? "none" : names.join(", ");
}

function secondsText(seconds: number): string {
  return seconds === 0 ? "off" : `${seconds}`;
}

/** Null and zeros both mean that there is none. */
function isSameKey(a: Uint8Array | null, b: Uint8Array | null): boolean {
  const [left, right] = [a, b].map((key) => key === null || isZero(key) ? null : key);
  return left === null || right === null ? left === right : equalConstantTime(left, right);
}
