/** From values to a file: what `wg-quick` reads, in the order in which people write it. */
import { encodeBase64 } from "../crypto/encoding.ts";
import { formatAddress } from "../tunnel/address_text.ts";
import type { Annotation, Config, InterfaceConfig, PeerConfig } from "./config.ts";
import type { AllowedIpText, EndpointText } from "./values.ts";

/** The whole file. It holds secrets. */
export function formatConfig(config: Config): string {
  return [interfaceLines(config.interface), ...config.peers.map(peerLines)]
    .map((lines) => lines.map((line) => `${line}\n`).join("")).join("\n");
}

/** `host:port`, an IPv6 address in brackets. */
export function formatEndpointText({ host, port }: EndpointText): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** `address/cidr`. */
export function formatPrefix({ address, cidr }: { readonly address: Uint8Array; readonly cidr: number }): string {
  return `${formatAddress(address)}/${cidr}`;
}

function interfaceLines(config: InterfaceConfig): string[] {
  const { dnsServers, dnsSearch } = config;
  return [
    "[Interface]",
    ...annotationLines(config.annotations),
    ...optional("PrivateKey", config.privateKey && encodeBase64(config.privateKey)),
    ...optional("ListenPort", config.listenPort),
    ...optional("FwMark", config.fwmark && `0x${config.fwmark.toString(16)}`),
    ...list("Address", config.addresses.map(formatPrefix)),
    ...list("DNS", [...dnsServers, ...dnsSearch]),
    ...optional("MTU", config.mtu),
    ...optional("Table", config.table === "auto" ? null : config.table),
    ...config.preUp.map((hook) => `PreUp = ${hook}`),
    ...config.postUp.map((hook) => `PostUp = ${hook}`),
    ...config.preDown.map((hook) => `PreDown = ${hook}`),
    ...config.postDown.map((hook) => `PostDown = ${hook}`),
    ...optional("SaveConfig", config.saveConfig ? "true" : null),
  ];
}

function peerLines(peer: PeerConfig): string[] {
  return [
    "[Peer]",
    ...annotationLines(peer.annotations),
    `PublicKey = ${encodeBase64(peer.publicKey)}`,
    ...optional("PresharedKey", peer.presharedKey && encodeBase64(peer.presharedKey)),
    ...optional("Endpoint", peer.endpoint && formatEndpointText(peer.endpoint)),
    ...list("AllowedIPs", peer.allowedIps.map((ip) => allowedIpText(ip, peer.replaceAllowedIps))),
    ...optional("PersistentKeepalive", peer.keepalive),
  ];
}

function allowedIpText(ip: AllowedIpText, replace: boolean): string {
  const sign = ip.remove ? "-" : replace ? "" : "+";
  return sign + formatPrefix(ip);
}

function annotationLines(annotations: readonly Annotation[]): string[] {
  return annotations.map(({ key, value }) => `# @${key} = ${value}`);
}

function optional(key: string, value: string | number | null): string[] {
  return value === null ? [] : [`${key} = ${value}`];
}

function list(key: string, values: readonly string[]): string[] {
  return values.length === 0 ? [] : [`${key} = ${values.join(", ")}`];
}
