/** A configuration as values: what a file says, whoever wrote it. */
import type { AllowedIpText, EndpointText } from "./values.ts";

/** `# @key = value`: what WireGuard has no key for. Repeated keys stay repeated. */
export interface Annotation {
  /** In lower case: `endpoint`, `name`, `kill-switch`, … */
  readonly key: string;
  readonly value: string;
}

/** An address of the interface; host bits belong to it. */
export interface InterfaceAddress {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly cidr: number;
}

export interface InterfaceConfig {
  /** Secret. Zeros mean: remove it. Null if not given. */
  privateKey: Uint8Array | null;
  listenPort: number | null;
  /** 0 is off. */
  fwmark: number | null;
  readonly annotations: Annotation[];

  // Of wg-quick.
  readonly addresses: InterfaceAddress[];
  readonly dnsServers: string[];
  readonly dnsSearch: string[];
  mtu: number | null;
  /** "auto", "off", or a routing table's number or name. */
  table: string;
  readonly preUp: string[];
  readonly postUp: string[];
  readonly preDown: string[];
  readonly postDown: string[];
  saveConfig: boolean;
}

export interface PeerConfig {
  publicKey: Uint8Array;
  /** Secret. Zeros mean: remove it. Null if not given. */
  presharedKey: Uint8Array | null;
  endpoint: EndpointText | null;
  /** Of `# @endpoint` lines: where else the peer may be. */
  readonly furtherEndpoints: EndpointText[];
  readonly allowedIps: AllowedIpText[];
  /** The allowed IPs take the place of the former ones. */
  replaceAllowedIps: boolean;
  /** Seconds, 0 is off. */
  keepalive: number | null;
  readonly annotations: Annotation[];
}

export interface Config {
  readonly interface: InterfaceConfig;
  readonly peers: PeerConfig[];
}

/** A configuration that says nothing. */
export function emptyConfig(): Config {
  return {
    interface: {
      privateKey: null,
      listenPort: null,
      fwmark: null,
      annotations: [],
      addresses: [],
      dnsServers: [],
      dnsSearch: [],
      mtu: null,
      table: "auto",
      preUp: [],
      postUp: [],
      preDown: [],
      postDown: [],
      saveConfig: false,
    },
    peers: [],
  };
}

/** A peer of which only the key is said; a `[Peer]` section replaces the allowed IPs even if it names none. */
export function emptyPeer(publicKey: Uint8Array): PeerConfig {
  return {
    publicKey,
    presharedKey: null,
    endpoint: null,
    furtherEndpoints: [],
    allowedIps: [],
    replaceAllowedIps: true,
    keepalive: null,
    annotations: [],
  };
}

/** Erases the secret keys. */
export function wipeConfig(config: Config): void {
  config.interface.privateKey?.fill(0);
  for (const peer of config.peers) peer.presharedKey?.fill(0);
}
