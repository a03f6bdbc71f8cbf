/** What a configuration can get wrong although every line of it is right. Findings never hold keys. */
import { equalConstantTime } from "../crypto/bytes.ts";
import { publicKey } from "../crypto/x25519.ts";
import { parseAddress } from "../tunnel/address_text.ts";
import type { Config, PeerConfig } from "./config.ts";
import { type ReadResult, scanConfig } from "./config_reader.ts";
import { type ConfigLine, ConfigText, withoutSpace } from "./config_text.ts";
import { formatEndpointText, formatPrefix } from "./config_writer.ts";
import { PrefixIndex } from "./prefix_index.ts";
import { type EndpointText, hasHostBits, maskAddress, parsePrefixText, type ServicePort } from "./values.ts";

/** "error": it will not work; "warning": likely not what is meant; "note": worth a thought. */
export type Level = "error" | "warning" | "note";

export interface Finding {
  readonly file: string;
  /** From 1; 0 where the file as a whole is meant. */
  readonly line: number;
  readonly level: Level;
  /** A short name that stays the same: `stolen-allowed-ip`. */
  readonly rule: string;
  readonly message: string;
  readonly remedy: string;
}

export interface LintOptions {
  readonly file: string;
  /** Permission bits of the file, if it is one. */
  readonly mode?: number;
  readonly servicePort?: ServicePort;
}

/** A packet of IPv6 must pass whole. RFC 8200 §5. */
const LEAST_IPV6_MTU = 1280;
/** As many as the control socket takes. */
const MAX_ENDPOINTS = 8;
const OTHERS_MAY_ENTER = 0o077;

/** All findings, in the order of the file. */
export function lintConfig(source: string, options: LintOptions): Finding[] {
  const text = ConfigText.parse(source);
  const { file, servicePort } = options;
  return lintScanned(text, scanConfig(text, { file, servicePort, quick: true }), options);
}

/** The same for a file that was read already. @param scanned what `scanConfig` made of `text`, with wg-quick's keys */
export function lintScanned(text: ConfigText, scanned: ReadResult, options: LintOptions): Finding[] {
  return new Lint(text, scanned, options).findings();
}

class Lint {
  readonly #text: ConfigText;
  readonly #options: LintOptions;
  readonly #config: Config;
  readonly #peerLines: readonly number[];
  readonly #findings: Finding[] = [];
  /** Numbers of lines by peer and key. */
  readonly #lines = new Map<string, number>();

  constructor(text: ConfigText, { config, errors, peerLines }: ReadResult, options: LintOptions) {
    this.#text = text;
    this.#options = options;
    this.#config = config;
    this.#peerLines = peerLines;
    for (const { line, number, peer } of entriesOf(text)) {
      this.#lines.set(`${peer} ${line.kind === "annotation" ? "@" : ""}${line.key}`, number);
    }
    for (const { line, key, reason } of errors) {
      this.#add(line, "error", "syntax", key === "" ? reason : `${key}: ${reason}`, "correct or remove the line");
    }
  }

  findings(): Finding[] {
    this.#checkFile();
    this.#checkKeys();
    this.#checkDuplicatePeers();
    this.#checkAllowedIps();
    this.#checkEndpoints();
    this.#checkFurtherEndpoints();
    this.#checkMtu();
    this.#checkReachability();
    return this.#findings.sort((a, b) => a.line - b.line);
  }

