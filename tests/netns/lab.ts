/**
 * A laboratory of network namespaces: hosts, veth links between them, and what runs inside. All of it is gone when the
 * lab is disposed of, also after a failure, a timeout or an interrupt.
 *
 *     ┌─ host a ───────┐            ┌─ host b ───────┐
 *     │ culvert   veth ├────────────┤ veth   peer    │
 *     └────────────────┘            └────────────────┘
 */

import { Background, exists, kill, must, type Output, run, type RunOptions, sleep, waitFor } from "./process.ts";

/** Every namespace of this process starts so. */
const PREFIX = `cv${Deno.pid.toString(36)}`;

/**
 * Reads names of namespaces until its input ends – when the lab is disposed of or this process is gone, however that
 * happened – and removes them with what runs inside, then the folder. In a session of its own no Ctrl-C reaches it, and
 * not being our child it outlives an error that ends the test runner, which kills its children.
 */
const UNDERTAKER = `names=
while read -r name; do names="$names $name"; done
for name in $names; do
  [ -e "/run/netns/$name" ] || continue
  for signal in TERM KILL; do
    pids=$(ip netns pids "$name")
    [ -z "$pids" ] || { kill -$signal $pids; sleep 1; }
  done
  ip netns delete "$name"
done
rm -rf "$1"`;

let hosts_made = 0;
let interfaces_made = 0;
const open_labs = new Set<Lab>();

/** An interface name that no other test of any process uses, since control sockets share one folder: at most 15 bytes. */
export function uniqueInterface(): string {
  interfaces_made += 1;
  return `cvt${Deno.pid.toString(36)}x${interfaces_made.toString(36)}`;
}

/** Disposes of every lab that is still open: for a test that ran out of time. */
export async function closeAllLabs(): Promise<void> {
  for (const lab of open_labs) await lab[Symbol.asyncDispose]();
}

export class Lab implements AsyncDisposable {
  /** A private folder for keys, logs and captures. */
  readonly folder: string;
  readonly #hosts: Host[] = [];
  readonly #cleanups: (() => Promise<void>)[] = [];
  readonly #undertaker: Deno.ChildProcess;
  readonly #names: WritableStreamDefaultWriter<Uint8Array>;

  constructor() {
    this.folder = Deno.makeTempDirSync({ prefix: "culvert-lab-" });
    open_labs.add(this);
    this.#undertaker = new Deno.Command("setsid", {
      args: ["--fork", "sh", "-c", UNDERTAKER, "undertaker", this.folder],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#names = this.#undertaker.stdin.getWriter();
  }

  /** A namespace with its loopback up. */
  async host(): Promise<Host> {
    hosts_made += 1;
    const host = new Host(this, `${PREFIX}-${hosts_made}`);
    this.#hosts.push(host);
    await this.#names.write(new TextEncoder().encode(`${host.name}\n`));
    await must(["ip", "netns", "add", host.name]);
    await must(["ip", "-n", host.name, "link", "set", "lo", "up"]);
    return host;
  }

  /**
   * A veth link between two hosts, up, with addresses .1/.2 of 10.`subnet`.0.0/24 and ::1/::2 of fd00:`subnet`::/64.
   */
  async connect(left: Host, right: Host, subnet: number): Promise<Link> {
    const link = new Link(left, right, subnet);
    await must(
      ["ip", "-n", left.name, "link", "add", link.left, "type", "veth", "peer", link.right, "netns", right.name],
    );
    for (const [host, device, number] of [[left, link.left, 1], [right, link.right, 2]] as const) {
      await must(["ip", "-n", host.name, "address", "add", `10.${subnet}.0.${number}/24`, "dev", device]);
      await must(["ip", "-n", host.name, "address", "add", `fd00:${subnet}::${number}/64`, "dev", device, "nodad"]);
      await must(["ip", "-n", host.name, "link", "set", device, "up"]);
    }
    return link;
  }

  /** Two hosts and the link between them. */
  async pair(subnet = 77): Promise<{ a: Host; b: Host; link: Link }> {
    const a = await this.host();
    const b = await this.host();
    return { a, b, link: await this.connect(a, b, subnet) };
  }

