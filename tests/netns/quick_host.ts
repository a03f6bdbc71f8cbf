/**
 * A host on which tunnels are brought up from files, by culvert or by the real wg-quick, and what it looks like: links,
 * addresses, routes, rules, nftables and settings as JSON, without what differs from one start to the next.
 */

import { makeKeys } from "./daemon.ts";
import { program } from "./implementation.ts";
import { type Host, Lab, uniqueInterface } from "./lab.ts";
import { exists, type Output, waitFor } from "./process.ts";

/** The setting that full tunnels change. */
const SRC_VALID_MARK = "net.ipv4.conf.all.src_valid_mark";

/** Who brings tunnels up. */
export type Tool = "culvert" | "wg-quick";

export interface HostView {
  readonly links: unknown[];
  readonly routes: unknown[];
  readonly rules: unknown[];
  readonly nftables: unknown[];
  readonly srcValidMark: string;
}

/** A client behind a router, with default routes of both families. */
export class QuickHost implements AsyncDisposable {
  readonly lab: Lab;
  readonly host: Host;
  readonly router: Host;
  readonly far: Host;
  readonly #names: string[] = [];

  private constructor(lab: Lab, hosts: { a: Host; router: Host; b: Host }) {
    this.lab = lab;
    this.host = hosts.a;
    this.router = hosts.router;
    this.far = hosts.b;
  }

  static async open(): Promise<QuickHost> {
    const lab = new Lab();
    try {
      const hosts = await lab.routed();
      await hosts.a.must(["sysctl", "-qw", `${SRC_VALID_MARK}=0`]);
      // Else the kernel would still be checking them while the host is looked at.
      await hosts.a.must(["ip", "-6", "address", "flush", "scope", "link"]);
      return new QuickHost(lab, hosts);
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Writes a file and returns its path. @param peers one list of lines each, behind the key */
  async write(
    interfaceLines: readonly string[],
    peers: readonly (readonly string[])[],
    name: string = uniqueInterface(),
  ): Promise<string> {
    const path = `${this.lab.folder}/${name}.conf`;
    this.#names.push(name);
    const lines = ["[Interface]", `PrivateKey = ${(await makeKeys()).privateKey}`, ...interfaceLines];
    for (const peer of peers) lines.push("", "[Peer]", `PublicKey = ${(await makeKeys()).publicKey}`, ...peer);
    await Deno.writeTextFile(path, `${lines.join("\n")}\n`, { mode: 0o600 });
    return path;
  }

  /** `up`, `down` and so on; whatever the exit code. */
  async run(tool: Tool, words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Output> {
    const culvert = await program();
    const command = tool === "culvert" ? culvert : "wg-quick";
    // The interface is culvert's both times, so that the tools alone are compared.
    const setup: Record<string, string> = tool === "culvert" ? {} : { WG_QUICK_USERSPACE_IMPLEMENTATION: culvert };
    return await this.host.run([command, ...words], { env: { LOG_LEVEL: "", ...setup, ...env }, timeout: 60_000 });
  }

  /** As `run`, which must succeed. */
  async must(tool: Tool, words: readonly string[], env?: Readonly<Record<string, string>>): Promise<Output> {
    const output = await this.run(tool, words, env);
    if (output.code !== 0) throw new Error(`${tool} ${words.join(" ")} exited with ${output.code}: ${output.stderr}`);
    return output;
  }

  /** What the host looks like now. */
  async view(): Promise<HostView> {
    return {
      links: sorted(await this.#ip("address", "show")),
      routes: [
        ...sorted(await this.#ip("route", "show", "table", "all")),
        ...sorted(await this.#ip("-6", "route", "show", "table", "all")),
      ],
      // In their order: it decides.
      rules: [...await this.#ip("rule"), ...await this.#ip("-6", "rule")].map(scrub),
      nftables: sorted(JSON.parse(await this.host.must(["nft", "-j", "list", "ruleset"])).nftables)
        .filter((entry) => !("metainfo" in (entry as Record<string, unknown>))),
      srcValidMark: (await this.host.must(["sysctl", "-n", SRC_VALID_MARK])).trim(),
    };
  }

  /** Pids of culvert's processes on this host; there is one for each interface that is up. */
  async processes(): Promise<number[]> {
    return await this.host.pids();
  }

  /** Waits until no process is left, which wg-quick does not. */
  async untilEnded(name: string): Promise<void> {
    await waitFor(`${name} to end`, () => !exists(`/var/run/wireguard/${name}.sock`));
    await waitFor("the processes to end", async () => (await this.processes()).length === 0);
  }

  /** With what a test that failed has left written down: it means a namespace that is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
    for (const name of this.#names) if (hasState(name)) await Deno.remove(`/run/culvert/${name}.json`);
  }

  async #ip(...words: string[]): Promise<unknown[]> {
    return JSON.parse(await this.host.must(["ip", "-j", ...words]) || "[]");
  }
}

/** The interface that a file is for. */
export function nameOf(file: string): string {
  return file.replace(/^.*\/|\.conf$/g, "");
}

/** Whether culvert has written down changes for an interface. */
export function hasState(name: string): boolean {
  return exists(`/run/culvert/${name}.json`);
}

/** Numbers that the kernel hands out, one after the other, and the random ends of addresses. */
const VOLATILE = new Set(["ifindex", "link_index", "handle", "link_netnsid", "ageing_time"]);

function scrub(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(scrub);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).filter(([key]) => !VOLATILE.has(key)).map(([key, child]) => [key, scrub(child)]),
  );
}

function sorted(list: readonly unknown[]): unknown[] {
  const keyed = list.map(scrub).map((entry) => [JSON.stringify(entry), entry] as const);
  return keyed.sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0).map(([, entry]) => entry);
}
