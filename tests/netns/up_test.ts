/**
 * `culvert up` and Debian's wg-quick, one after the other on the same host: they leave the same links, addresses,
 * routes, rules and nftables. What differs on purpose from Debian's, since wg-quick changed it later, is not compared:
 *
 * - of several endpoints the smallest MTU is taken (Debian: the largest);
 * - PreUp runs when the interface is there (Debian: before);
 * - src_valid_mark is set only if it is not, and put back at the end.
 */

import {
  deepStrictEqual as deepEqual,
  match,
  notDeepStrictEqual as notDeepEqual,
  strictEqual as equal,
} from "node:assert/strict";
import { makeKeys } from "./daemon.ts";
import { CULVERT_FILE, program } from "./implementation.ts";
import { exists, must } from "./process.ts";
import { hasState, type HostView, nameOf, QuickHost, type Tool } from "./quick_host.ts";
import { netnsTest } from "./requirements.ts";

const NEEDS = [CULVERT_FILE, "wg-quick", "nft", "bash"];

/** What the peers of these tests have in common. */
const ENDPOINT = "Endpoint = 10.79.0.2:51820";
const ADDRESSES = "Address = 10.9.0.1/24, fd09::1/64";
const PORT = "ListenPort = 51999";

interface Case {
  readonly name: string;
  readonly interface: readonly string[];
  readonly peers: readonly (readonly string[])[];
}

const CASES: readonly Case[] = [
  {
    name: "a split tunnel",
    interface: [ADDRESSES],
    peers: [["AllowedIPs = 10.9.0.0/24, 10.44.0.0/16, fd44::/48, 10.9.0.7/32", ENDPOINT]],
  },
  { name: "a full tunnel for IPv4", interface: [ADDRESSES], peers: [["AllowedIPs = 0.0.0.0/0", ENDPOINT]] },
  { name: "a full tunnel for IPv6", interface: [ADDRESSES], peers: [["AllowedIPs = ::/0", ENDPOINT]] },
  {
    name: "a full tunnel for both",
    interface: [ADDRESSES, "Address = 10.10.0.1/32"],
    peers: [["AllowedIPs = 0.0.0.0/0, ::/0", ENDPOINT], ["AllowedIPs = 10.44.0.0/16"]],
  },
  { name: "halves of everything", interface: [ADDRESSES], peers: [["AllowedIPs = 0.0.0.0/1, 128.0.0.0/1", ENDPOINT]] },
  {
    name: "Table = off",
    interface: [ADDRESSES, "Table = off"],
    peers: [["AllowedIPs = 0.0.0.0/0, ::/0, 10.44.0.0/16", ENDPOINT]],
  },
  {
    name: "Table = N",
    interface: [ADDRESSES, "Table = 4711"],
    peers: [["AllowedIPs = 0.0.0.0/0, ::/0, 10.44.0.0/16", ENDPOINT]],
  },
  {
    name: "an explicit FwMark",
    interface: [ADDRESSES, "FwMark = 0x999"],
    peers: [["AllowedIPs = 0.0.0.0/0, ::/0", ENDPOINT]],
  },
  {
    name: "an MTU that is given",
    interface: [ADDRESSES, "MTU = 1312"],
    peers: [["AllowedIPs = 10.44.0.0/16", ENDPOINT]],
  },
  {
    name: "an address without a network, and no peer",
    interface: ["Address = 10.9.0.1", "Address = fd09::1"],
    peers: [],
  },
];

for (const each of CASES) {
  netnsTest(`culvert up and wg-quick up leave the same for ${each.name}`, NEEDS, async () => {
    await using quick = await QuickHost.open();
    await compare(quick, await quick.write([PORT, ...each.interface], each.peers));
  });
}

