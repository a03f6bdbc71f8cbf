/** `set`: values and peers from the command line, applied to a running interface. */
import { ValueError } from "../config/config_error.ts";
import type { EndpointText } from "../config/values.ts";
import {
  type AllowedIpsText,
  hasHostBits,
  maskAddress,
  parseAllowedIps,
  parseEndpointText,
  parseFwmark,
  parseKeepalive,
  parseKeyText,
  parsePort,
} from "../config/values.ts";
import { withoutSpace } from "../config/config_text.ts";
import { formatPrefix } from "../config/config_writer.ts";
import {
  type DeviceChange,
  emptyChange,
  emptyPeerChange,
  type PeerChange,
  wipeChange,
} from "../control/device_change.ts";
import { changeInterface } from "../control/interface_client.ts";
import { endpointNames } from "./endpoint_names.ts";
import { printError } from "./output.ts";
import { servicePort } from "./service_ports.ts";
import { parseRetries, resolveEndpoint } from "./wg_endpoint.ts";
import { explaining, WgError } from "./wg_errors.ts";
import { readKeyFile } from "./wg_files.ts";

/** What a change still has to look up. */
export interface PendingEndpoint {
  readonly peer: PeerChange;
  readonly endpoint: EndpointText;
}

/** Runs `set INTERFACE …`. @returns the exit code @throws {WgError} */
export async function setVerb(program: string, words: readonly string[]): Promise<number> {
  if (words.length < 2) throw new WgError(`Usage: ${program} set ${SET_USAGE}`);
  const [name, ...rest] = words;
  const change = emptyChange();
  try {
    const pending = await readSetWords(rest, change);
    await resolvePending(pending);
    await explaining("Unable to modify interface", () => changeInterface(name, change));
    return 0;
  } finally {
    wipeChange(change);
  }
}

export const SET_USAGE =
  "<interface> [listen-port <port>] [fwmark <mark>] [private-key <file path>] [peer <base64 public key> [remove] " +
  "[preshared-key <file path>] [endpoint <ip>:<port>] [persistent-keepalive <interval seconds>] " +
  "[allowed-ips [+|-]<ip1>/<cidr1>[,[+|-]<ip2>/<cidr2>]...] ]...";

/** Reads the words behind the interface into `change`. @returns endpoints to look up @throws {WgError} */
export async function readSetWords(words: readonly string[], change: DeviceChange): Promise<PendingEndpoint[]> {
  const reader = new SetReader(change);
  try {
    for (let at = 0; at < words.length;) at += await reader.take(words[at], words[at + 1]);
  } catch (error) {
    if (error instanceof ValueError) throw new WgError(error.message);
    throw error;
  }
  return [...reader.pending].map(([peer, endpoint]) => ({ peer, endpoint }));
}

/** Looks the endpoints up and puts them into the change they belong to. @throws {WgError} */
export async function resolvePending(pending: readonly PendingEndpoint[]): Promise<void> {
  if (pending.length === 0) return;
  const retries = parseRetries(Deno.env.get("WG_ENDPOINT_RESOLUTION_RETRIES"));
  for (const { peer, endpoint } of pending) peer.endpoint = await resolveEndpoint(endpoint, retries);
}

/** Adds allowed IPs to a peer's change; bits behind a mask are told of and cleared. */
export function takeAllowedIps(peer: PeerChange, { entries, replace }: AllowedIpsText): void {
  peer.replaceAllowedIps = replace;
  for (const { address, cidr, remove } of entries) {
    if (hasHostBits(address, cidr)) {
      printError(`Warning: AllowedIP has nonzero host part: ${formatPrefix({ address, cidr })}\n`);
    }
    peer.allowedIps.push({ address: maskAddress(address, cidr), cidr, remove });
  }
}

class SetReader {
  readonly pending = new Map<PeerChange, EndpointText>();
  readonly #change: DeviceChange;
  #peer: PeerChange | null = null;

  constructor(change: DeviceChange) {
    this.#change = change;
  }

  /** Takes a word, and its value if it has one. @returns how many words that were */
  async take(word: string, value: string | undefined): Promise<number> {
    if (word === "remove" && this.#peer !== null) {
      this.#peer.remove = true;
      return 1;
    }
    if (value !== undefined && await this.#pair(word, value)) return 2;
    throw new WgError(`Invalid argument: ${word}`);
  }

  async #pair(word: string, value: string): Promise<boolean> {
    if (word === "peer") {
      this.#peer = emptyPeerChange(parseKeyText(value));
      this.#change.peers.push(this.#peer);
      return true;
    }
    return this.#peer === null ? await this.#devicePair(word, value) : await this.#peerPair(this.#peer, word, value);
  }

  #endpoint(peer: PeerChange, endpoint: EndpointText): true {
    this.pending.set(peer, endpoint);
    peer.endpointNames = endpointNames([endpoint]);
    return true;
  }

  async #devicePair(word: string, value: string): Promise<boolean> {
    switch (word) {
      case "listen-port":
        this.#change.listenPort = parsePort(value, servicePort);
        return true;
      case "fwmark":
        this.#change.fwmark = parseFwmark(value);
        return true;
      case "private-key":
        this.#change.privateKey?.fill(0);
        this.#change.privateKey = await readKeyFile(value);
        return true;
      default:
        return false;
    }
  }

  async #peerPair(peer: PeerChange, word: string, value: string): Promise<boolean> {
    switch (word) {
      case "preshared-key":
        peer.presharedKey?.fill(0);
        peer.presharedKey = await readKeyFile(value);
        return true;
      case "endpoint":
        return this.#endpoint(peer, parseEndpointText(value, servicePort));
      case "persistent-keepalive":
        peer.keepalive = parseKeepalive(value);
        return true;
      case "allowed-ips":
        takeAllowedIps(peer, parseAllowedIps(withoutSpace(value)));
        return true;
      default:
        return false;
    }
  }
}
