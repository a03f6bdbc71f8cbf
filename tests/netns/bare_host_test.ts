/**
 * `culvert up` and `down` where there is nothing but culvert: a root folder with the program, the C library, /etc,
 * /dev/net/tun and /proc, and no `ip`, `nft`, `wg` or shell.
 */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { CULVERT_FILE, program } from "./implementation.ts";
import { must, readText } from "./process.ts";
import { nameOf, QuickHost } from "./quick_host.ts";
import { netnsTest } from "./requirements.ts";

const NEEDS = [CULVERT_FILE, "nft", "chroot", "ldd", "mount"];

netnsTest("culvert up and down need no other program", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const before = await quick.view();
  const lines = ["Address = 10.9.0.1/24, fd09::1/64", "DNS = 10.9.0.53, example.org"];
  const file = await quick.write(lines, [["AllowedIPs = 0.0.0.0/0, ::/0", "Endpoint = 10.79.0.2:51820"]]);
  const root = `${quick.lab.folder}/root`;
  const command = await furnish(root, file);
  const name = nameOf(file);
  // Looked at from outside, where the programs are; the mounts are this script's own.
  const script = `set -e; root=$1; name=$2; shift 2
    ${await mounts()}
    chroot "$root" "$@" up "$name"
    ip rule >"$root/seen"; ip -6 rule >>"$root/seen"; nft list ruleset >>"$root/seen"
    ip address show dev "$name" >>"$root/seen"; cat "$root/etc/resolv.conf" >>"$root/seen"
    chroot "$root" "$@" show "$name" fwmark >>"$root/seen"
    chroot "$root" "$@" down "$name"`;
  await quick.host.must(["sh", "-c", script, "sh", root, name, ...command], { timeout: 60_000 });
  const seen = readText(`${root}/seen`);
  equal(seen.match(/not from all fwmark 0xca6c lookup 51820/g)?.length, 2, seen);
  equal(seen.match(/table ip6? wg-quick-/g)?.length, 2, seen);
  match(seen, /inet 10\.9\.0\.1\/24/);
  match(seen, /nameserver 10\.9\.0\.53\nsearch example.org\n/);
  match(seen, /\n0xca6c\n/);
  equal(readText(`${root}/etc/resolv.conf`), "nameserver 192.0.2.1\n");
  deepEqual(await quick.view(), before);
  deepEqual([...Deno.readDirSync(`${root}/run/culvert`)].map((entry) => entry.name), ["lock"]);
});

/** The files of a bare host. @returns the command there */
async function furnish(root: string, file: string): Promise<string[]> {
  const folders = ["bin", "dev/net", "etc/wireguard", "proc", "run", "var", "tmp", "source", "cache"];
  for (const folder of folders) await Deno.mkdir(`${root}/${folder}`, { recursive: true });
  await Deno.symlink("../run", `${root}/var/run`);
  await Deno.writeTextFile(`${root}/etc/resolv.conf`, "nameserver 192.0.2.1\n");
  await Deno.copyFile(file, `${root}/etc/wireguard/${nameOf(file)}.conf`);
  for (const path of ["bin/program", "dev/net/tun"]) await Deno.writeTextFile(`${root}/${path}`, "");
  for (const library of await libraries(await executable())) {
    await Deno.mkdir(`${root}${library.replace(/[^/]*$/, "")}`, { recursive: true });
    await Deno.copyFile(library, `${root}${library}`);
    await Deno.chmod(`${root}${library}`, 0o755);
  }
  if (!CULVERT_FILE.endsWith(".ts")) return ["/bin/program"];
  const deno = ["/bin/program", "run", "-A", "--cached-only", "--config", "/source/deno.json", "/source/main.ts"];
  return deno;
}

/** What is mounted there by a shell that has it as `$root`. */
async function mounts(): Promise<string> {
  const lines = [
    `mount --bind "${await executable()}" "$root/bin/program"`,
    'mount --bind /dev/net/tun "$root/dev/net/tun"',
    'mount --bind /proc "$root/proc"',
  ];
  if (CULVERT_FILE.endsWith(".ts")) {
    await program();
    const { denoDir } = JSON.parse(await must([Deno.execPath(), "info", "--json"]));
    lines.push(`mount --bind "${CULVERT_FILE.replace(/main\.ts$/, "")}" "$root/source"`);
    lines.push(`mount --bind "${denoDir}" "$root/cache"`, "export DENO_DIR=/cache");
  }
  return lines.join("\n");
}

async function executable(): Promise<string> {
  return await Deno.realPath(CULVERT_FILE.endsWith(".ts") ? Deno.execPath() : CULVERT_FILE);
}

/** The libraries that a program is linked with, and libc, which it opens itself. */
async function libraries(path: string): Promise<string[]> {
  const text = await must(["ldd", path]);
  return [...text.matchAll(/(\/\S+) \(0x/g)].map(([, library]) => library);
}
