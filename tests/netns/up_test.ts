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
import { missing, netnsTest } from "./requirements.ts";
import { uniqueInterface } from "./lab.ts";

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

netnsTest("culvert up calls resolvconf as wg-quick does", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const lines = ["DNS = 10.9.0.53, corp.example", "DNS = fd09::53, example.org"];
  const file = await quick.write([PORT, ADDRESSES, ...lines], [["AllowedIPs = 10.44.0.0/16", ENDPOINT]]);
  const log = `${quick.lab.folder}/resolvconf.log`;
  const folder = `${quick.lab.folder}/bin`;
  await Deno.mkdir(folder);
  await Deno.writeTextFile(`${folder}/resolvconf`, `#!/bin/sh\necho "$@" >>${log}\n[ "$1" = -d ] || cat >>${log}\n`);
  await Deno.chmod(`${folder}/resolvconf`, 0o755);
  const env = { PATH: `${folder}:${Deno.env.get("PATH")}` };
  const logs: string[] = [];
  for (const tool of ["wg-quick", "culvert"] as const) {
    await quick.must(tool, ["up", file], env);
    await quick.must(tool, ["down", file], env);
    await quick.untilEnded(nameOf(file));
    logs.push(await Deno.readTextFile(log));
    await Deno.remove(log);
  }
  equal(logs[1], logs[0]);
  match(
    logs[1],
    /^-a \S+ -m 0 -x\nnameserver 10.9.0.53\nnameserver fd09::53\nsearch corp.example example.org\n-d \S+ -f\n$/,
  );
});

// With a resolvconf on the host it, and not the file, would be asked.
const NO_MANAGER = missing(["resolvconf"]) === null || missing(["resolvectl"]) === null
  ? ["a host without resolvconf"]
  : [];

netnsTest(
  "culvert up writes resolv.conf itself, and down restores it to the byte",
  [...NEEDS, ...NO_MANAGER],
  async () => {
    await using quick = await QuickHost.open();
    const [first, second] = [uniqueInterface(), uniqueInterface()];
    const files = [
      await quick.write([ADDRESSES, "DNS = 10.9.0.53, corp.example"], [["AllowedIPs = 10.44.0.0/16"]], first),
      await quick.write(["Address = 10.10.0.1/24", "DNS = 10.10.0.53"], [["AllowedIPs = 10.45.0.0/16"]], second),
    ];
    const original = "# kept\nnameserver 192.0.2.1  \n\n";
    const steps = [
      `up ${files[0]}`,
      `up ${files[1]}`,
      `down ${first}`,
      `down ${second}`,
      `up ${files[0]}`,
      `down ${first}`,
    ];
    const seen = await inMounts(quick, original, steps);
    const [one, two] = [seen[0], seen[1]];
    match(one, /^# .*\nnameserver 10.9.0.53\nsearch corp.example\n$/);
    match(two, /^# .*\nnameserver 10.10.0.53\n$/);
    deepEqual(seen, [one, two, two, original, one, original]);
  },
);

netnsTest("culvert up replaces a link to resolv.conf, and down puts it back", [...NEEDS, ...NO_MANAGER], async () => {
  await using quick = await QuickHost.open();
  const file = await quick.write([ADDRESSES, "DNS = 10.9.0.53"], [["AllowedIPs = 10.44.0.0/16"]]);
  // A folder over /etc, in which resolv.conf is a link to nothing.
  const script = `set -e; mkdir "$2/etc"; cp -a /etc/passwd /etc/hosts "$2/etc"; mount --bind "$2/etc" /etc
    ln -s ../run/nowhere/resolv.conf /etc/resolv.conf
    "$1" up "$3"; [ ! -L /etc/resolv.conf ]; grep -q 10.9.0.53 /etc/resolv.conf
    "$1" down "$3"; readlink /etc/resolv.conf; ls -A /etc`;
  const output = await quick.host.must(["sh", "-c", script, "sh", await program(), quick.lab.folder, file]);
  equal(output, "../run/nowhere/resolv.conf\nhosts\npasswd\nresolv.conf\n");
});

netnsTest("culvert up asks systemd-resolved where resolv.conf leads to it", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const file = await quick.write([ADDRESSES, "DNS = 10.9.0.53, corp.example"], [["AllowedIPs = 10.44.0.0/16"]]);
  const log = `${quick.lab.folder}/resolvectl.log`;
  const folder = `${quick.lab.folder}/bin`;
  await Deno.mkdir(folder);
  await Deno.writeTextFile(`${folder}/resolvectl`, `#!/bin/sh\necho "$@" >>${log}\n`);
  await Deno.chmod(`${folder}/resolvectl`, 0o755);
  const script = `set -e; export PATH="$2/bin:$PATH"
    mount -t tmpfs none /run/systemd; mkdir /run/systemd/resolve "$2/etc"
    echo nameserver 127.0.0.53 >/run/systemd/resolve/stub-resolv.conf
    ln -s ../run/systemd/resolve/stub-resolv.conf "$2/etc/resolv.conf"; cp /etc/passwd "$2/etc"
    mount --bind "$2/etc" /etc
    "$1" up "$3"; cat /etc/resolv.conf; cat "/sys/class/net/$4/ifindex"; "$1" down "$3"; readlink /etc/resolv.conf`;
  const words = [await program(), quick.lab.folder, file, nameOf(file)];
  const output = await quick.host.must(["sh", "-c", script, "sh", ...words]);
  const [, index] = captured(
    output,
    /^nameserver 127\.0\.0\.53\n(\d+)\n\.\.\/run\/systemd\/resolve\/stub-resolv\.conf\n$/,
  );
  const calls = [`dns ${index} 10.9.0.53`, `domain ${index} corp.example ~.`, `default-route ${index} yes`];
  equal(await Deno.readTextFile(log), [...calls, `revert ${index}`, ""].join("\n"));
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

function captured(text: string, pattern: RegExp): string[] {
  match(text, pattern);
  return [...pattern.exec(text)!];
}

/** The interface that a packet to `address` leaves by. */
async function wayTo(quick: QuickHost, address: string, mark?: string): Promise<string> {
  const words = mark === undefined ? [] : ["mark", mark];
  return JSON.parse(await quick.host.must(["ip", "-j", "route", "get", address, ...words]))[0].dev;
}

/** Runs culvert with a resolv.conf of its own. @returns the file after each step */
async function inMounts(quick: QuickHost, resolvConf: string, steps: readonly string[]): Promise<string[]> {
  const path = `${quick.lab.folder}/resolv.conf`;
  await Deno.writeTextFile(path, resolvConf);
  const commands = steps.map((step, i) => `"$1" ${step}; cat /etc/resolv.conf >"$2/seen${i}"`);
  const script = `set -e; mount --bind "$2/resolv.conf" /etc/resolv.conf\n${commands.join("\n")}`;
  await quick.host.must(["sh", "-c", script, "sh", await program(), quick.lab.folder]);
  return await Promise.all(steps.map((_, i) => Deno.readTextFile(`${quick.lab.folder}/seen${i}`)));
}