netnsTest("culvert up and wg-quick up find the same MTU", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const { host } = quick;
  const file = await quick.write([PORT, ADDRESSES], [["AllowedIPs = 10.44.0.0/16", ENDPOINT]]);
  // By the default route, by a route with an MTU of its own, and without a way to the endpoint.
  const settings: [readonly string[], number][] = [
    [
      [
        "link",
        "set",
        "dev",
        (await host.must(["sh", "-c", "ip -o link | grep -o 'v78-[0-9]*'"])).trim(),
        "mtu",
        "1400",
      ],
      1320,
    ],
    [["route", "add", "10.79.0.2", "via", "10.78.0.2", "mtu", "1300"], 1220],
    [["route", "replace", "unreachable", "10.79.0.2"], 1320],
    [["route", "delete", "default"], 1420],
  ];
  for (const [command, mtu] of settings) {
    await host.must(["ip", ...command]);
    const view = await compare(quick, file);
    const link = view.links.find((each) => (each as { ifname: string }).ifname === nameOf(file));
    equal((link as { mtu: number }).mtu, mtu, command.join(" "));
  }
});

netnsTest("culvert up takes the smallest MTU of several endpoints", NEEDS, async () => {
  await using quick = await QuickHost.open();
  await quick.host.must(["ip", "route", "add", "10.79.0.9", "via", "10.78.0.2", "mtu", "1300"]);
  const peers = [["AllowedIPs = 10.44.0.0/16", ENDPOINT], ["AllowedIPs = 10.45.0.0/16", "Endpoint = 10.79.0.9:1"]];
  const file = await quick.write([ADDRESSES], peers);
  await quick.must("culvert", ["up", file]);
  match(await quick.host.must(["ip", "link", "show", "dev", nameOf(file)]), / mtu 1220 /);
});

netnsTest("a full tunnel's address does not answer outside of the tunnel", [...NEEDS, "ping"], async () => {
  await using quick = await QuickHost.open();
  const ping = async (): Promise<boolean[]> => {
    const tries = ["10.9.0.1", "fd09::1"].map((to) =>
      quick.router.run(["ping", "-c", "2", "-W", "1", "-i", "0.2", to])
    );
    return (await Promise.all(tries)).map(({ code }) => code === 0);
  };
  await quick.router.must(["ip", "route", "add", "10.9.0.1", "via", "10.78.0.1"]);
  await quick.router.must(["ip", "-6", "route", "add", "fd09::1", "via", "fd00:78::1"]);
  const answers: boolean[][] = [];
  for (const allowed of ["10.44.0.0/16", "0.0.0.0/0, ::/0"]) {
    const file = await quick.write([ADDRESSES], [[`AllowedIPs = ${allowed}`]]);
    await quick.must("culvert", ["up", file]);
    answers.push(await ping());
    await quick.must("culvert", ["down", file]);
  }
  // The split tunnel shows that it could be asked.
  deepEqual(answers, [[true, true], [false, false]]);
});

netnsTest("culvert takes two full tunnels down in both orders", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const { host } = quick;
  const full = [["AllowedIPs = 0.0.0.0/0, ::/0", ENDPOINT]];
  const files = [await quick.write([ADDRESSES], full), await quick.write(["Address = 10.10.0.1/24, fd0a::1/64"], full)];
  const names = files.map(nameOf);
  const before = await quick.view();
  await quick.must("culvert", ["up", files[0]]);
  const onlyFirst = await quick.view();

  await quick.must("culvert", ["up", files[1]]);
  equal(await wayTo(quick, "192.0.2.9"), names[1]);
  equal(await wayTo(quick, "2001:db8::9"), names[1]);
  // Encrypted packets of the one never enter the other's interface and come back to it.
  match(await wayTo(quick, "10.79.0.2", "51820"), /^v78-/);
  match(await wayTo(quick, "fd00:79::2", "51820"), /^v78-/);
  equal(await wayTo(quick, "10.79.0.2", "51821"), names[0]);
  await quick.must("culvert", ["down", names[1]]);
  deepEqual(await quick.view(), onlyFirst);

  await quick.must("culvert", ["up", files[1]]);
  await quick.must("culvert", ["down", names[0]]);
  equal(await wayTo(quick, "192.0.2.9"), names[1]);
  equal(await wayTo(quick, "2001:db8::9"), names[1]);
  match(await wayTo(quick, "10.79.0.2", "51821"), /^v78-/);
  equal((await quick.view()).srcValidMark, "1");
  const left = await host.must(["nft", "list", "tables"]);
  equal(left.includes(names[0]), false, left);
  equal(left.includes(names[1]), true, left);
  await quick.must("culvert", ["down", names[1]]);
  deepEqual(await quick.view(), before);
  deepEqual(names.map(hasState), [false, false]);
});

