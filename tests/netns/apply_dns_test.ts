/** Name servers that change in the file of a tunnel that is up, in a mount namespace of the test's own. */

import { deepStrictEqual as deepEqual, match } from "node:assert/strict";
import { ApplyHost, type Version } from "./apply_host.ts";
import { CULVERT_FILE, program } from "./implementation.ts";
import { missing, netnsTest } from "./requirements.ts";

const NEEDS = [CULVERT_FILE, "bash", "mount"];
// With a resolvconf on the host it, and not the file, would be asked.
const NO_MANAGER = missing(["resolvconf"]) === null || missing(["resolvectl"]) === null
  ? ["a host without resolvconf"]
  : [];

const PEERS = { 0: ["AllowedIPs = 10.44.0.0/16"] };

netnsTest("culvert apply exchanges name servers, and takes them back", [...NEEDS, ...NO_MANAGER], async () => {
  await using host = await ApplyHost.open();
  const original = "# kept\nnameserver 192.0.2.1  \n\n";
  const seen = await run(
    host,
    `printf '${original.replaceAll("\n", "\\n")}' >"$2/resolv.conf"
    mount --bind "$2/resolv.conf" /etc/resolv.conf`,
    "cat /etc/resolv.conf",
  );
  match(seen[0], /^# .*\nnameserver 10\.9\.0\.53\n$/);
  match(seen[1], /^# .*\nnameserver 10\.9\.0\.54\nsearch corp\.example\n$/);
  deepEqual(seen.slice(2), [original, seen[1], original]);
});

netnsTest("culvert apply tells resolvconf the new servers under the same name", NEEDS, async () => {
  await using host = await ApplyHost.open();
  const log = `${host.quick.lab.folder}/log`;
  const script = `mkdir "$2/bin"; export PATH="$2/bin:$PATH"
    printf '#!/bin/sh\\necho "$1 $2" >>${log}\\n[ "$1" = -d ] || cat >>${log}\\n' >"$2/bin/resolvconf"
    chmod 755 "$2/bin/resolvconf"`;
  const seen = await run(host, script, `cat ${log}; : >${log}`);
  match(seen[0], /^-a \S+\nnameserver 10\.9\.0\.53\n$/);
  match(seen[1], /^-a \S+\nnameserver 10\.9\.0\.54\nsearch corp\.example\n$/);
  match(seen[2], /^-d \S+\n$/);
  match(seen[3], /^-a \S+\nnameserver 10\.9\.0\.54\n/);
  match(seen[4], /^-d \S+\n$/);
});

/** Up with a server, another one, none, that again, and down. @returns what `look` prints after each */
async function run(host: ApplyHost, prepare: string, look: string): Promise<string[]> {
  const address = "Address = 10.9.0.1/24";
  const versions: Version[] = [["DNS = 10.9.0.53"], ["DNS = 10.9.0.54, corp.example"], []].map((dns) => ({
    interface: [address, ...dns],
    peers: PEERS,
  }));
  const { folder } = host.quick.lab;
  for (const [i, version] of versions.entries()) {
    await host.write(version);
    await Deno.copyFile(host.file, `${folder}/version${i}`);
  }
  const steps = [["up", 0], ["apply", 1], ["apply", 2], ["apply", 1], ["down", 1]] as const;
  const commands = steps.map(([verb, i], step) =>
    `cp "$2/version${i}" "$3"; "$1" ${verb} "$3" >/dev/null; (${look}) >"$2/seen${step}"`
  );
  const script = `set -e\n${prepare}\n${commands.join("\n")}`;
  await host.quick.host.must(["bash", "-c", script, "bash", await program(), folder, host.file]);
  return await Promise.all(steps.map((_, i) => Deno.readTextFile(`${folder}/seen${i}`)));
}
