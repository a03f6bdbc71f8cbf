/**
 * Endpoints that live: a name whose address changes, several addresses of which one answers, and a host that comes to
 * another network. The times it takes are printed.
 *
 *     client ── router ── two servers with the same key, 10.79.0.2 and 10.80.0.2
 *               name server
 */

import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { Daemon, keyFile, type KeyPair, makeKeys } from "./daemon.ts";
import { CULVERT_BATCH, CULVERT_FILE, program, WIREGUARD_GO } from "./implementation.ts";
import { type Host, Lab } from "./lab.ts";
import { must, sleep, waitFor } from "./process.ts";
import { nameOf, QuickHost } from "./quick_host.ts";
import { netnsTest } from "./requirements.ts";
import { inner, openTunnel, untilReachable } from "./tunnel.ts";

const NEEDS = [CULVERT_FILE, WIREGUARD_GO.needs, "ping", "nft", "mount"];

const NAME_SERVER = new URL("./name_server.ts", import.meta.url).pathname;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;
const HOST_NAME = "vpn.example.test";
const [FIRST, SECOND] = ["10.79.0.2", "10.80.0.2"];
const NOBODY = "10.79.0.66";
const SERVER_INNER = "10.9.0.2";

const TUNNELS = {
  "a split tunnel": ["AllowedIPs = 10.9.0.2/32"],
  "a full tunnel": ["AllowedIPs = 0.0.0.0/0, ::/0"],
  "a full tunnel with a kill switch": ["AllowedIPs = 0.0.0.0/0, ::/0"],
};

for (const [what, lines] of Object.entries(TUNNELS)) {
  netnsTest(`${what} is back within 10 s when its endpoint's name leads to another address`, NEEDS, async () => {
    await using scene = await Scene.open();
    await scene.tell([FIRST]);
    const isShut = what.includes("kill switch");
    // The tunnel's own name server cannot be asked while the tunnel is dead.
    const own = lines[0].includes("0.0.0.0/0") ? ["DNS = 10.9.0.53"] : [];
    await scene.quick.host.must(["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1"]);
    const file = await scene.up([...own, ...isShut ? ["# @kill-switch = on"] : []], [
      ...lines,
      `Endpoint = ${HOST_NAME}:51820`,
    ]);
    await untilReachable(scene.quick.host, SERVER_INNER);
    equal(await scene.endpoint(file), `${FIRST}:51820`);
    // Longer than two handshakes must be apart.
    await sleep(6_000);

    await scene.tell([SECOND]);
    await scene.cutOff(FIRST);
    const seconds = await scene.untilBack();
    print(`    ${what}: back after ${seconds.toFixed(1)} s`);
    ok(seconds < 10, `${seconds} s`);
    equal(await scene.endpoint(file), `${SECOND}:51820`);
    await scene.down(file);
  });
}

for (const family of ["a further endpoint", "a second address of the name"]) {
  netnsTest(`${family} is where the first handshake succeeds if nobody is at the first`, NEEDS, async () => {
    await using scene = await Scene.open();
    const isNamed = family.includes("name");
    await scene.tell([NOBODY, FIRST]);
    const endpoints = isNamed
      ? [`Endpoint = ${HOST_NAME}:51820`]
      : [`Endpoint = ${NOBODY}:51820`, `# @endpoint = ${FIRST}:51820`];
    const file = await scene.up([], ["AllowedIPs = 10.9.0.2/32", ...endpoints]);
    const seconds = await scene.untilBack();
    print(`    ${family}: first handshake after ${seconds.toFixed(2)} s`);
    ok(seconds < 1.5, `${seconds} s`);
    equal(await scene.endpoint(file), `${FIRST}:51820`);
    const shown = await scene.quick.must("culvert", ["show", nameOf(file)]);
    match(shown.stdout, isNamed ? /endpoint names: vpn\.example\.test:51820\n/ : /names: 10\.79\.0\.66:51820, 10\./);
    await scene.down(file);
  });
}

