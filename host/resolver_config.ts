/**
 * How this host looks names up: its `resolv.conf` as it was before any tunnel changed it, and its `hosts`.
 *
 * Spec: resolv.conf(5), hosts(5).
 */
import { Buffer } from "node:buffer";
import { parseAddress } from "../tunnel/address_text.ts";
import { HostError } from "./host_error.ts";
import { readIfThere, savedText } from "./saved_file.ts";
import { currentPlace, type HostState, isSamePlace, type SavedFile, StateStore } from "./state.ts";

export const RESOLV_CONF = "/etc/resolv.conf";
const HOSTS = "/etc/hosts";
/** What systemd-resolved really asks; in resolv.conf there is only its own stub, whose queries carry no mark. */
const RESOLVED_UPSTREAM = "/run/systemd/resolve/resolv.conf";
const RESOLVED_STUBS = ["127.0.0.53", "127.0.0.54"];

const MAX_SERVERS = 6;
const MAX_SEARCH = 32;
const MAX_NDOTS = 15;

export interface ResolverConfig {
  /** Addresses; of IPv6 perhaps with a zone. */
  readonly servers: readonly string[];
  /** Domains that names are looked for in, without outer dots. */
  readonly search: readonly string[];
  /** A name with fewer dots is looked for in the domains first. */
  readonly ndots: number;
}

/** Reads the lines of a resolv.conf; what it does not know is left out, as anywhere. */
export function parseResolvConf(text: string): ResolverConfig {
  const servers: string[] = [];
  let search: string[] = [];
  let ndots = 1;
  for (const line of text.split("\n")) {
    if (/^\s*[#;]/.test(line)) continue;
    const [key, ...values] = line.trim().split(/\s+/);
    if (key === "nameserver" && isServer(values[0] ?? "")) servers.push(values[0]);
    // Of these two the last counts.
    if (key === "search" || key === "domain") search = values.map(withoutOuterDots).filter((domain) => domain !== "");
    if (key !== "options") continue;
    for (const option of values) {
      const given = /^ndots:(\d+)$/.exec(option)?.[1];
      if (given !== undefined) ndots = Math.min(MAX_NDOTS, Number(given));
    }
  }
  return { servers: [...new Set(servers)].slice(0, MAX_SERVERS), search: search.slice(0, MAX_SEARCH), ndots };
}

/** The lines of a configuration, as a resolv.conf has them, none longer than 250 characters. */
export function resolvConfLines({ servers, search, ndots }: ResolverConfig): string[] {
  let domains = "search";
  for (const domain of search) if (domains.length + domain.length < 250) domains += ` ${domain}`;
  return [
    ...servers.map((server) => `nameserver ${server}`),
    ...(search.length === 0 ? [] : [domains]),
    ...(ndots === 1 ? [] : [`options ndots:${ndots}`]),
  ];
}

/**
 * How names were looked up on this host before tunnels of ours changed it; without a file, nowhere.
 *
 * @param path the file, and of systemd-resolved its, for tests
 */
export function originalResolverConfig(
  store: StateStore = new StateStore(),
  path: string = RESOLV_CONF,
  upstream: string = RESOLVED_UPSTREAM,
): ResolverConfig {
  const config = parseResolvConf(originalText(store, path));
  const isStub = config.servers.length > 0 && config.servers.every((server) => RESOLVED_STUBS.includes(server));
  if (!isStub) return config;
  const { servers } = parseResolvConf(readIfThere(upstream));
  return servers.length === 0 ? config : { ...config, servers };
}

/** The addresses (4 or 16 bytes) of a name in a hosts file. @param name in lower case, without a final dot */
export function addressesInHosts(name: string, text: string = readIfThere(HOSTS)): Uint8Array[] {
  const addresses: Uint8Array[] = [];
  for (const line of text.split("\n")) {
    const [address, ...names] = line.split("#")[0].trim().split(/\s+/);
    if (!names.some((each) => each.toLowerCase() === name)) continue;
    const bytes = parseAddress(address);
    if (bytes !== null) addresses.push(bytes);
  }
  return addresses;
}

/** What the file held before a tunnel wrote its own, and so on for tunnels before that one. */
function originalText(store: StateStore, path: string): string {
  let text = readIfThere(path);
  const written = savedResolvConfs(store, path);
  // Each step goes to an older file, so there are no more of them than tunnels.
  for (let steps = 0; steps < written.length; steps++) {
    const content = Buffer.from(text).toString("base64");
    const change = written.find(({ after }) => after === content);
    if (change === undefined) break;
    text = savedText(change.before, path);
  }
  return text;
}

function savedResolvConfs(store: StateStore, path: string): { before: SavedFile; after: string }[] {
  const here = currentPlace();
  return store.names().flatMap((name) => {
    const state = loadOrNone(store, name);
    if (state === null || !isSamePlace(state.place, here)) return [];
    return state.changes.flatMap((change) => change.kind === "resolv.conf" && change.path === path ? [change] : []);
  });
}

/** What cannot be read is told by the commands that have to undo it. */
function loadOrNone(store: StateStore, name: string): HostState | null {
  try {
    return store.load(name);
  } catch (error) {
    if (error instanceof HostError) return null;
    throw error;
  }
}

function isServer(text: string): boolean {
  return parseAddress(text.replace(/%[\w.-]+$/, "")) !== null;
}

function withoutOuterDots(domain: string): string {
  return domain.toLowerCase().replace(/^\.+|\.+$/g, "");
}
