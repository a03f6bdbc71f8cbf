/** The key log lets Wireshark read a capture of the tunnel, and nobody but root read the log. */

import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { Capture } from "./capture.ts";
import { Daemon } from "./daemon.ts";
import { CULVERT_BATCH, CULVERT_DATAGRAM, CULVERTS, WIREGUARD_GO } from "./implementation.ts";
import { Lab } from "./lab.ts";
import { must } from "./process.ts";
import { netnsTest } from "./requirements.ts";
import { inner, openTunnel, other, ping } from "./tunnel.ts";

const FIELDS = ["ip.src", "ip.dst", "icmp.type", "icmp.ident", "icmp.seq", "ip.len", "data.data"];

for (const implementation of CULVERTS) {
  for (const role of ["initiator", "responder"] as const) {
    netnsTest(
      `${implementation.name} logs keys as ${role} with which tshark decrypts exactly the packets that were sent`,
      [implementation.needs, WIREGUARD_GO.needs, "ping", "tcpdump", "tshark"],
      async () => {
        await using lab = new Lab();
        const keys = `${lab.folder}/keys`;
        const start = [{ args: ["--keylog", keys] }, {}] as const;
        const tunnel = await openTunnel(lab, [implementation, WIREGUARD_GO], {
          presharedKey: true,
          knows: [role === "initiator" ? 1 : 2],
          start,
        });
        const [near, far] = tunnel.ends;
        // One datagram a frame: tshark does not know of segments that a card would still have to cut.
        await must(["ip", "-n", near.host.name, "link", "set", near.device, "gso_max_segs", "1"]);
        const outside = await Capture.start(near.host, near.device, "udp");
        const inside = await Capture.start(near.host, near.daemon.interfaceName, "icmp");
        const from = role === "initiator" ? near : far;
        for (const size of [0, 1, 56, 1392]) {
          const args = ["-q", "-c", "10", "-i", "0.02", "-W", "1", "-s", `${size}`, "-p", "c0ffee"];
          equal((await ping(from.host, inner(other(tunnel, from).side), args)).received, 10);
        }
        await Promise.all([outside.stop(), inside.stop()]);
        const sent = await inside.read("icmp", FIELDS);
        equal(sent.length, 80);
        // Inside and outside are captured at different moments, so only what passed can be compared, not when.
        const decrypted = await outside.read("icmp", FIELDS, ["-o", `wg.keylog_file:${keys}`]);
        deepEqual(decrypted.map(String).sort(), sent.map(String).sort());
        // Without the log the same capture shows nothing.
        deepEqual(await outside.read("icmp", FIELDS), []);
        checkLog(keys);
      },
    );
  }
}

netnsTest(
  "culvert appends to a key log and closes it to others",
  [CULVERT_BATCH.needs, CULVERT_DATAGRAM.needs],
  async () => {
    await using lab = new Lab();
    const host = await lab.host();
    const keys = `${lab.folder}/keys`;
    await Deno.writeTextFile(keys, "# kept\n", { mode: 0o644 });
    const daemon = await Daemon.foreground(host, CULVERT_BATCH, { args: ["--keylog", keys] });
    daemon.signal("SIGTERM");
    await daemon.gone();
    equal(await Deno.readTextFile(keys), "# kept\n");
    equal(Deno.statSync(keys).mode! & 0o777, 0o600);
  },
);

/** Four lines per handshake, in Wireshark's words. */
function checkLog(path: string): void {
  const lines = Deno.readTextFileSync(path).trimEnd().split("\n");
  ok(lines.length >= 4 && lines.length % 4 === 0, `The log has ${lines.length} lines`);
  const words = [
    "LOCAL_STATIC_PRIVATE_KEY",
    "REMOTE_STATIC_PUBLIC_KEY",
    "LOCAL_EPHEMERAL_PRIVATE_KEY",
    "PRESHARED_KEY",
  ];
  for (const word of words) {
    const found = lines.filter((line) => line.startsWith(`${word} `));
    equal(found.length, lines.length / 4);
    for (const line of found) match(line, /^\w+ = [A-Za-z0-9+/]{43}=$/);
  }
  equal(Deno.statSync(path).mode! & 0o777, 0o600);
}