netnsTest("an endpoint that works is not left because its name leads elsewhere", NEEDS, async () => {
  await using scene = await Scene.open();
  await scene.tell([FIRST]);
  const file = await scene.up([], ["AllowedIPs = 10.9.0.2/32", `Endpoint = ${HOST_NAME}:51820`]);
  await untilReachable(scene.quick.host, SERVER_INNER);
  await scene.tell([SECOND]);
  for (let second = 0; second < 8; second++) {
    await scene.quick.host.must(["ping", "-q", "-c", "5", "-i", "0.2", "-W", "1", SERVER_INNER]);
    equal(await scene.endpoint(file), `${FIRST}:51820`);
  }
  // Names go with an endpoint that is set, and come with one that is named.
  await must(["wg", "set", nameOf(file), "peer", scene.server.publicKey, "endpoint", `${FIRST}:51820`]);
  equal((await scene.json(file)).endpointNames, undefined);
  await scene.down(file);
});

netnsTest(
  "names are told to culvert's interfaces and kept from wireguard-go's",
  [CULVERT_FILE, "wireguard-go"],
  async () => {
    await using lab = new Lab();
    const host = await lab.host();
    const { publicKey } = await makeKeys();
    const file = `${lab.folder}/peer.conf`;
    const lines = ["[Peer]", `PublicKey = ${publicKey}`, "Endpoint = localhost:5", "# @endpoint = 192.0.2.7:6", ""];
    await Deno.writeTextFile(file, lines.join("\n"));
    for (const implementation of [WIREGUARD_GO, CULVERT_BATCH]) {
      const daemon = await Daemon.detached(host, implementation);
      await host.must([await program(), "setconf", daemon.interfaceName, file]);
      const reply = await daemon.uapi("get=1\n\n");
      match(reply, /^endpoint=(127\.0\.0\.1|\[::1\]):5$/m);
      const names = Array.from(reply.matchAll(/^culvert_endpoint=(.*)$/gm), ([, name]) => name);
      deepEqual(names, implementation === CULVERT_BATCH ? ["localhost:5", "192.0.2.7:6"] : []);
      await daemon.set("peer", publicKey, "endpoint", "192.0.2.8:7");
      equal((await daemon.uapi("get=1\n\n")).includes("culvert_endpoint="), false);
    }
  },
);

netnsTest(
  "a host that changes its address is reached again within a second although only the other side speaks",
  [CULVERT_BATCH.needs, WIREGUARD_GO.needs, "ping"],
  async () => {
    await using scene = await Scene.open();
    const { ends: [near, far] } = await openTunnel(scene.quick.lab, [CULVERT_BATCH, WIREGUARD_GO], { knows: [1] });
    await untilReachable(near.host, inner(2));
    const replies = far.host.spawn(["ping", "-n", "-D", "-i", "0.05", "-c", "120", "-W", "1", inner(1)]);
    await sleep(2_000);
    const address = ["ip", "-n", near.host.name, "address"];
    await must([...address, "delete", `${near.outer(4)}/24`, "dev", near.device]);
    await must([...address, "add", "10.77.0.55/24", "dev", near.device]);
    await replies.end();
    const gap = longestGap(replies.output());
    print(`    another address: ${gap.toFixed(2)} s without a reply`);
    ok(gap < 1.3, `${gap} s`);
  },
);

/** The figures are worth seeing also when all is well. */
function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

/** Seconds between two replies of `ping -D`. */
function longestGap(output: string): number {
  const times = Array.from(output.matchAll(/^\[([\d.]+)\] \d+ bytes from/gm), ([, time]) => Number(time));
  ok(times.length > 60, output);
  return Math.max(...times.slice(1).map((time, i) => time - times[i]));
}

/** The client, its servers and the name server. */
class Scene implements AsyncDisposable {
  readonly quick: QuickHost;
  readonly server: KeyPair;
  readonly #client: KeyPair;
  readonly #names: string;

