/**
 * The kill switch, watched from the router outside: once it is on, nothing but WireGuard's own packets leaves the host,
 * whatever becomes of culvert.
 */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { makeKeys } from "./daemon.ts";
import { CULVERT_FILE, program } from "./implementation.ts";
import { kill, must, waitFor } from "./process.ts";
import { hasState, nameOf, QuickHost } from "./quick_host.ts";
import { netnsTest } from "./requirements.ts";

const NEEDS = [CULVERT_FILE, "nft", "ping", "ncat"];

const ADDRESSES = "Address = 10.9.0.1/24, fd09::1/64";
const FULL = ["AllowedIPs = 0.0.0.0/0, ::/0", "Endpoint = 10.79.0.2:51820"];

netnsTest("with the kill switch nothing leaks, also after kill -9, until cleanup", NEEDS, async () => {
  await using quick = await QuickHost.open();
  await count(quick);
  // What is counted without a tunnel shows that a leak would be seen.
  await tryToLeak(quick);
  for (const [what, packets] of Object.entries(await leaks(quick))) equal(packets > 0, true, `${what} are not counted`);

  const before = await quick.view();
  const file = await quick.write([ADDRESSES, "# @kill-switch = on"], [FULL]);
  await quick.must("culvert", ["up", file]);
  await count(quick);
  await tryToLeak(quick);
  deepEqual(await leaks(quick), { ipv4: 0, ipv6: 0, dns: 0 });
  await waitFor("an initiation", async () => await quick.router.counted("wireguard") > 0);

  await killAll(quick);
  await tryToLeak(quick);
  deepEqual(await leaks(quick), { ipv4: 0, ipv6: 0, dns: 0 });
  await quick.must("culvert", ["cleanup", nameOf(file)]);
  deepEqual(await quick.view(), before);
  equal(hasState(nameOf(file)), false);
  await tryToLeak(quick);
  equal((await leaks(quick)).ipv4 > 0, true);
});

netnsTest("a tunnel for IPv4 alone with the kill switch lets no IPv6 out", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const file = await quick.write(["Address = 10.9.0.1/24"], [["AllowedIPs = 0.0.0.0/0", FULL[1]]]);
  await quick.must("culvert", ["up", "--kill-switch", file]);
  await count(quick);
  await tryToLeak(quick);
  deepEqual(await leaks(quick), { ipv4: 0, ipv6: 0, dns: 0 });
  await quick.must("culvert", ["down", file]);
});

netnsTest(
  "the kill switch stays while a killed tunnel comes up again, and a failing start leaves it",
  NEEDS,
  async () => {
    await using quick = await QuickHost.open();
    const before = await quick.view();
    const file = await quick.write([ADDRESSES, "# @kill-switch = on"], [FULL]);
    await quick.must("culvert", ["up", file]);
    const running = await quick.view();
    await killAll(quick);
    const text = await Deno.readTextFile(file);
    await Deno.writeTextFile(file, text.replace("# @kill", "PostUp = false\n# @kill"));
    await count(quick);
    equal((await quick.run("culvert", ["up", file])).code, 1);
    await tryToLeak(quick);
    deepEqual(await leaks(quick), { ipv4: 0, ipv6: 0, dns: 0 });
    await Deno.writeTextFile(file, text);
    await quick.must("culvert", ["up", file]);
    deepEqual(withoutCounters(await quick.view()), withoutCounters(running));
    await quick.must("culvert", ["down", file]);
    deepEqual(await quick.view(), before);
  },
);

netnsTest("behind the kill switch of a killed tunnel an endpoint's name is not asked for again", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const peer = [FULL[0], "Endpoint = far.invalid:51820"];
  const file = await quick.write([ADDRESSES, "# @kill-switch = on"], [peer]);
  const hosts = `${quick.lab.folder}/hosts`;
  await Deno.writeTextFile(hosts, "127.0.0.1 localhost\n10.79.0.2 far.invalid\n");
  // The name is known to the first start only.
  const script = `set -e; mount --bind "$2" /etc/hosts; "$1" up "$3"; echo 127.0.0.1 localhost >"$2"
    ip netns pids "$4" | while read -r pid; do case $(cat /proc/$pid/cmdline | tr '\\0' ' ') in
      *" -- $5 "*) kill -9 $pid;; esac; done
    "$1" up "$3"`;
  const words = [await program(), hosts, file, quick.host.name, nameOf(file)];
  await quick.host.must(["sh", "-c", script, "sh", ...words]);
  match(await must(["wg", "show", nameOf(file), "endpoints"]), /\t10\.79\.0\.2:51820\n$/);
  await quick.must("culvert", ["down", file]);
});

netnsTest("a start that fails takes its own kill switch back", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const before = await quick.view();
  const file = await quick.write([ADDRESSES, "# @kill-switch = on", "PostUp = false"], [FULL]);
  equal((await quick.run("culvert", ["up", file])).code, 1);
  deepEqual(await quick.view(), before);
});

