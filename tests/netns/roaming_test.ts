/** An end that moves – another address, another port of a NAT – takes its tunnel along. */

import { ok, strictEqual as equal } from "node:assert/strict";
import { CULVERT_BATCH, CULVERTS, type Implementation, WIREGUARD_GO } from "./implementation.ts";
import { Lab } from "./lab.ts";
import { must, sleep, waitFor } from "./process.ts";
import { netnsTest } from "./requirements.ts";
import { inner, openTunnel, openTunnelBetween, parsePing, PORTS, untilReachable } from "./tunnel.ts";

/** Twenty pings a second for four seconds; a move may cost one second of them. */
const PINGS = 80;
const PING = ["ping", "-n", "-q", "-c", `${PINGS}`, "-i", "0.05", "-W", "1"];
const MOST_LOST = 20;

for (const moving of CULVERTS) {
  for (const other of [WIREGUARD_GO, CULVERT_BATCH]) {
    for (const family of [4, 6] as const) {
      netnsTest(
        `${moving.name} changes its IPv${family} address and ${other.name} follows`,
        [moving.needs, other.needs, "ping"],
        () => changeAddress(moving, other, family),
      );
    }
  }
}

for (const following of [WIREGUARD_GO, ...CULVERTS]) {
  netnsTest(
    `${following.name} follows a peer whose NAT gives it another port`,
    [following.needs, WIREGUARD_GO.needs, "ping", "nft"],
    () => changePort(following),
  );
}

async function changeAddress(moving: Implementation, other: Implementation, family: 4 | 6): Promise<void> {
  await using lab = new Lab();
  const { ends: [near, far] } = await openTunnel(lab, [moving, other], { family, knows: [1] });
  await untilReachable(near.host, inner(2));
  // Without it, deleting the first address takes the second along.
  await near.host.must(["sysctl", "-qw", `net.ipv4.conf.${near.device}.promote_secondaries=1`]);
  const pinging = near.host.spawn([...PING, inner(2)]);
  await sleep(1_000);
  const [added, length, option] = family === 4 ? ["10.77.0.55", 24, []] : ["fd00:77::55", 64, ["nodad"]] as const;
  const address = ["ip", "-n", near.host.name, "address"];
  await must([...address, "add", `${added}/${length}`, "dev", near.device, ...option]);
  await must([...address, "delete", `${near.outer(family)}/${length}`, "dev", near.device]);
  await pinging.end();
  const { received, text } = parsePing({ code: 0, stdout: pinging.output(), stderr: "" });
  ok(received >= PINGS - MOST_LOST, text);
  const endpoint = `${family === 4 ? added : `[${added}]`}:${PORTS[0]}`;
  await waitFor("the new endpoint", async () => (await far.daemon.show()).peers[0].endpoint === endpoint);
}

/** A router between the ends that rewrites the near end's port, statelessly, and then to another one. */
async function changePort(following: Implementation): Promise<void> {
  await using lab = new Lab();
  const { router, left, right } = await lab.routed();
  const places = [{ ...left.place(1), outer: () => "10.79.0.1" }, right.place(2)] as const;
  const { ends: [near, far] } = await openTunnelBetween(places, [WIREGUARD_GO, following], { knows: [1] });
  const mapTo = (port: number): Promise<void> =>
    router.nft(`table ip nat4
delete table ip nat4
table ip nat4 {
  chain prerouting {
    type filter hook prerouting priority -310;
    ip daddr 10.79.0.1 udp dport ${port} ip daddr set 10.78.0.1 udp dport set ${PORTS[0]} counter comment "back"
  }
  chain postrouting {
    type filter hook postrouting priority 300;
    ip saddr 10.78.0.1 udp sport ${PORTS[0]} ip saddr set 10.79.0.1 udp sport set ${port}
  }
}`);
  await mapTo(40001);
  await untilReachable(near.host, inner(2));
  equal((await far.daemon.show()).peers[0].endpoint, "10.79.0.1:40001");
  const pinging = near.host.spawn([...PING, inner(2)]);
  await sleep(1_000);
  await mapTo(40002);
  await pinging.end();
  const { received, text } = parsePing({ code: 0, stdout: pinging.output(), stderr: "" });
  ok(received >= PINGS - MOST_LOST, text);
  equal((await far.daemon.show()).peers[0].endpoint, "10.79.0.1:40002");
  ok(await router.counted("back") > 0);
}
