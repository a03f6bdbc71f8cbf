/**
 * A resolver of our own, for what the system's cannot do: its questions carry the interface's mark and so reach the name
 * servers past the tunnel, it asks those of before the tunnel came, and it knows how long an answer is good for.
 *
 * The order is the usual one: a numeric address is itself, then `/etc/hosts`, then the servers, with search domains.
 * Whatever the network says, a look-up ends, with addresses or a word for what failed.
 */
import { close } from "../ffi/file.ts";
import { createEventfd, signalEventfd } from "../ffi/eventfd.ts";
import { parseAddress } from "../tunnel/address_text.ts";
import { addressesInHosts, originalResolverConfig, parseResolvConf, type ResolverConfig } from "./resolver_config.ts";
import { type DnsAnswer, encodeQuestion, isDnsName, TYPE_A, TYPE_AAAA } from "./resolver_message.ts";
import { ask, DNS_PORT, type DnsServer, dnsServer, type ExchangeOptions } from "./resolver_socket.ts";

/** Milliseconds that a server has, the first time round and the second. */
const TIMEOUTS = [1_000, 2_000];
/** Questions for one name, when answers only tell of further aliases. */
const MAX_ALIASES = 8;
const MAX_SERVERS = 6;
/** Seconds that what stands in the hosts file, or in the name itself, is good for. */
const HOSTS_TTL = 60;

/** What a look-up comes to. */
export type Lookup =
  /** Addresses of 4 or 16 bytes, IPv6 and IPv4 by turns; good for `ttl` seconds. */
  | { readonly addresses: readonly Uint8Array[]; readonly ttl: number }
  /** In words, as `it does not exist`. */
  | { readonly failure: string };

export interface LookupOptions {
  /** SO_MARK of the questions, 0 for none. */
  readonly mark: number;
  /** Lines of the resolv.conf to go by; the host's own, if there are none. */
  readonly dns: readonly string[];
}

export interface ResolverOptions {
  /** Of the name servers; another one only in tests. */
  readonly port?: number;
  /** The host's own configuration. */
  readonly hostConfig?: () => ResolverConfig;
  /** The text of the hosts file; the host's own, if left out. */
  readonly hosts?: string;
}

/** What the servers say of one name and type. */
type Found = { readonly addresses: readonly Uint8Array[]; readonly ttl: number } | "none" | "no answer" | "failed";