  private constructor(quick: QuickHost, server: KeyPair, client: KeyPair) {
    this.quick = quick;
    this.server = server;
    this.#client = client;
    this.#names = `${quick.lab.folder}/names.json`;
  }

  static async open(): Promise<Scene> {
    const quick = await QuickHost.open();
    try {
      const scene = new Scene(quick, await makeKeys(), await makeKeys());
      const other = await quick.lab.host();
      await quick.lab.connect(quick.router, other, 80);
      await other.must(["ip", "route", "add", "default", "via", "10.80.0.1"]);
      await scene.tell([]);
      const command = [Deno.execPath(), "run", "-A", "--cached-only", "--config", CONFIG, NAME_SERVER];
      quick.router.spawn([...command, scene.#names]);
      await quick.router.untilPort(53, true);
      for (const host of [quick.far, other]) await scene.#serve(host);
      return scene;
    } catch (error) {
      await quick[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What the name leads to from now on. */
  async tell(addresses: readonly string[]): Promise<void> {
    await Deno.writeTextFile(`${this.#names}.new`, JSON.stringify({ [HOST_NAME]: addresses }));
    await Deno.rename(`${this.#names}.new`, this.#names);
  }

  /** Brings a tunnel up with the router as the host's name server. @returns its file */
  async up(interfaceLines: readonly string[], peerLines: readonly string[]): Promise<string> {
    const { quick } = this;
    const file = await quick.write(["Address = 10.9.0.1/24", ...interfaceLines], []);
    const text = (await Deno.readTextFile(file)).replace(/PrivateKey = .*/, `PrivateKey = ${this.#client.privateKey}`);
    const peer = ["[Peer]", `PublicKey = ${this.server.publicKey}`, ...peerLines, ""];
    await Deno.writeTextFile(file, `${text}\n${peer.join("\n")}`);
    const resolvConf = `${quick.lab.folder}/resolv.conf`;
    await Deno.writeTextFile(resolvConf, "nameserver 10.78.0.2\n");
    const script = `set -e; mount --bind "$2" /etc/resolv.conf; "$1" up "$3"`;
    await quick.host.must(["sh", "-c", script, "sh", await program(), resolvConf, file]);
    return file;
  }

  async down(file: string): Promise<void> {
    await this.quick.must("culvert", ["down", file]);
  }

  /** Nothing reaches the address any more, or comes from it. */
  async cutOff(address: string): Promise<void> {
    await this.quick.router.nft(
      `table ip cut {\n chain forward {\n type filter hook forward priority 0\n ip daddr ${address} drop\n ip saddr ${address} drop\n }\n}\n`,
    );
  }

  /** Seconds until a ping through the tunnel is answered. */
  async untilBack(): Promise<number> {
    const start = performance.now();
    await waitFor("a reply", async () => {
      const { code } = await this.quick.host.run(["ping", "-q", "-c", "1", "-W", "0.3", SERVER_INNER]);
      return code === 0;
    }, 30_000);
    return (performance.now() - start) / 1000;
  }

  async endpoint(file: string): Promise<string> {
    return (await must(["wg", "show", nameOf(file), "endpoints"])).trim().split("\t")[1];
  }

  /** The peer in `culvert show --json`. */
  async json(file: string): Promise<{ endpointNames?: string[] }> {
    const { stdout } = await this.quick.must("culvert", ["show", nameOf(file), "--json"]);
    return JSON.parse(stdout)[nameOf(file)].peers[this.server.publicKey];
  }

  async #serve(host: Host): Promise<void> {
    const daemon = await Daemon.detached(host, WIREGUARD_GO);
    const words = ["private-key", await keyFile(host, this.server.privateKey), "listen-port", "51820"];
    await daemon.set(...words, "peer", this.#client.publicKey, "allowed-ips", "10.9.0.1/32");
    await daemon.ip("address", "add", `${SERVER_INNER}/24`, "dev", daemon.interfaceName);
    await daemon.link("mtu", "1420", "up");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.quick[Symbol.asyncDispose]();
  }
}
