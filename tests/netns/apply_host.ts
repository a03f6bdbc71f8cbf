/** A host whose tunnel's file changes while it is up: the same keys in every version, and all there is to compare. */

import { type KeyPair, makeKeys } from "./daemon.ts";
import { exists, must, type Output } from "./process.ts";
import { hasState, type HostView, nameOf, QuickHost } from "./quick_host.ts";

/** One version of a file. */
export interface Version {
  readonly interface: readonly string[];
  /** By the number of the peer's key. */
  readonly peers: Readonly<Record<number, readonly string[]>>;
}

export interface TunnelView extends HostView {
  /** `wg show dump`, without counters and handshakes, peers in the order of their keys. */
  readonly dump: readonly string[];
}

const PEERS = 4;
const SETTLED = ["dump", "links", "routes", "rules", "nftables", "srcValidMark"] as const;

export class ApplyHost implements AsyncDisposable {
  readonly quick: QuickHost;
  readonly file: string;
  readonly name: string;
  readonly keys: readonly KeyPair[];
  readonly #own: KeyPair;

  private constructor(quick: QuickHost, file: string, own: KeyPair, keys: readonly KeyPair[]) {
    this.quick = quick;
    this.file = file;
    this.name = nameOf(file);
    this.#own = own;
    this.keys = keys;
  }

  static async open(): Promise<ApplyHost> {
    const quick = await QuickHost.open();
    try {
      const keys = await Promise.all(Array.from({ length: PEERS }, makeKeys));
      return new ApplyHost(quick, await quick.write([], []), await makeKeys(), keys);
    } catch (error) {
      await quick[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Makes the file this version; a line `PrivateKey` in it takes the place of the usual key. */
  async write(version: Version): Promise<void> {
    const isKeyed = version.interface.some((line) => line.startsWith("PrivateKey"));
    const lines = ["[Interface]", ...isKeyed ? [] : [`PrivateKey = ${this.#own.privateKey}`], ...version.interface];
    for (const [key, peer] of Object.entries(version.peers)) {
      lines.push("", "[Peer]", `PublicKey = ${this.keys[Number(key)].publicKey}`, ...peer);
    }
    await Deno.writeTextFile(this.file, `${lines.join("\n")}\n`, { mode: 0o600 });
  }

  async up(version: Version): Promise<void> {
    await this.write(version);
    await this.quick.must("culvert", ["up", this.file]);
  }

  /** As `apply` with these options, which must succeed. @returns its stdout */
  async apply(version: Version, ...options: string[]): Promise<string> {
    await this.write(version);
    const { stdout } = await this.quick.must("culvert", ["apply", this.file, ...options]);
    return stdout;
  }

  run(...words: string[]): Promise<Output> {
    return this.quick.run("culvert", words, { WG_ENDPOINT_RESOLUTION_RETRIES: "0" });
  }

  async down(): Promise<void> {
    await this.quick.must("culvert", ["down", this.file]);
    await this.quick.untilEnded(this.name);
  }

  async view(): Promise<TunnelView> {
    const view = JSON.parse(JSON.stringify(await this.quick.view(), withoutVolatile)) as HostView;
    const dump = hasState(this.name) ? await must(["wg", "show", this.name, "dump"]) : "";
    const [device, ...peers] = dump.trimEnd().split("\n").map((line) => line.split("\t"));
    const settled = peers.map((peer) => peer.map((field, i) => i === 3 ? sortedList(field) : field).toSpliced(4, 3));
    return { ...view, dump: [device.join(" "), ...settled.map((peer) => peer.join(" ")).sort()] };
  }

  /** Whether a change waits to be confirmed. */
  get isOnTrial(): boolean {
    return exists(this.trialFile);
  }

  get trialFile(): string {
    return `/run/culvert/${this.name}.trial`;
  }

  /** With what a test that failed has left. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.quick[Symbol.asyncDispose]();
    if (this.isOnTrial) await Deno.remove(this.trialFile);
  }
}

/** The parts of a view that differ from another, for a message that can be read. */
export function differing(a: TunnelView, b: TunnelView): string {
  return SETTLED.filter((part) => JSON.stringify(a[part]) !== JSON.stringify(b[part])).join();
}

/** Counters of rules, and the order of an interface's addresses: those that were added later come later. */
function withoutVolatile(key: string, value: unknown): unknown {
  if (key === "counter") return null;
  if (key !== "addr_info" || !Array.isArray(value)) return value;
  return value.map((each) => JSON.stringify(each)).sort();
}

function sortedList(text: string): string {
  return text.split(",").sort().join();
}
