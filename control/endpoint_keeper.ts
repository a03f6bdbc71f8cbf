/**
 * Keeps what peers' endpoints are called: looks the names up when a peer is silent, when an answer has had its time, and
 * at first, and tells the device what addresses they have now. It never moves a peer: the device tries those addresses
 * while the peer does not answer, and the peer is where its answer comes from.
 */
import { formatEndpoint, type HostPort, parseAddress, parseEndpoint, parseHostPort } from "../tunnel/address_text.ts";
import type { DeviceCommand } from "../tunnel/commands.ts";
import { MAX_CANDIDATES } from "../tunnel/candidates.ts";
import { ENDPOINT_BYTES, endpointRecord } from "../tunnel/endpoint.ts";
import { isInitiating, unansweredSince } from "../tunnel/peer_health.ts";
import { publicKeyOf } from "../tunnel/public_key_text.ts";
import type { DeviceTables } from "../tunnel/tables.ts";
import type { Configuration } from "./configuration.ts";
import { type LookupResult, WatchedHost } from "./watched_host.ts";

/** How often peers are looked at, in milliseconds. */
const LOOK_INTERVAL = 1_000;
/** An answer to data may take this long, and one to an initiation, before a name is looked up again. */
const DATA_SILENCE = 3_000;
const INITIATION_SILENCE = 1_000;
/** The device would not begin a handshake earlier. */
const RACE_INTERVAL = 5_000;
/**
 * A peer that only receives is silent for up to ten seconds at a time and yet well: because of silence alone, without
 * news of its names or an initiation that waits, no more than one handshake in this time.
 */
const SILENT_RACE_INTERVAL = 20_000;
const MAX_LOOKUPS = 8;

export interface EndpointKeeperOptions {
  readonly configuration: Pick<Configuration, "read" | "direct">;
  /** The device's at present: a new device has others. */
  readonly tables: () => DeviceTables;
  /** Looks a host up; must not reject. `mark` and `dns` are what the interface is configured to. */
  readonly lookup: (host: string, options: { mark: number; dns: readonly string[] }) => Promise<LookupResult>;
  /** The device's clock, in milliseconds. */
  readonly now: () => number;
  readonly log: { info(message: string): void; debug(message: string): void };
  /** 0 … 1, for tests. */
  readonly random?: () => number;
}

/** A peer with names. */
interface NamedPeer {
  /** The public key, as maps want it. */
  readonly name: string;
  readonly slot: number;
  readonly names: readonly string[];
  /** The same, read. */
  readonly places: readonly HostPort[];
  /** What the device was told last, as text. */
  told: string;
  racedAt: number;
}

export class EndpointKeeper {
  readonly #options: EndpointKeeperOptions;
  readonly #peers = new Map<string, NamedPeer>();
  readonly #hosts = new Map<string, WatchedHost>();
  #dns = "";
  #timer: ReturnType<typeof setInterval> | null = null;
  readonly #due: WatchedHost[] = [];
  #lookups = 0;
  #isClosed = false;

  constructor(options: EndpointKeeperOptions) {
    this.#options = options;
  }

