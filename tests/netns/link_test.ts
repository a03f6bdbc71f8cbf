/** What happens to the interface from outside: moved to another namespace, resized, taken down, watched for stray packets. */

import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { Daemon, keyFile, makeKeys } from "./daemon.ts";
import { CULVERT_BATCH, CULVERTS, type Implementation, WIREGUARD_GO } from "./implementation.ts";
import { type Host, Lab } from "./lab.ts";
import { must, sleep, waitFor } from "./process.ts";
import { netnsTest } from "./requirements.ts";
import { bringUp, inner, openTunnel, ping, PORTS, untilReachable } from "./tunnel.ts";

const BOTH = [WIREGUARD_GO, ...CULVERTS];

for (const implementation of BOTH) {
  netnsTest(
    `${implementation.name} works when its interface is moved to another namespace at once`,
    [implementation.needs, WIREGUARD_GO.needs, "ping"],
    async () => {
      await using lab = new Lab();
      const { daemon, inside, far } = await openMoved(lab, implementation);
      equal((await ping(inside, inner(2), ["-q", "-f", "-c", "200"])).received, 200);
      // The sockets stay where the daemon was started, so the far end sees that host's address.
      equal((await far.show()).peers[0].endpoint, `10.77.0.1:${PORTS[0]}`);
      daemon.signal("SIGTERM");
      await waitFor("the interface to go", async () => !await has(inside, daemon.interfaceName), 5_000);
    },
  );
}

for (const implementation of CULVERTS) {
  netnsTest(
    `${implementation.name} follows MTU, down and up of an interface that was moved`,
    [implementation.needs, WIREGUARD_GO.needs, "ping", "nft"],
    async () => {
      await using lab = new Lab();
      const { daemon, inside, far, outside } = await openMoved(lab, implementation);
      const link = (...args: string[]): Promise<string> =>
        must(["ip", "-n", inside.name, "link", "set", "dev", daemon.interfaceName, ...args]);
      await untilReachable(inside, inner(2));
      await checkPadding(inside, far.host, (mtu) => link("mtu", `${mtu}`));
      await link("down");
      await outside.untilPort(PORTS[0], false);
      await link("up");
      await outside.untilPort(PORTS[0], true);
      await untilReachable(inside, inner(2));
    },
  );
}

for (const implementation of BOTH) {
  netnsTest(
    `${implementation.name} never pads past the MTU, also after it has changed`,
    [implementation.needs, WIREGUARD_GO.needs, "ping", "nft"],
    async () => {
      await using lab = new Lab();
      const { ends: [near, far] } = await openTunnel(lab, [implementation, WIREGUARD_GO]);
      await untilReachable(near.host, inner(2));
      await checkPadding(near.host, far.host, (mtu) => near.daemon.link("mtu", `${mtu}`));
    },
  );
}

for (const implementation of CULVERTS) {
  netnsTest(
    `${implementation.name} closes its port while the link is down and keeps its number`,
    [implementation.needs, WIREGUARD_GO.needs, "ping"],
    async () => {
      await using lab = new Lab();
      const { ends: [near, far] } = await openTunnel(lab, [implementation, WIREGUARD_GO]);
      await untilReachable(near.host, inner(2));
      for (let round = 0; round < 5; round++) {
        await near.daemon.link("down");
        await near.host.untilPort(PORTS[0], false);
        equal((await near.daemon.show()).listenPort, PORTS[0]);
        await near.daemon.link("up");
        await near.host.untilPort(PORTS[0], true);
      }
      await untilReachable(near.host, inner(2));
      await untilReachable(far.host, inner(1));
    },
  );

  netnsTest(
    `${implementation.name} binds a random port once for both families while up and none while down`,
    [implementation.needs],
    async () => {
      await using lab = new Lab();
      const host = await lab.host();
      const daemon = await Daemon.foreground(host, implementation);
      await daemon.link("up");
      const port = await waitFor("a port", async () => (await daemon.show()).listenPort || null);
      deepEqual(await host.udpPorts(), [port]);
      await daemon.link("down");
      await host.untilPort(port, false);
      deepEqual(await host.udpPorts(), []);
    },
  );
}

