/** Bad input from outside and from inside: the daemon stays silent, answers everyone else and stays small. */

import { match, ok, strictEqual as equal } from "node:assert/strict";
import { Daemon } from "./daemon.ts";
import { CULVERTS, WIREGUARD_GO } from "./implementation.ts";
import { Lab } from "./lab.ts";
import { must, sleep } from "./process.ts";
import { netnsTest } from "./requirements.ts";
import { inner, openTunnel, ping, PORTS, untilReachable } from "./tunnel.ts";

const HALF_OPEN_CLIENTS = 40;
const GARBAGE_BYTES = 64 << 20;
const MOST_GROWTH = 48 << 20;
const SENDER = new URL("./send_garbage.ts", import.meta.url).pathname;

for (const implementation of CULVERTS) {
  netnsTest(
    `${implementation.name} answers others while clients of its control socket stop half-way`,
    [implementation.needs],
    async () => {
      await using lab = new Lab();
      const daemon = await Daemon.foreground(await lab.host(), implementation);
      const descriptors = daemon.descriptors();
      const clients: Deno.Conn[] = [];
      try {
        for (let i = 0; i < HALF_OPEN_CLIENTS; i++) {
          const client = await Deno.connect({ transport: "unix", path: daemon.socketPath });
          clients.push(client);
          await client.write(new TextEncoder().encode(["set=1\nfwmark=7\n", "set=1\nfwm", "get=1\n", ""][i % 4]));
        }
        await must(["wg", "set", daemon.interfaceName, "listen-port", "7777"], { timeout: 2_000 });
        const state = await daemon.show();
        equal(state.listenPort, 7777);
        equal(state.fwmark, "off");
      } finally {
        for (const client of clients) client.close();
      }
      await sleep(500);
      ok(daemon.descriptors() <= descriptors, `${daemon.descriptors() - descriptors} descriptors are left`);
      equal((await daemon.show()).fwmark, "off");
    },
  );

  netnsTest(
    `${implementation.name} does not store garbage sent to its control socket`,
    [implementation.needs],
    async () => {
      await using lab = new Lab();
      const daemon = await Daemon.foreground(await lab.host(), implementation);
      await sendUntilClosed(daemon, "x".repeat(1 << 16));
      const before = daemon.residentBytes();
      await sendUntilClosed(daemon, "x".repeat(1 << 16));
      await sendUntilClosed(daemon, "set=1\n" + "fwmark=5\n".repeat(1 << 12));
      ok(daemon.residentBytes() - before < MOST_GROWTH, `It grew by ${daemon.residentBytes() - before} bytes`);
      match(await daemon.uapi("get=1\n\n"), /errno=0\n\n$/);
      equal((await daemon.show()).fwmark, "off");
    },
  );

  netnsTest(
    `${implementation.name} answers no stray datagram of any length and goes on`,
    [implementation.needs, WIREGUARD_GO.needs, "nft", "ping"],
    async () => {
      await using lab = new Lab();
      const { ends: [near, far] } = await openTunnel(lab, [implementation, WIREGUARD_GO]);
      await untilReachable(near.host, inner(2));
      await near.host.nft(`table inet silence {
        chain input {
          type filter hook input priority 0;
          udp dport ${PORTS[0]} udp sport 9999 counter comment "garbage"
        }
        chain output {
          type filter hook output priority 0;
          udp dport 9999 counter comment "answered"
        }
      }`);
      const script = [Deno.execPath(), "run", "-A", "--unstable-net", "--no-lock", SENDER];
      for (const family of [4, 6] as const) {
        await far.host.must([...script, far.outer(family), "9999", near.outer(family), `${PORTS[0]}`]);
      }
      equal((await ping(near.host, inner(2), ["-q", "-f", "-c", "200"])).received, 200);
      ok(await near.host.counted("garbage") > 4_000);
      equal(await near.host.counted("answered"), 0);
      const [peer] = (await near.daemon.show()).peers;
      match(peer.endpoint, new RegExp(`:${PORTS[1]}$`));
    },
  );
}

/** Writes without end, up to GARBAGE_BYTES, and never reads. */
async function sendUntilClosed(daemon: Daemon, text: string): Promise<void> {
  using client = await Deno.connect({ transport: "unix", path: daemon.socketPath });
  // A daemon that stops reading is as good as one that hangs up.
  const timer = setTimeout(() => client.closeWrite().catch(() => {}), 3_000);
  const bytes = new TextEncoder().encode(text);
  try {
    for (let sent = 0; sent < GARBAGE_BYTES;) sent += await client.write(bytes);
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset)) throw error;
  } finally {
    clearTimeout(timer);
  }
}
