/** Saving a running tunnel to its file: what differs is changed in place, and everything else stays. */
import { equalConstantTime, isZero } from "../crypto/bytes.ts";
import { addKey, addPeer, type ConfigOwner, removeKey, removePeer, setKey } from "../config/config_edit.ts";
import { emptyPeer, type PeerConfig } from "../config/config.ts";
import { ConfigText } from "../config/config_text.ts";
import { formatEndpointText, formatPrefix } from "../config/config_writer.ts";
import { maskAddress } from "../config/values.ts";
import { readInterface } from "../control/interface_client.ts";
import { HostLink } from "../host/host_link.ts";
import type { HostState } from "../host/state.ts";
import { type DeviceStatus, type PeerStatus, wipeStatus } from "../control/uapi_status.ts";
import { encodeBase64 } from "../crypto/encoding.ts";
import { parseAddress } from "../tunnel/address_text.ts";
import { OperatorError } from "./errors.ts";
import type { QuickConfig } from "./quick_config.ts";
import type { Teller } from "./tunnel.ts";

/** Rights of a file that holds keys. */
const PRIVATE = 0o600;

/**
 * Writes to the file what the interface is now.
 *
 * @param state what `up` wrote down, null if another program brought the interface up: what was chosen for the
 * interface, as its mark, is no wish of the operator's and stays out of the file
 */
export async function saveTunnel(quick: QuickConfig, state: HostState | null, tell: Teller): Promise<void> {
  const status = await readInterface(quick.name);
  try {
    using link = HostLink.find(quick.name);
    const before = ConfigText.parse(quick.text);
    let text = saveDevice(before, quick, status, state);
    text = saveLink(text, quick, link);
    text = savePeers(text, quick, status);
    if (text.toString() === quick.text) return;
    tell.step(`save ${quick.file}`);
    replaceFile(quick.file, text.toString());
  } finally {
    wipeStatus(status);
  }
}

function saveDevice(
  text: ConfigText,
  { config }: QuickConfig,
  status: DeviceStatus,
  state: HostState | null,
): ConfigText {
  const { privateKey, listenPort, fwmark } = config.interface;
  if (!isSameKey(privateKey, status.privateKey)) {
    text = setOrRemove(text, "interface", "PrivateKey", status.privateKey && encodeBase64(status.privateKey));
  }
  const port = status.listenPort;
  if (port !== (listenPort ?? 0) && !(listenPort === null && port === state?.port)) {
    text = setOrRemove(text, "interface", "ListenPort", port === 0 ? null : `${port}`);
  }
  const mark = status.fwmark;
  if (mark !== (fwmark ?? 0) && !(fwmark === null && mark === state?.mark)) {
    text = setOrRemove(text, "interface", "FwMark", mark === 0 ? null : `0x${mark.toString(16)}`);
  }
  return text;
}

function saveLink(text: ConfigText, { config }: QuickConfig, link: HostLink): ConfigText {
  const { addresses, mtu } = config.interface;
  const running = link.addresses().map(formatPrefix);
  if (!isSameSet(running, addresses.map(formatPrefix))) {
    text = removeKey(text, "interface", "Address");
    for (const address of running) text = addKey(text, "interface", "Address", address);
  }
  if (mtu !== null && mtu !== link.mtu) text = setKey(text, "interface", "MTU", `${link.mtu}`);
  return text;
}

function savePeers(text: ConfigText, { config }: QuickConfig, { peers }: DeviceStatus): ConfigText {
  for (const { publicKey } of config.peers) {
    if (!peers.some((peer) => equalConstantTime(peer.publicKey, publicKey))) text = removePeer(text, publicKey);
  }
  for (const peer of peers) {
    const listed = config.peers.filter(({ publicKey }) => equalConstantTime(publicKey, peer.publicKey));
    if (listed.length === 0) text = addPeer(text, peer.publicKey);
    text = savePeer(text, merged(peer.publicKey, listed), peer);
  }
  return text;
}

function savePeer(text: ConfigText, listed: PeerConfig, peer: PeerStatus): ConfigText {
  const owner = { peer: peer.publicKey };
  if (!isSameKey(listed.presharedKey, peer.presharedKey)) {
    text = setOrRemove(text, owner, "PresharedKey", peer.presharedKey && encodeBase64(peer.presharedKey));
  }
  const allowed = listed.allowedIps.filter(({ remove }) => !remove)
    .map(({ address, cidr }) => formatPrefix({ address: maskAddress(address, cidr), cidr }));
  if (!isSameSet(allowed, peer.allowedIps)) {
    text = removeKey(text, owner, "AllowedIPs");
    if (peer.allowedIps.length > 0) text = setKey(text, owner, "AllowedIPs", peer.allowedIps.join(", "));
  }
  // A name says more than the address that it had when it was asked for, and several endpoints more than the present one.
  const isNamed = listed.furtherEndpoints.length > 0 ||
    (listed.endpoint !== null && parseAddress(listed.endpoint.host.replace(/%.*/, "")) === null);
  const endpoint = listed.endpoint && formatEndpointText(listed.endpoint);
  if (peer.endpoint !== null && !isNamed && endpoint !== peer.endpoint) {
    text = setKey(text, owner, "Endpoint", peer.endpoint);
  }
  const keepalive = peer.persistentKeepalive;
  if ((listed.keepalive ?? 0) === keepalive) return text;
  return setOrRemove(text, owner, "PersistentKeepalive", keepalive === 0 ? null : `${keepalive}`);
}

/** What several sections of one peer say together. */
function merged(publicKey: Uint8Array, listed: readonly PeerConfig[]): PeerConfig {
  const peer = emptyPeer(publicKey);
  for (const { presharedKey, endpoint, furtherEndpoints, allowedIps, keepalive } of listed) {
    peer.furtherEndpoints.push(...furtherEndpoints);
    peer.presharedKey = presharedKey ?? peer.presharedKey;
    peer.endpoint = endpoint ?? peer.endpoint;
    peer.keepalive = keepalive ?? peer.keepalive;
    peer.allowedIps.splice(0, peer.allowedIps.length, ...allowedIps);
  }
  return peer;
}

function setOrRemove(text: ConfigText, owner: ConfigOwner, key: string, value: string | null): ConfigText {
  return value === null ? removeKey(text, owner, key) : setKey(text, owner, key, value);
}

/** Null and zeros both mean that there is none. */
function isSameKey(a: Uint8Array | null, b: Uint8Array | null): boolean {
  const [left, right] = [a, b].map((key) => key === null || isZero(key) ? null : key);
  return left === null || right === null ? left === right : equalConstantTime(left, right);
}

function isSameSet(a: readonly string[], b: readonly string[]): boolean {
  return [...new Set(a)].sort().join() === [...new Set(b)].sort().join();
}

/** A reader sees the former file or this one, and no one but root sees either. */
function replaceFile(path: string, text: string): void {
  const real = Deno.realPathSync(path);
  const draft = `${real}.tmp`;
  try {
    const file = Deno.openSync(draft, { write: true, create: true, truncate: true, mode: PRIVATE });
    try {
      const bytes = new TextEncoder().encode(text);
      for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
      file.syncSync();
      bytes.fill(0);
    } finally {
      file.close();
    }
    Deno.chmodSync(draft, PRIVATE);
    Deno.renameSync(draft, real);
  } catch (error) {
    if (!(error instanceof Error) || error instanceof Deno.errors.NotCapable) throw error;
    throw new OperatorError(`cannot save ${path}: ${error.message}`);
  }
}