  #add(line: number, level: Level, rule: string, message: string, remedy: string): void {
    this.#findings.push({ file: this.#options.file, line, level, rule, message, remedy });
  }

  #checkFile(): void {
    const { mode = 0, file } = this.#options;
    const holdsSecret = this.#config.interface.privateKey !== null ||
      this.#config.peers.some(({ presharedKey }) => presharedKey !== null);
    if (!holdsSecret || (mode & OTHERS_MAY_ENTER) === 0) return;
    const who = (mode & 0o007) === 0 ? "the file's group" : "everybody on this machine";
    this.#add(0, "warning", "world-readable", `The file holds secret keys and is open to ${who}`, `chmod 600 ${file}`);
  }

  #checkKeys(): void {
    const { interface: { privateKey, preUp, postUp }, peers } = this.#config;
    const line = this.#lineOf("privatekey");
    if (privateKey === null) {
      const isSetByHook = [...preUp, ...postUp].some((hook) => hook.includes("private-key"));
      if (isSetByHook || this.#findings.some(({ message }) => message.startsWith("PrivateKey"))) return;
      const header = this.#text.sections().find(({ name }) => name === "interface");
      this.#add(
        header === undefined ? 0 : header.start + 1,
        "warning",
        "no-private-key",
        "The interface has no private key",
        "add PrivateKey; culvert genkey makes one",
      );
      return;
    }
    const own = publicKey(privateKey);
    peers.forEach((peer, i) => {
      if (equalConstantTime(own, peer.publicKey)) {
        const message = "The peer's public key is this interface's own: the peer will be ignored";
        this.#add(this.#lineOf("publickey", i), "error", "own-key", message, "put the other side's public key here");
      } else if (equalConstantTime(privateKey, peer.publicKey)) {
        const message = "PrivateKey and a peer's PublicKey are the same text: one of the two is in the wrong place";
        this.#add(line, "error", "own-key", message, "put this side's private key here, and keep it to yourself");
      } else if (peer.presharedKey !== null && equalConstantTime(privateKey, peer.presharedKey)) {
        const message = "PresharedKey is this interface's private key";
        this.#add(this.#lineOf("presharedkey", i), "error", "own-key", message, "make one with culvert genpsk");
      }
    });
  }

  #checkDuplicatePeers(): void {
    const first = new Map<string, number>();
    this.#config.peers.forEach((peer, i) => {
      const name = peer.publicKey.join();
      const line = this.#lineOf("publickey", i);
      const former = first.get(name);
      if (former === undefined) return void first.set(name, line);
      if (peer.publicKey.length === 0) return;
      const message = `The same peer stands in line ${former}: its allowed IPs there are replaced`;
      this.#add(line, "warning", "same-peer", message, "join the two sections");
    });
  }

  #checkAllowedIps(): void {
    const index = new PrefixIndex();
    const entries = [...this.#allowedIps()];
    for (const { text, address, cidr, peer, line } of entries) {
      const masked = maskAddress(address, cidr);
      if (hasHostBits(address, cidr)) {
        const remedy = `write ${formatPrefix({ address: masked, cidr })}`;
        this.#add(line, "warning", "host-bits", `${text} has bits behind its mask`, remedy);
      }
      const same = index.find(masked, cidr);
      if (same !== null && same.peer !== peer) {
        const message =
          `${formatPrefix({ address: masked, cidr })} is also allowed to the peer of line ${same.line}, ` +
          "and is taken from it";
        this.#add(line, "error", "stolen-allowed-ip", message, "let one peer have it, or narrow one of the two");
      }
      index.add(masked, cidr, peer, line);
    }
    for (const { address, cidr, peer, line } of entries) {
      const wider = index.findWider(address, cidr);
      if (wider === null || wider.peer === peer) continue;
      const text = formatPrefix({ address: maskAddress(address, cidr), cidr });
      const message = `${text} lies inside a prefix of the peer of line ${wider.line}; the narrower one wins`;
      this.#add(line, "note", "overlapping-allowed-ips", message, "nothing, if that is what is meant");
    }
  }

  /** Every allowed IP that can be read, as it stands. */
  *#allowedIps(): Generator<{ text: string; address: Uint8Array; cidr: number; peer: number; line: number }> {
    for (const { line, number, peer } of this.#entries("allowedips")) {
      for (const item of withoutSpace(line.value).split(",")) {
        const text = item.replace(/^\+/, "");
        const prefix = readPrefix(text);
        if (prefix !== null) yield { text, ...prefix, peer, line: number };
      }
    }
  }

  /** Encrypted packets to such an endpoint would enter the tunnel again. */
  #checkEndpoints(): void {
    const { interface: { fwmark, table }, peers } = this.#config;
    if (table === "off" || (fwmark ?? 0) !== 0) return;
    const index = new PrefixIndex();
    for (const { address, cidr } of allPrefixes(peers)) index.add(maskAddress(address, cidr), cidr, 0, 0);
    for (const { endpoint, line } of this.#endpoints()) {
      const address = parseAddress(endpoint.host);
      if (address === null) continue;
      const bits = 8 * address.length;
      // wg-quick, and culvert, set a mark of their own for a default route.
      const everything = table === "auto" ? null : index.find(maskAddress(address, 0), 0);
      const around = index.findWider(address, bits + 1) ?? everything;
      if (around === null) continue;
      const prefix = formatPrefix({ address: maskAddress(address, around.cidr), cidr: around.cidr });
      const message = `The endpoint lies inside the allowed IPs ${prefix}: encrypted packets would enter the tunnel`;
      const remedy = "leave the endpoint's address out of the allowed IPs, or set FwMark and route by it";
      this.#add(line, "error", "endpoint-inside", message, remedy);
    }
  }

  #checkFurtherEndpoints(): void {
    this.#config.peers.forEach(({ endpoint, furtherEndpoints }, i) => {
      const texts = [...(endpoint === null ? [] : [endpoint]), ...furtherEndpoints].map(formatEndpointText);
      const line = this.#lineOf("@endpoint", i);
      const twice = texts.find((text, at) => texts.indexOf(text) < at);
      if (twice !== undefined) {
        this.#add(line, "warning", "same-endpoint", `The endpoint ${twice} stands twice`, "remove one of the lines");
      }
      if (texts.length <= MAX_ENDPOINTS) return;
      const message = `The peer has ${texts.length} endpoints, and no more than ${MAX_ENDPOINTS} are used`;
      this.#add(line, "error", "many-endpoints", message, "remove some of its @endpoint lines");
    });
  }

  /** Every endpoint of every peer that can be read. */
  *#endpoints(): Generator<{ endpoint: EndpointText; line: number }> {
    for (const [peer, { endpoint, furtherEndpoints }] of this.#config.peers.entries()) {
      if (endpoint !== null) yield { endpoint, line: this.#lineOf("endpoint", peer) };
      for (const further of furtherEndpoints) {
        yield { endpoint: further, line: this.#lineOf("@endpoint", peer) };
      }
    }
  }

  #checkMtu(): void {
    const { interface: { mtu, addresses }, peers } = this.#config;
    if (mtu === null || mtu >= LEAST_IPV6_MTU) return;
    const usesIpv6 = [...addresses, ...allPrefixes(peers)].some(({ address }) => address.length === 16);
    if (!usesIpv6) return;
    const message = `MTU ${mtu} is below ${LEAST_IPV6_MTU}: Linux takes all IPv6 addresses off such an interface`;
    this.#add(this.#lineOf("mtu"), "error", "small-mtu", message, `set MTU = ${LEAST_IPV6_MTU} or leave IPv6 out`);
  }

  #checkReachability(): void {
    const { interface: { listenPort }, peers } = this.#config;
    if ((listenPort ?? 0) !== 0) return;
    peers.forEach((peer, i) => {
      const hasEndpoint = peer.endpoint !== null || peer.annotations.some(({ key }) => key === "endpoint");
      if (!hasEndpoint) {
        const message = "The peer has no endpoint, so it must find this host, whose port is a new one at each start";
        this.#add(this.#peerLines[i], "warning", "no-listen-port", message, "add ListenPort to [Interface]");
      } else if ((peer.keepalive ?? 0) === 0) {
        const message = "If this host is behind NAT, the peer cannot reach it after a pause of some minutes";
        this.#add(this.#peerLines[i], "note", "no-keepalive", message, "add PersistentKeepalive = 25 to this [Peer]");
      }
    });
  }

  /** The last line with this key, from 1; of the interface, or of peer number `peer`. 0 without one. */
  #lineOf(key: string, peer = -1): number {
    return this.#lines.get(`${peer} ${key}`) ?? 0;
  }

  /** Every line with this key; peer −1 is the interface. */
  *#entries(key: string): Generator<{ line: ConfigLine; number: number; peer: number }> {
    for (const entry of entriesOf(this.#text)) {
      if (entry.line.key === key && entry.line.kind === "entry") yield entry;
    }
  }
}

/** Every entry and annotation with its line, from 1, and the number of its peer; −1 is the interface. */
function* entriesOf(text: ConfigText): Generator<{ line: ConfigLine; number: number; peer: number }> {
  let peers = 0;
  let peer = -1;
  for (const [index, line] of text.lines.entries()) {
    if (line.kind === "section") peer = line.key === "peer" ? peers++ : -1;
    else if (line.kind === "entry" || line.kind === "annotation") yield { line, number: index + 1, peer };
  }
}

/** Null for what takes something away, and for what was already reported. */
function readPrefix(item: string): { address: Uint8Array; cidr: number } | null {
  try {
    return parsePrefixText(item);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function allPrefixes(peers: readonly PeerConfig[]): { address: Uint8Array; cidr: number }[] {
  return peers.flatMap(({ allowedIps }) => allowedIps.filter(({ remove }) => !remove));
}
