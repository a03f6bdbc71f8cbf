/** `leaktest` against kill switches that hold, that are broken and that are not there; the router is the judge. */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { CULVERT_FILE } from "./implementation.ts";
import { kill, waitFor } from "./process.ts";
import { nameOf, QuickHost } from "./quick_host.ts";
import { netnsTest } from "./requirements.ts";

const NEEDS = [CULVERT_FILE, "nft"];

const ADDRESSES = "Address = 10.9.0.1/24, fd09::1/64";
const FULL = ["AllowedIPs = 0.0.0.0/0, ::/0", "Endpoint = 10.79.0.2:51820"];
/** What the kill switch must let out: WireGuard itself, the witnesses, and the search for neighbours. */
const EXPECTED = `udp dport { 9, 51820 } ip daddr 10.79.0.2 accept
    udp dport 9 ip6 daddr 2620:fe::fe accept
    icmpv6 type { 133, 135, 136 } accept`;

interface Leaks {
  readonly verdict: string;
  readonly killSwitch: boolean;
  readonly heldBack: number | null;
  readonly doubts: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  readonly probes: readonly {
    readonly what: string;
    readonly isWitness: boolean;
    readonly kind: string;
    readonly family: number;
    readonly address: string;
    readonly port: number;
    readonly outcome: string;
    readonly through: readonly string[];
  }[];
}

netnsTest("leaktest proves a kill switch, also after kill -9, and finds the hole in a broken one", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const file = await quick.write([ADDRESSES, "# @kill-switch = on"], [FULL]);
  await quick.must("culvert", ["up", file]);
  await watchRouter(quick);

  const whole = await leaktest(quick, file);
  equal(whole.code, 0, JSON.stringify(whole.leaks, null, 1));
  equal(whole.leaks.verdict, "tight");
  equal(whole.leaks.killSwitch, true);
  equal(whole.leaks.counts.leaked, 0);
  equal(whole.leaks.counts.tunnel > 0 && whole.leaks.counts.blocked > 0, true);
  equal((whole.leaks.heldBack ?? 0) >= whole.leaks.counts.blocked, true);
  deepEqual(witnesses(whole.leaks), ["4 leaked", "6 leaked"]);
  equal(await quick.router.counted("unexpected"), 0);

  await killAll(quick);
  const dead = await leaktest(quick, file);
  equal(dead.code, 0, JSON.stringify(dead.leaks, null, 1));
  equal(dead.leaks.counts.tunnel, 0);
  deepEqual(witnesses(dead.leaks), ["4 leaked", "6 leaked"]);
  equal(await quick.router.counted("unexpected"), 0);

  await quick.host.must(["nft", "insert rule inet culvert-kill-switch output udp dport 53 accept"]);
  const broken = await leaktest(quick, file);
  equal(broken.code, 1);
  equal(broken.leaks.verdict, "leaking");
  const leaked = broken.leaks.probes.filter(({ outcome, isWitness }) => outcome === "leaked" && !isWitness);
  equal(leaked.length > 0 && leaked.every(({ kind, port }) => kind === "udp" && port === 53), true);
  // The router has seen as many, and no other packet.
  equal(await quick.router.counted("unexpected"), leaked.length);
  const said = await quick.run("culvert", ["leaktest", nameOf(file)]);
  equal(said.code, 1);
  match(said.stdout, /LEAKED through v78-/);
  match(said.stdout, /its rules were changed/);
});

netnsTest("leaktest cannot tell when what must get out does not", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const file = await quick.write([ADDRESSES, "# @kill-switch = on"], [FULL]);
  await quick.must("culvert", ["up", file]);
  await quick.host.must(["nft", "insert rule inet culvert-kill-switch output meta mark 0xca6c drop"]);
  const { code, leaks } = await leaktest(quick, file);
  equal(code, 1);
  equal(leaks.verdict, "unproven");
  match(leaks.doubts.join(), /IPv4 witness on v78-\S+ was held back/);
});

netnsTest("leaktest tells what a full tunnel without kill switch lets out", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const file = await quick.write([ADDRESSES], [FULL]);
  await quick.must("culvert", ["up", file]);
  const { code, leaks } = await leaktest(quick, file);
  equal(code, 1);
  equal(leaks.killSwitch, false);
  equal(leaks.verdict, "leaking");
  const outcome = (what: RegExp): string[] => [
    ...new Set(leaks.probes.filter((probe) => what.test(probe.what)).map(({ outcome }) => outcome)),
  ];
  deepEqual(outcome(/^a public address$/), ["tunnel"]);
  deepEqual(outcome(/^the endpoint, unmarked$/), ["tunnel"]);
  deepEqual(outcome(/^the gateway on /), ["leaked"]);
  deepEqual(outcome(/^a neighbour on /), ["leaked"]);
  deepEqual(outcome(/^a public address, bound to /), ["leaked"]);
});

netnsTest("leaktest does not claim what it could not try", NEEDS, async () => {
  await using quick = await QuickHost.open();
  await quick.host.must(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"]);
  const file = await quick.write(["Address = 10.9.0.1/24", "# @kill-switch = on"], [[
    "AllowedIPs = 0.0.0.0/0",
    FULL[1],
  ]]);
  await quick.must("culvert", ["up", file]);
  const { code, leaks } = await leaktest(quick, file);
  equal(code, 0, JSON.stringify(leaks, null, 1));
  const ipv6 = leaks.probes.filter(({ family }) => family === 6).map(({ outcome }) => outcome);
  deepEqual([...new Set(ipv6)], ["untested"]);
  deepEqual(witnesses(leaks), ["4 leaked", "6 untested"]);
});

netnsTest("leaktest of what is not up fails with the remedy, and takes one name", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const absent = await quick.run("culvert", ["leaktest", "nosuchtunnel"]);
  equal(absent.code, 1);
  match(absent.stderr, /nosuchtunnel is not up; bring it up with/);
  equal((await quick.run("culvert", ["leaktest"])).code, 2);
});

async function leaktest(quick: QuickHost, file: string): Promise<{ code: number; leaks: Leaks }> {
  const { code, stdout, stderr } = await quick.run("culvert", ["leaktest", nameOf(file), "--json"]);
  if (stdout === "") throw new Error(stderr);
  return { code, leaks: JSON.parse(stdout) };
}

function witnesses({ probes }: Leaks): string[] {
  return probes.filter(({ isWitness }) => isWitness).map(({ family, outcome }) => `${family} ${outcome}`);
}

/** Counts what arrives from the host beside what must. */
async function watchRouter(quick: QuickHost): Promise<void> {
  const device = JSON.parse(await quick.router.must(["ip", "-j", "link"]))
    .find(({ ifname }: { ifname: string }) => ifname.startsWith("v78-")).ifname;
  await quick.router.nft(`table inet leaks {
  chain seen {
    type filter hook prerouting priority -310
    iifname != "${device}" return
    ${EXPECTED}
    counter comment "unexpected"
  }
}
`);
}

async function killAll(quick: QuickHost): Promise<void> {
  for (const pid of await quick.processes()) kill(pid, "SIGKILL");
  await waitFor("the processes to end", async () => (await quick.processes()).length === 0);
}