export class Resolver {
  readonly #port: number;
  readonly #hostConfig: () => ResolverConfig;
  readonly #hosts: string | undefined;
  /** Signalled when all look-ups are to end. */
  readonly #end = createEventfd();
  readonly #running = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(options: ResolverOptions = {}) {
    this.#port = options.port ?? DNS_PORT;
    this.#hostConfig = options.hostConfig ?? originalResolverConfig;
    this.#hosts = options.hosts;
  }

  /** Looks a host up. It never rejects for what the network says. */
  lookup(host: string, options: LookupOptions): Promise<Lookup> {
    if (this.#isClosed) return Promise.resolve({ failure: "the look-up was ended" });
    const lookup = this.#lookup(host, options);
    this.#running.add(lookup);
    return lookup.finally(() => this.#running.delete(lookup));
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    signalEventfd(this.#end);
    await Promise.allSettled(this.#running);
    close(this.#end);
  }

  async #lookup(host: string, { mark, dns }: LookupOptions): Promise<Lookup> {
    const numeric = parseAddress(host);
    if (numeric !== null) return { addresses: [numeric], ttl: HOSTS_TTL };
    const name = host.toLowerCase().replace(/\.$/, "");
    let config: ResolverConfig;
    try {
      const listed = addressesInHosts(name, this.#hosts);
      if (listed.length > 0) return { addresses: byTurns(listed), ttl: HOSTS_TTL };
      config = joined(dns, this.#hostConfig());
    } catch (error) {
      // A file of the host that cannot be read.
      if (!(error instanceof Error)) throw error;
      return { failure: error.message };
    }
    if (!isDnsName(name)) return { failure: "it is no host name" };
    const servers = config.servers.flatMap((text) => dnsServer(text, this.#port) ?? []);
    if (servers.length === 0) return { failure: "no name server is known" };
    let failure = "it does not exist";
    for (const candidate of candidatesOf(name, host.endsWith("."), config)) {
      const found = await this.#lookupBoth(candidate, servers, mark);
      if (typeof found !== "string") return found;
      if (found === "none") continue;
      failure = found === "failed" ? "the name servers cannot tell" : "no name server answers";
      // In other domains they would not answer either.
      if (found === "no answer") break;
    }
    return { failure };
  }

  /** Both families at once; one is enough. */
  async #lookupBoth(name: string, servers: readonly DnsServer[], mark: number): Promise<Found> {
    const types = [TYPE_AAAA, TYPE_A];
    const found = await Promise.all(types.map((type) => this.#lookupType(name, type, servers, mark)));
    const good = found.filter((each) => typeof each !== "string");
    if (good.length > 0) {
      return {
        addresses: byTurns(good.flatMap(({ addresses }) => addresses)),
        ttl: Math.min(...good.map(({ ttl }) => ttl)),
      };
    }
    return found.includes("no answer") ? "no answer" : found.includes("failed") ? "failed" : "none";
  }

  async #lookupType(name: string, type: number, servers: readonly DnsServer[], mark: number): Promise<Found> {
    let ttl = Infinity;
    for (let aliases = 0; aliases < MAX_ALIASES && isDnsName(name); aliases++) {
      const answer = await this.#askAll(name, type, servers, mark);
      if (answer === null) return "no answer";
      if (answer.kind === "none") return "none";
      if (answer.kind !== "addresses" && answer.kind !== "alias") return "failed";
      ttl = Math.min(ttl, answer.ttl);
      if (answer.kind === "addresses") return { addresses: answer.addresses, ttl };
      name = answer.name;
    }
    return "failed";
  }

  /** One server after the other, twice; what one cannot tell another may. @returns null if none answers */
  async #askAll(name: string, type: number, servers: readonly DnsServer[], mark: number): Promise<DnsAnswer | null> {
    let failed: DnsAnswer | null = null;
    for (const timeout of TIMEOUTS) {
      for (const server of servers) {
        if (this.#isClosed) return null;
        const options: ExchangeOptions = { mark, timeout, endDescriptor: this.#end };
        const answer = await ask(server, encodeQuestion(randomId(), name, type), options);
        if (answer === null) continue;
        if (answer.kind !== "failed" && answer.kind !== "truncated") return answer;
        failed = answer;
      }
      if (failed !== null) return failed;
    }
    return null;
  }
}

/**
 * The servers of before the tunnel first. Perhaps the host has come to another network since: so the servers that it has
 * now, if they are others, are asked when those do not answer.
 */
function joined(dns: readonly string[], host: ResolverConfig): ResolverConfig {
  if (dns.length === 0) return host;
  const saved = parseResolvConf(dns.join("\n"));
  const servers = [...new Set([...saved.servers, ...host.servers])].slice(0, MAX_SERVERS);
  return { ...saved, servers };
}

/** The names to ask for, in order. */
function candidatesOf(name: string, isAbsolute: boolean, { search, ndots }: ResolverConfig): string[] {
  const dots = name.split(".").length - 1;
  if (isAbsolute) return [name];
  const inDomains = search.map((domain) => `${name}.${domain}`).filter(isDnsName);
  return dots >= ndots ? [name, ...inDomains] : [...inDomains, name];
}

/** IPv6 and IPv4 by turns, so that the few that are tried are of both. */
function byTurns(addresses: readonly Uint8Array[]): Uint8Array[] {
  const six = addresses.filter(({ length }) => length === 16);
  const four = addresses.filter(({ length }) => length === 4);
  const turns: Uint8Array[] = [];
  for (let i = 0; i < Math.max(six.length, four.length); i++) {
    turns.push(...six.slice(i, i + 1), ...four.slice(i, i + 1));
  }
  return turns;
}

function randomId(): number {
  return crypto.getRandomValues(new Uint16Array(1))[0];
}