netnsTest("culvert under wg-quick's name answers as wg-quick", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const file = await quick.write([PORT, ADDRESSES, "PostUp = true"], [["AllowedIPs = 10.44.0.0/16", ENDPOINT]]);
  const name = nameOf(file);
  // exec -a gives a program another name, as a link of that name would.
  const deno = (await Deno.readTextFile(await program())).replace(/^.*exec /s, "exec -a wg-quick ").trim();
  const ours = (...words: string[]) => quick.host.run(["bash", "-c", deno, "wg-quick", ...words], { timeout: 30_000 });
  const cases = [
    ["strip", file],
    ["up", `${quick.lab.folder}/none.conf`],
    ["down", "nosuchlink9"],
    ["down", file],
    [],
    ["--help"],
    [
      "sideways",
      file,
    ],
  ];
  for (const words of cases) {
    const [mine, theirs] = [await ours(...words), await quick.run("wg-quick", words)];
    equal(mine.code, theirs.code, `${words}: ${mine.stderr}`);
    equal(mine.stdout, theirs.stdout, words.join(" "));
    equal(mine.stderr.split("\n")[0].replace(/^Usage.*/, ""), theirs.stderr.split("\n")[0].replace(/^Usage.*/, ""));
  }
  equal((await ours("up", file)).code, 0);
  match((await ours("up", file)).stderr, new RegExp(`^wg-quick: \`${name}' already exists\n$`));
  equal((await ours("down", name)).code, 0);
  equal(exists(`/var/run/wireguard/${name}.sock`), false);
});

netnsTest("culvert save changes what differs and nothing else", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const lines = [PORT, "# office", `${ADDRESSES} # two of them`, "DNS = corp.example", "SaveConfig = true"];
  const file = await quick.write(lines, [["AllowedIPs = 0.0.0.0/0", "# far away", ENDPOINT]]);
  const name = nameOf(file);
  const text = await Deno.readTextFile(file);
  await quick.must("culvert", ["up", file]);
  await quick.must("culvert", ["save", file]);
  equal(await Deno.readTextFile(file), text);

  const { publicKey } = await makeKeys();
  await must(["wg", "set", name, "listen-port", "52000", "peer", publicKey, "allowed-ips", "10.50.0.0/16"]);
  await quick.must("culvert", ["down", file]);
  const saved = `${text.replace("51999", "52000")}\n[Peer]\nPublicKey = ${publicKey}\nAllowedIPs = 10.50.0.0/16\n`;
  equal(await Deno.readTextFile(file), saved);
});

/**
 * Brings `file` up and down with both tools and compares what they leave, up and down.
 *
 * @returns the host while it was up
 */
async function compare(quick: QuickHost, file: string): Promise<HostView> {
  const before = await quick.view();
  const views: HostView[] = [];
  for (const tool of ["wg-quick", "culvert"] satisfies Tool[]) {
    await quick.must(tool, ["up", file]);
    views.push(await quick.view());
    await quick.must(tool, ["down", file]);
    await quick.untilEnded(nameOf(file));
    await quick.host.must(["sysctl", "-qw", `net.ipv4.conf.all.src_valid_mark=${before.srcValidMark}`]);
    deepEqual(await quick.view(), before, `after ${tool} down`);
  }
  deepEqual(views[1], views[0]);
  notDeepEqual(views[0], before);
  equal(hasState(nameOf(file)), false);
  return views[1];
}

/** The interface that a packet to `address` leaves by. */
async function wayTo(quick: QuickHost, address: string, mark?: string): Promise<string> {
  const words = mark === undefined ? [] : ["mark", mark];
  return JSON.parse(await quick.host.must(["ip", "-j", "route", "get", address, ...words]))[0].dev;
}