netnsTest(
  "culvert gives its interface no link-local address and sends no router solicitation",
  [CULVERT_BATCH.needs, "ping"],
  async () => {
    await using lab = new Lab();
    const host = await lab.host();
    const daemon = await Daemon.detached(host, CULVERT_BATCH);
    await daemon.link("up");
    // A router solicitation leaves within a second of link-up, and again after four.
    await sleep(5_500);
    deepEqual(JSON.parse(await daemon.ip("-j", "-6", "address", "show", "dev", daemon.interfaceName)), []);
    const [link] = JSON.parse(await daemon.ip("-j", "-s", "link", "show", "dev", daemon.interfaceName));
    equal(link.stats64.tx.packets, 0);
    equal(link.mtu, 1420);
  },
);

interface Moved {
  readonly daemon: Daemon;
  /** Where the interface is. */
  readonly inside: Host;
  /** Where the daemon and its sockets are. */
  readonly outside: Host;
  readonly far: Daemon;
}

/** A tunnel whose near interface was moved into a third namespace the moment the program returned. */
async function openMoved(lab: Lab, implementation: Implementation): Promise<Moved> {
  const { a, b } = await lab.pair();
  const inside = await lab.host();
  const daemon = await Daemon.detached(a, implementation);
  await daemon.link("netns", inside.name);
  const far = await Daemon.foreground(b, WIREGUARD_GO);
  const keys = [await makeKeys(), await makeKeys()];
  for (const [i, end] of [daemon, far].entries()) {
    const peer = ["peer", keys[1 - i].publicKey, "allowed-ips", `${inner(i === 0 ? 2 : 1)}/32`];
    if (i === 0) peer.push("endpoint", `10.77.0.2:${PORTS[1]}`);
    await end.set("private-key", await keyFile(a, keys[i].privateKey), "listen-port", `${PORTS[i]}`, ...peer);
  }
  await must(["ip", "-n", inside.name, "address", "add", `${inner(1)}/24`, "dev", daemon.interfaceName]);
  await must(["ip", "-n", inside.name, "link", "set", "dev", daemon.interfaceName, "up"]);
  await bringUp(far, 2);
  return { daemon, inside, outside: a, far };
}

/**
 * Sends packets of 1285 bytes: padding to 16 gives 1296, of which only the part up to the MTU may be there. The UDP
 * length the far end sees is 8 + 32 more than the padded packet.
 */
async function checkPadding(from: Host, to: Host, setMtu: (mtu: number) => Promise<string>): Promise<void> {
  await to.nft(`table inet lengths {
    chain input {
      type filter hook input priority 0;
      udp length ${1296 + 40} counter comment "padded"
      udp length ${1290 + 40} counter comment "cut"
    }
  }`);
  await setMtu(1290);
  // An interface in another namespace is looked at once a second.
  await sleep(2_500);
  const pings = ["-q", "-c", "5", "-i", "0.05", "-W", "1", "-M", "do", "-s", `${1285 - 28}`];
  equal((await ping(from, inner(2), pings)).received, 5);
  deepEqual([await to.counted("padded"), await to.counted("cut")], [0, 5]);
  await setMtu(1420);
  await sleep(2_500);
  equal((await ping(from, inner(2), pings)).received, 5);
  deepEqual([await to.counted("padded"), await to.counted("cut")], [5, 5]);
  await must(["ip", "netns", "exec", to.name, "nft", "delete", "table", "inet", "lengths"]);
}

async function has(host: Host, device: string): Promise<boolean> {
  return (await must(["ip", "-n", host.name, "-br", "link"])).includes(`${device} `);
}
