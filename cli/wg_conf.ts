/** `setconf`, `addconf` and `syncconf`: a file's configuration, applied to a running interface. */
import { type Config, wipeConfig } from "../config/config.ts";
import { ConfigError } from "../config/config_error.ts";
import { readConfig } from "../config/config_reader.ts";
import {
  type DeviceChange,
  emptyChange,
  emptyPeerChange,
  type PeerChange,
  wipeChange,
} from "../control/device_change.ts";
import { changeInterface, readInterface } from "../control/interface_client.ts";
import { type DeviceStatus, wipeStatus } from "../control/uapi_status.ts";
import { endpointNames } from "./endpoint_names.ts";
import { servicePort } from "./service_ports.ts";
import { explaining, WgError } from "./wg_errors.ts";
import { readWholeFile } from "./wg_files.ts";
import { type PendingEndpoint, resolvePending, takeAllowedIps } from "./wg_set.ts";

export type ConfVerb = "setconf" | "addconf" | "syncconf";

const KEY_BYTES = 32;

/** Runs `VERB INTERFACE FILE`. @returns the exit code @throws {WgError} */
export async function confVerb(program: string, verb: ConfVerb, words: readonly string[]): Promise<number> {
  if (words.length !== 2) throw new WgError(`Usage: ${program} ${verb} <interface> <configuration filename>`);
  const [name, file] = words;
  const config = await readConfigFile(file);
  const change = emptyChange();
  try {
    const pending = changeOf(config, verb, change);
    if (verb === "syncconf" && change.peers.length > 0) await spareRunningPeers(name, change);
    await resolvePending(pending);
    await explaining("Unable to modify interface", () => changeInterface(name, change));
    return 0;
  } finally {
    wipeChange(change);
    wipeConfig(config);
  }
}

async function readConfigFile(file: string): Promise<Config> {
  const bytes = await readWholeFile(file);
  try {
    return readConfig(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes), { file, quick: false, servicePort });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const isWhole = error.reason.startsWith("A peer is missing");
    throw new WgError(`${error.message}\n${isWhole ? "Invalid configuration" : "Configuration parsing error"}`);
  } finally {
    bytes.fill(0);
  }
}

/**
 * Puts into `change` what the file asks for. It takes over the file's keys.
 *
 * @returns endpoints to look up
 */
export function changeOf(config: Config, verb: ConfVerb, change: DeviceChange): PendingEndpoint[] {
  const pending: PendingEndpoint[] = [];
  const { privateKey, listenPort, fwmark } = config.interface;
  // addconf leaves alone what the file does not name; the others reset it.
  const isAdding = verb === "addconf";
  change.privateKey = privateKey ?? (isAdding ? null : new Uint8Array(KEY_BYTES));
  change.listenPort = listenPort ?? (isAdding ? null : 0);
  change.fwmark = fwmark ?? (isAdding ? null : 0);
  change.replacePeers = !isAdding;
  for (const listed of config.peers) {
    const { publicKey, presharedKey, keepalive, endpoint, furtherEndpoints, allowedIps, replaceAllowedIps } = listed;
    const peer = emptyPeerChange(publicKey);
    peer.presharedKey = presharedKey;
    peer.keepalive = keepalive;
    takeAllowedIps(peer, { entries: allowedIps, replace: replaceAllowedIps });
    peer.endpointNames = endpointNames([...(endpoint === null ? [] : [endpoint]), ...furtherEndpoints]);
    if (endpoint !== null) pending.push({ peer, endpoint });
    change.peers.push(peer);
  }
  return pending;
}

async function spareRunningPeers(name: string, change: DeviceChange): Promise<void> {
  const status = await explaining("Unable to retrieve current interface configuration", () => readInterface(name));
  try {
    keepListedPeers(change, status);
  } finally {
    wipeStatus(status);
  }
}

/**
 * Turns the replacement of all peers into the difference to the running ones: those that are not listed are removed,
 * first; of those that are, a preshared key or keepalive that is no longer listed is cleared.
 */
export function keepListedPeers(change: DeviceChange, status: DeviceStatus): void {
  change.replacePeers = false;
  const listed = new Map<string, PeerChange[]>();
  for (const peer of change.peers) {
    const name = peer.publicKey.join();
    listed.set(name, [...listed.get(name) ?? [], peer]);
  }
  const removals: PeerChange[] = [];
  for (const running of status.peers) {
    const peers = listed.get(running.publicKey.join());
    if (peers === undefined) {
      removals.push({ ...emptyPeerChange(running.publicKey), remove: true });
      continue;
    }
    if (running.presharedKey !== null && peers.every(({ presharedKey }) => presharedKey === null)) {
      peers[0].presharedKey = new Uint8Array(KEY_BYTES);
    }
    if (running.persistentKeepalive !== 0 && peers.every(({ keepalive }) => keepalive === null)) {
      peers[0].keepalive = 0;
    }
  }
  const changes = change.peers.splice(0);
  for (const peer of [...removals, ...changes]) change.peers.push(peer);
}