  /** Names, or the way they are looked up, have changed. */
  async refresh(): Promise<void> {
    const { peers, dns } = await this.#options.configuration.read((model) => ({
      peers: [...model.peers()].filter(({ names }) => names.length > 0)
        // Each change makes a new array: by it is known whether the device was told of a new list since.
        .map(({ name, slot, names }) => ({ name, slot, names })),
      dns: model.dns.join("\n"),
    }));
    if (this.#isClosed) return;
    if (dns !== this.#dns) this.#hosts.clear();
    this.#dns = dns;
    const former = new Map(this.#peers);
    this.#peers.clear();
    for (const peer of peers) {
      const known = former.get(peer.name);
      const places = peer.names.flatMap((name) => parseHostPort(name) ?? []);
      const isSame = known !== undefined && known.names === peer.names;
      this.#peers.set(peer.name, isSame ? known : { ...peer, places, told: "", racedAt: -Infinity });
    }
    this.#watchHosts();
    this.look();
  }

  /** The device has forgotten what it was told. */
  tellAnew(): void {
    for (const peer of this.#peers.values()) {
      peer.told = "";
      void this.#tell(peer);
    }
  }

  /** Another network may know what the last one did not. */
  networkChanged(): void {
    for (const host of this.#hosts.values()) host.hurry();
    this.look();
  }

  /** Starts the look-ups that are due; called every second by itself. */
  look(): void {
    const now = this.#options.now();
    for (const peer of this.#peers.values()) {
      const isSilent = this.#isSilent(peer, now);
      // Where else it may be is perhaps known already.
      if (isSilent && peer.told !== "") void this.#tell(peer);
      for (const place of peer.places) {
        const host = this.#hosts.get(place.host);
        if (host === undefined || !host.isDue(isSilent, now)) continue;
        host.asked(now);
        this.#due.push(host);
      }
    }
    this.#startDue();
  }

  /** Look-ups under way end in vain. */
  close(): void {
    this.#isClosed = true;
    this.#due.splice(0);
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Without names there is nothing to look at. */
  #watchHosts(): void {
    const wanted = new Set<string>();
    for (const { places } of this.#peers.values()) {
      for (const { host } of places) if (!isNumeric(host)) wanted.add(host);
    }
    for (const host of this.#hosts.keys()) if (!wanted.has(host)) this.#hosts.delete(host);
    for (const host of wanted) {
      if (!this.#hosts.has(host)) this.#hosts.set(host, new WatchedHost(host, this.#options.random ?? Math.random));
    }
    // Peers that are new may be called what others are called already.
    for (const peer of this.#peers.values()) if (peer.told === "") void this.#tell(peer);
    if (wanted.size === 0 && this.#timer !== null) {
      clearInterval(this.#timer);
      this.#timer = null;
    } else if (wanted.size > 0) {
      this.#timer ??= setInterval(() => this.look(), LOOK_INTERVAL);
    }
  }

  #startDue(): void {
    while (this.#lookups < MAX_LOOKUPS && this.#due.length > 0) void this.#lookUp(this.#due.shift()!);
  }

  async #lookUp(host: WatchedHost): Promise<void> {
    const { configuration, lookup, now, log } = this.#options;
    this.#lookups++;
    try {
      const options = await configuration.read(({ fwmark, dns }) => ({ mark: fwmark, dns: [...dns] }));
      const result = await lookup(host.name, options);
      if (this.#isClosed) return;
      host.answered(result, now(), log);
    } finally {
      this.#lookups--;
      this.#startDue();
    }
    for (const peer of this.#peers.values()) {
      if (peer.places.some((place) => place.host === host.name)) await this.#tell(peer);
    }
  }

  /** Tells the device where the peer may be, if that is news, or if the peer is silent somewhere else. */
  async #tell(peer: NamedPeer): Promise<void> {
    const { configuration, now, log } = this.#options;
    const records = candidatesOf(peer, (host) => this.#hosts.get(host)?.addresses ?? []);
    const texts = records.map((record) => formatEndpoint(record, 0));
    const told = texts.join(" ");
    const isNews = told !== peer.told;
    const current = new Uint8Array(ENDPOINT_BYTES);
    this.#options.tables().readEndpoint(peer.slot, current);
    const isElsewhere = !texts.includes(formatEndpoint(current, 0));
    const isSilent = this.#isSilent(peer, now()) && this.#mayRace(peer, now(), isNews, isElsewhere);
    if (records.length === 0 || (!isNews && !isSilent)) return;
    peer.told = told;
    if (isSilent) peer.racedAt = now();
    log.debug(`an endpoint may be at ${told}${isSilent ? "; it is silent, and called there" : ""}`);
    try {
      await configuration.direct((model) => {
        const present = model.findPeer(publicKeyOf(peer.name));
        return present?.names === peer.names ? commandsFor(peer.slot, records, isSilent) : [];
      });
    } catch (error) {
      // The data plane has ended, and says why itself.
      log.debug(`cannot tell the device of candidates: ${error}`);
    }
  }

  #isSilent({ slot }: NamedPeer, now: number): boolean {
    const tables = this.#options.tables();
    const patience = isInitiating(tables, slot) ? INITIATION_SILENCE : DATA_SILENCE;
    return now - unansweredSince(tables, slot) >= patience;
  }

  /** Only a peer that is not where its names lead may be called there, or one whose initiation waits. */
  #mayRace({ slot, racedAt }: NamedPeer, now: number, isNews: boolean, isElsewhere: boolean): boolean {
    const isWaiting = isInitiating(this.#options.tables(), slot);
    if (!isElsewhere && !(isNews && isWaiting)) return false;
    return now - racedAt >= (isNews || isWaiting ? RACE_INTERVAL : SILENT_RACE_INTERVAL);
  }
}

/** Endpoint records for names, the first address of each first; at most MAX_CANDIDATES. */
function candidatesOf(
  { names, places }: Pick<NamedPeer, "names" | "places">,
  addressesOf: (host: string) => readonly Uint8Array[],
): Uint8Array[] {
  const lists = places.map(({ host, port }, i) => {
    const numeric = parseEndpoint(names[i]);
    return numeric === null ? addressesOf(host).map((address) => endpointRecord(address, port)) : [numeric];
  });
  const records: Uint8Array[] = [];
  const longest = Math.max(0, ...lists.map(({ length }) => length));
  for (let i = 0; i < longest; i++) for (const list of lists) if (i < list.length) records.push(list[i]);
  return records.slice(0, MAX_CANDIDATES);
}

function* commandsFor(peer: number, records: readonly Uint8Array[], isSilent: boolean): Generator<DeviceCommand> {
  yield { op: "begin-candidates", peer };
  for (const record of records) yield { op: "candidate", peer, record };
  yield { op: "end-candidates", peer, isSilent };
}

/** An address with a zone needs no look-up either, though it is no candidate: its zone is known to its sender alone. */
function isNumeric(host: string): boolean {
  return parseAddress(host.replace(/%.*$/, "")) !== null;
}
