/** Name servers of a tunnel, in a mount namespace of each test's own: the host's resolv.conf is never touched. */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { CULVERT_FILE, program } from "./implementation.ts";
import { uniqueInterface } from "./lab.ts";
import { nameOf, QuickHost } from "./quick_host.ts";
import { missing, netnsTest } from "./requirements.ts";

const NEEDS = [CULVERT_FILE, "wg-quick", "bash", "mount"];

const ADDRESSES = "Address = 10.9.0.1/24, fd09::1/64";
const PORT = "ListenPort = 51999";
const ENDPOINT = "Endpoint = 10.79.0.2:51820";

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

function captured(text: string, pattern: RegExp): string[] {
  match(text, pattern);
  return [...pattern.exec(text)!];
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
