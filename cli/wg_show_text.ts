/** A running interface as text: for people, as single fields, and as a file. All of it byte for byte as `wg` writes it. */
import type { DeviceStatus, PeerStatus } from "../control/uapi_status.ts";
import { encodeBase64 } from "../crypto/encoding.ts";
import { publicKey } from "../crypto/x25519.ts";
import { formatAgo, formatBytes, formatDuration } from "./wg_amounts.ts";
import { BOLD, CYAN, GREEN, RESET, YELLOW } from "./wg_colors.ts";

export interface HumanOptions {
  /** Unix seconds. */
  readonly now: number;
  /** WG_HIDE_KEYS is `never`. */
  readonly showsKeys: boolean;
  /** Tell what `wg` does not know of: names of endpoints. */
  readonly showsNames?: boolean;
}

const NONE = "(none)";

/** For people, with colours. */
export function formatHuman(name: string, device: DeviceStatus, options: HumanOptions): string {
  const { privateKey, listenPort, fwmark } = device;
  let text = `${RESET}${GREEN}${BOLD}interface${RESET}: ${GREEN}${name}${RESET}\n`;
  if (privateKey !== null) {
    text += field("public key", encodeBase64(publicKey(privateKey)));
    text += field("private key", secret(privateKey, options));
  }
  if (listenPort !== 0) text += field("listening port", `${listenPort}`);
  if (fwmark !== 0) text += field("fwmark", hex(fwmark));
  for (const peer of newestFirst(device.peers)) text += `\n${humanPeer(peer, options)}`;
  return text;
}

/** What a single field prints; null if there is no such field. */
export function formatField(name: string, device: DeviceStatus, field: string, withName: boolean): string | null {
  const lines = field === "dump" ? dumpLines(device) : deviceField(device, field) ?? peerField(device.peers, field);
  const prefix = withName ? `${name}\t` : "";
  return lines === null ? null : lines.map((line) => `${prefix}${line}\n`).join("");
}

/** A file for `setconf`. */
export function formatShowconf(device: DeviceStatus): string {
  let text = "[Interface]\n";
  if (device.listenPort !== 0) text += `ListenPort = ${device.listenPort}\n`;
  if (device.fwmark !== 0) text += `FwMark = ${hex(device.fwmark)}\n`;
  if (device.privateKey !== null) text += `PrivateKey = ${encodeBase64(device.privateKey)}\n`;
  text += "\n";
  return text + device.peers.map(showconfPeer).join("\n");
}

function humanPeer(peer: PeerStatus, options: HumanOptions): string {
  let text = `${YELLOW}${BOLD}peer${RESET}: ${YELLOW}${encodeBase64(peer.publicKey)}${RESET}\n`;
  if (peer.presharedKey !== null) text += field("preshared key", secret(peer.presharedKey, options));
  if (peer.endpoint !== null) text += field("endpoint", peer.endpoint);
  if (options.showsNames && peer.endpointNames.length > 0) {
    text += field("endpoint names", peer.endpointNames.join(", "));
  }
  const allowedIps = peer.allowedIps.map((prefix) => prefix.replace("/", `${CYAN}/${RESET}`)).join(", ");
  text += field("allowed ips", allowedIps || NONE);
  if (peer.lastHandshakeSeconds !== 0) {
    text += field("latest handshake", formatAgo(peer.lastHandshakeSeconds, options.now));
  }
  if (peer.rxBytes !== 0 || peer.txBytes !== 0) {
    text += field("transfer", `${formatBytes(peer.rxBytes)} received, ${formatBytes(peer.txBytes)} sent`);
  }
  if (peer.persistentKeepalive !== 0) {
    text += field("persistent keepalive", `every ${formatDuration(peer.persistentKeepalive)}`);
  }
  return text;
}

function field(name: string, value: string): string {
  return `  ${BOLD}${name}${RESET}: ${value}\n`;
}

function secret(key: Uint8Array, { showsKeys }: HumanOptions): string {
  return showsKeys ? encodeBase64(key) : "(hidden)";
}

/** The newest handshake first, those without one last, else as they are. */
function newestFirst(peers: readonly PeerStatus[]): PeerStatus[] {
  return [...peers].sort((a, b) =>
    b.lastHandshakeSeconds - a.lastHandshakeSeconds || b.lastHandshakeNanoseconds - a.lastHandshakeNanoseconds
  );
}

function deviceField(device: DeviceStatus, field: string): string[] | null {
  switch (field) {
    case "public-key":
      return [device.privateKey === null ? NONE : encodeBase64(publicKey(device.privateKey))];
    case "private-key":
      return [maybeKey(device.privateKey)];
    case "listen-port":
      return [`${device.listenPort}`];
    case "fwmark":
      return [device.fwmark === 0 ? "off" : hex(device.fwmark)];
    default:
      return null;
  }
}

function peerField(peers: readonly PeerStatus[], field: string): string[] | null {
  if (field === "peers") return peers.map((peer) => encodeBase64(peer.publicKey));
  const value = peerValue(field);
  return value === null ? null : peers.map((peer) => `${encodeBase64(peer.publicKey)}\t${value(peer)}`);
}

function peerValue(field: string): ((peer: PeerStatus) => string) | null {
  switch (field) {
    case "preshared-keys":
      return ({ presharedKey }) => maybeKey(presharedKey);
    case "endpoints":
      return ({ endpoint }) => endpoint ?? NONE;
    case "allowed-ips":
      return ({ allowedIps }) => allowedIps.join(" ") || NONE;
    case "latest-handshakes":
      return ({ lastHandshakeSeconds }) => `${lastHandshakeSeconds}`;
    case "transfer":
      return ({ rxBytes, txBytes }) => `${rxBytes}\t${txBytes}`;
    case "persistent-keepalive":
      return ({ persistentKeepalive }) => keepaliveText(persistentKeepalive);
    default:
      return null;
  }
}

function dumpLines(device: DeviceStatus): string[] {
  const own = ["private-key", "public-key", "listen-port", "fwmark"].flatMap((name) => deviceField(device, name) ?? []);
  const peers = device.peers.map((peer) => [
    encodeBase64(peer.publicKey),
    maybeKey(peer.presharedKey),
    peer.endpoint ?? NONE,
    peer.allowedIps.join(",") || NONE,
    peer.lastHandshakeSeconds,
    peer.rxBytes,
    peer.txBytes,
    keepaliveText(peer.persistentKeepalive),
  ]);
  return [own, ...peers].map((columns) => columns.join("\t"));
}

function showconfPeer(peer: PeerStatus): string {
  let text = `[Peer]\nPublicKey = ${encodeBase64(peer.publicKey)}\n`;
  if (peer.presharedKey !== null) text += `PresharedKey = ${encodeBase64(peer.presharedKey)}\n`;
  if (peer.allowedIps.length > 0) text += `AllowedIPs = ${peer.allowedIps.join(", ")}\n`;
  if (peer.endpoint !== null) text += `Endpoint = ${peer.endpoint}\n`;
  if (peer.persistentKeepalive !== 0) text += `PersistentKeepalive = ${peer.persistentKeepalive}\n`;
  return text;
}

function maybeKey(key: Uint8Array | null): string {
  return key === null ? NONE : encodeBase64(key);
}

function keepaliveText(seconds: number): string {
  return seconds === 0 ? "off" : `${seconds}`;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