  /** `left` – router – `right`, with default routes through the router on both sides. */
  async routed(): Promise<{ a: Host; router: Host; b: Host; left: Link; right: Link }> {
    const a = await this.host();
    const router = await this.host();
    const b = await this.host();
    const left = await this.connect(a, router, 78);
    const right = await this.connect(router, b, 79);
    await router.must(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
    await a.must(["ip", "route", "add", "default", "via", "10.78.0.2"]);
    await a.must(["ip", "-6", "route", "add", "default", "via", "fd00:78::2"]);
    await b.must(["ip", "route", "add", "default", "via", "10.79.0.1"]);
    await b.must(["ip", "-6", "route", "add", "default", "via", "fd00:79::1"]);
    return { a, router, b, left, right };
  }

  /** Something to do before the namespaces go; the last added runs first. */
  defer(cleanup: () => Promise<void>): void {
    this.#cleanups.push(cleanup);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!open_labs.delete(this)) return;
    const failures: unknown[] = [];
    for (const cleanup of this.#cleanups.reverse()) {
      try {
        await cleanup();
      } catch (error) {
        failures.push(error);
      }
    }
    try {
      for (const host of this.#hosts) await host.destroy();
    } finally {
      await Deno.remove(this.folder, { recursive: true });
      await this.#names.close();
      await this.#undertaker.status;
    }
    if (failures.length > 0) throw new AggregateError(failures, "Cleaning up the lab failed");
  }
}

export class Link {
  readonly left: string;
  readonly right: string;
  readonly #hosts: readonly [Host, Host];
  readonly #subnet: number;

  constructor(left: Host, right: Host, subnet: number) {
    this.left = `v${subnet}-${left.name.split("-").at(-1)}`;
    this.right = `v${subnet}-${right.name.split("-").at(-1)}`;
    this.#hosts = [left, right];
    this.#subnet = subnet;
  }

  /** One end of the link: 1 is left. */
  place(side: 1 | 2): Place {
    const [host, device] = side === 1 ? [this.#hosts[0], this.left] : [this.#hosts[1], this.right];
    return {
      host,
      device,
      outer: (family) => family === 4 ? `10.${this.#subnet}.0.${side}` : `fd00:${this.#subnet}::${side}`,
    };
  }
}

/** Where an end of a tunnel stands in the network outside. */
export interface Place {
  readonly host: Host;
  /** Its network device. */
  readonly device: string;
  /** The address others reach it at, by family. */
  outer(family: 4 | 6): string;
}

/** One namespace. */
export class Host {
  readonly lab: Lab;
  readonly name: string;

  constructor(lab: Lab, name: string) {
    this.lab = lab;
    this.name = name;
  }

  /** `command` as it must be run to be inside this namespace. */
  inside(command: readonly string[]): string[] {
    return ["ip", "netns", "exec", this.name, ...command];
  }

  run(command: readonly string[], options?: RunOptions): Promise<Output> {
    return run(this.inside(command), options);
  }

  must(command: readonly string[], options?: RunOptions): Promise<string> {
    return must(this.inside(command), options);
  }

  /** Starts a process that the lab ends. */
  spawn(command: readonly string[], env?: Readonly<Record<string, string>>): Background {
    const log = Deno.makeTempFileSync({ dir: this.lab.folder, suffix: ".log" });
    const background = new Background(this.inside(command), log, env);
    this.lab.defer(() => background[Symbol.asyncDispose]());
    return background;
  }

  /** Loads nftables rules; the whole text or nothing is applied. */
  async nft(rules: string): Promise<void> {
    await this.must(["nft", "-f", "-"], { stdin: rules });
  }

  /** Packets that an nft rule with a `counter` and this comment has seen. */
  async counted(comment: string): Promise<number> {
    const rules = await this.must(["nft", "list", "ruleset"]);
    const line = rules.split("\n").find((line) => line.includes(`comment "${comment}"`));
    const packets = line?.match(/counter packets (\d+)/)?.[1];
    if (packets === undefined) throw new Error(`No nft counter with the comment ${comment}: ${rules}`);
    return Number(packets);
  }

  /** Ports of the UDP sockets in this namespace, of either family. */
  async udpPorts(): Promise<number[]> {
    const text = await this.must(["cat", "/proc/net/udp", "/proc/net/udp6"]);
    const ports = text.matchAll(/^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) /gm);
    return [...new Set(Array.from(ports, ([, port]) => parseInt(port, 16)))];
  }

  /** Waits until a UDP port of this namespace is open, or is not. */
  async untilPort(port: number, open: boolean): Promise<void> {
    await waitFor(
      `port ${port} to be ${open ? "open" : "closed"}`,
      async () => (await this.udpPorts()).includes(port) === open,
    );
  }

  /** Holds a UDP port, as another program would. */
  async takePort(port: number, family: 4 | 6 = 4): Promise<Background> {
    const holder = this.spawn(["ncat", `-${family}`, "-u", "-l", `${port}`]);
    await this.untilPort(port, true);
    return holder;
  }

  /** Echo replies of either family that have arrived, as the kernel counts them. */
  async echoReplies(): Promise<number> {
    const text = await this.must(["cat", "/proc/net/snmp", "/proc/net/snmp6"]);
    const [names, values] = [...text.matchAll(/^Icmp: (.*)$/gm)].map(([, words]) => words.split(" "));
    const ipv6 = text.match(/^Icmp6InEchoReplies\s+(\d+)$/m)?.[1] ?? "0";
    return Number(values[names.indexOf("InEchoReps")]) + Number(ipv6);
  }

  /** Processes that live in this namespace. */
  async pids(): Promise<number[]> {
    const text = await must(["ip", "netns", "pids", this.name]);
    return text.split("\n").filter((line) => line !== "").map(Number);
  }

  /** Ends what runs inside, then removes the namespace. */
  async destroy(): Promise<void> {
    if (!exists(`/run/netns/${this.name}`)) return;
    for (const pid of await this.pids()) kill(pid, "SIGTERM");
    for (let tries = 0; tries < 100 && (await this.pids()).length > 0; tries++) {
      if (tries === 60) { for (const pid of await this.pids()) kill(pid, "SIGKILL"); }
      await sleep(50);
    }
    await must(["ip", "netns", "delete", this.name]);
  }
}
