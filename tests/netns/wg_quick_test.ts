/** wg-quick with culvert in place of wireguard-go, as its manual describes. */

import { strictEqual as equal } from "node:assert/strict";
import { makeKeys } from "./daemon.ts";
import { CULVERT_FILE, program, WIREGUARD_GO } from "./implementation.ts";
import { type Host, Lab, uniqueInterface } from "./lab.ts";
import { exists, must, waitFor } from "./process.ts";
import { missing, netnsTest } from "./requirements.ts";
import { inner, ping, untilReachable } from "./tunnel.ts";

const NEEDS = [CULVERT_FILE, WIREGUARD_GO.needs, "wg-quick", "ping"];

// With the kernel's WireGuard wg-quick never looks for another implementation.
if (missing(NEEDS) !== null || !exists("/sys/module/wireguard")) {
  netnsTest("wg-quick brings a tunnel up and down with culvert", NEEDS, upAndDown);
}

async function upAndDown(): Promise<void> {
  await using lab = new Lab();
  const { a, b } = await lab.pair();
  const keys = [await makeKeys(), await makeKeys()];
  const names = [uniqueInterface(), uniqueInterface()];
  const files: string[] = [];
  for (const side of [1, 2] as const) {
    const file = `${lab.folder}/${names[side - 1]}.conf`;
    files.push(file);
    await Deno.writeTextFile(
      file,
      `[Interface]
PrivateKey = ${keys[side - 1].privateKey}
Address = ${inner(side)}/24, ${inner(side, 6)}/64
ListenPort = 5182${side}
[Peer]
PublicKey = ${keys[2 - side].publicKey}
AllowedIPs = ${inner(side === 1 ? 2 : 1)}/32, ${inner(side === 1 ? 2 : 1, 6)}/128
Endpoint = 10.77.0.${3 - side}:5182${3 - side}
`,
      { mode: 0o600 },
    );
  }
  await quick(a, "up", files[0], await program());
  await quick(b, "up", files[1], "wireguard-go");
  await untilReachable(a, inner(2));
  equal((await ping(a, inner(2, 6), ["-q", "-f", "-c", "200"])).received, 200);
  equal(JSON.parse(await must(["ip", "-n", a.name, "-j", "link", "show", "dev", names[0]]))[0].mtu, 1420);
  for (const [i, host] of [a, b].entries()) {
    await quick(host, "down", files[i], "");
    await waitFor("the daemon to end", async () => (await host.pids()).length === 0, 5_000);
    equal(exists(`/var/run/wireguard/${names[i]}.sock`), false);
  }
}

async function quick(host: Host, verb: string, file: string, implementation: string): Promise<void> {
  const env = { WG_QUICK_USERSPACE_IMPLEMENTATION: implementation, LOG_LEVEL: "" };
  await host.must(["wg-quick", verb, file], { env, timeout: 30_000 });
}