netnsTest("two tunnels share the kill switch, and the last one lifts it", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const before = await quick.view();
  const files = [await quick.write([ADDRESSES], [FULL]), await quick.write(["Address = 10.10.0.1/24"], [FULL])];
  for (const file of files) await quick.must("culvert", ["up", "--kill-switch", file]);
  const rules = await quick.host.must(["nft", "list", "table", "inet", "culvert-kill-switch"]);
  match(rules, /elements = \{ 0x0000ca6c, 0x0000ca6d \}/);
  for (const file of files) match(rules, new RegExp(`"${nameOf(file)}"`));
  await quick.must("culvert", ["down", files[0]]);
  const left = await quick.host.must(["nft", "list", "table", "inet", "culvert-kill-switch"]);
  match(left, /elements = \{ 0x0000ca6d \}/);
  await quick.must("culvert", ["down", files[1]]);
  deepEqual(await quick.view(), before);
});

for (const setting of ["on", "off"]) {
  netnsTest(
    `all traffic goes inside a full tunnel, with strict reverse paths, kill switch ${setting}`,
    NEEDS,
    async () => {
      await using quick = await QuickHost.open();
      const { host, far } = quick;
      await host.must(["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1"]);
      const [file, other] = await writePair(quick, `# @kill-switch = ${setting}`);
      await far.must([await program(), "up", other]);
      await quick.must("culvert", ["up", file]);
      // Without the kill switch the kernel also says which multicast groups it is in.
      await count(quick, setting === "on" ? undefined : "133, 135, 136, 143");
      const beyond = await Promise.all(
        ["10.9.0.2", "fd09::2", "10.79.0.2", "fd00:79::2", "203.0.113.5"].map((address) =>
          host.must(["ping", "-q", "-c", "5", "-W", "2", "-i", "0.2", address])
        ),
      );
      for (const output of beyond) match(output, / 0% packet loss/);
      deepEqual(await leaks(quick), { ipv4: 0, ipv6: 0, dns: 0 });
      // Several datagrams may cross a veth as one packet.
      equal(await quick.router.counted("wireguard") > 0, true);
      await quick.must("culvert", ["down", file]);
      await far.must([await program(), "down", other]);
    },
  );
}

/** Two ends of a full tunnel; the far one also has an address of the outer world. */
async function writePair(quick: QuickHost, line: string): Promise<[string, string]> {
  const [near, far] = [await makeKeys(), await makeKeys()];
  const file = await quick.write([ADDRESSES, line], []);
  const other = await quick.write(["Address = 10.9.0.2/24, fd09::2/64, 203.0.113.5/32", "ListenPort = 51820"], []);
  const write = async (path: string, own: string, peer: string, lines: readonly string[]): Promise<void> => {
    const text = (await Deno.readTextFile(path)).replace(/PrivateKey = .*/, `PrivateKey = ${own}`);
    await Deno.writeTextFile(path, [text, "[Peer]", `PublicKey = ${peer}`, ...lines, ""].join("\n"));
  };
  await write(file, near.privateKey, far.publicKey, FULL);
  await write(other, far.privateKey, near.publicKey, ["AllowedIPs = 10.9.0.1, fd09::1"]);
  return [file, other];
}

interface Leaks {
  readonly ipv4: number;
  readonly ipv6: number;
  readonly dns: number;
}

/**
 * Counts anew, on the router, what arrives from the host beside WireGuard and neighbour discovery.
 *
 * @param chatter types of ICMPv6 that do not count
 */
async function count(quick: QuickHost, chatter = "133, 135, 136"): Promise<void> {
  const device = JSON.parse(await quick.router.must(["ip", "-j", "link"]))
    .find(({ ifname }: { ifname: string }) => ifname.startsWith("v78-")).ifname;
  await quick.router.nft(`table inet leaks {
}
delete table inet leaks
table inet leaks {
  chain seen {
    type filter hook prerouting priority -310
    iifname != "${device}" return
    ip daddr 10.79.0.2 udp dport 51820 counter return comment "wireguard"
    icmpv6 type { ${chatter} } return
    meta l4proto { tcp, udp } th dport 53 counter comment "dns"
    meta nfproto ipv4 counter comment "ipv4"
    meta nfproto ipv6 counter comment "ipv6"
  }
}
`);
}

async function leaks({ router }: QuickHost): Promise<Leaks> {
  return {
    ipv4: await router.counted("ipv4"),
    ipv6: await router.counted("ipv6"),
    dns: await router.counted("dns"),
  };
}

/** Everything that may leak: to far hosts and to the router next door, both families, DNS over both transports. */
async function tryToLeak({ host }: QuickHost): Promise<void> {
  const script = `for address in 10.79.0.2 10.78.0.2 fd00:79::2 fd00:78::2; do
      ping -c 1 -W 0.2 $address
      echo query | ncat -u -w 1 --send-only $address 53
      echo query | ncat -w 200ms $address 53
      echo data | ncat -u -w 1 --send-only $address 4000
    done
    true`;
  await host.must(["sh", "-c", `(${script}) >/dev/null 2>&1`]);
}

async function killAll(quick: QuickHost): Promise<void> {
  for (const pid of await quick.processes()) kill(pid, "SIGKILL");
  await waitFor("the processes to end", async () => (await quick.processes()).length === 0);
}

function withoutCounters(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (key, child) => key === "counter" ? null : child));
}
