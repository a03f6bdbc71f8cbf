/** The outer packets: their mark, their source address, their port, and hosts where something is missing. */

import { match, ok, strictEqual as equal } from "node:assert/strict";
import { CULVERTS, type Implementation, WIREGUARD_GO } from "./implementation.ts";
import { Lab } from "./lab.ts";
import { must, run, sleep } from "./process.ts";
import { netnsTest } from "./requirements.ts";
import { inner, openTunnel, openTunnelBetween, ping, PORTS, untilReachable } from "./tunnel.ts";

const BOTH = [WIREGUARD_GO, ...CULVERTS];
const INHERIT = new URL("./inherit.ts", import.meta.url).pathname;
const TAKEN_PORT = 12399;
const QUICK_PINGS = ["-q", "-c", "20", "-i", "0.05", "-W", "1"];

for (const implementation of BOTH) {
  for (const family of [4, 6] as const) {
    netnsTest(
      `${implementation.name} marks its packets over IPv${family}, follows a new mark and stops`,
      [implementation.needs, WIREGUARD_GO.needs, "nft", "ping"],
      () => checkMarks(implementation, family),
    );
  }
}

async function checkMarks(implementation: Implementation, family: 4 | 6): Promise<void> {
  await using lab = new Lab();
  const { ends: [near] } = await openTunnel(lab, [implementation, WIREGUARD_GO], { family });
  // Datagrams that leave together may be one packet to the counter: those that wait for the handshake surely are.
  await untilReachable(near.host, inner(2));
  const rules = `table inet marks {
    chain output {
      type filter hook output priority 0;
      udp dport ${PORTS[1]} meta mark 0 counter comment "unmarked"
      udp dport ${PORTS[1]} meta mark 0x4d2 counter comment "first"
      udp dport ${PORTS[1]} meta mark 0xfffffffe counter comment "second"
    }
  }`;
  await near.daemon.set("fwmark", "0x4d2");
  for (const [mark, wanted] of [["0x4d2", "first"], ["0xfffffffe", "second"], ["off", "unmarked"]]) {
    await near.daemon.set("fwmark", mark);
    await near.host.nft(`table inet marks\ndelete table inet marks\n${rules}`);
    equal((await ping(near.host, inner(2), QUICK_PINGS)).received, 20);
    for (const name of ["unmarked", "first", "second"]) {
      const packets = await near.host.counted(name);
      ok(name === wanted ? packets >= 10 : packets === 0, `With the mark ${mark}, ${packets} packets are ${name}`);
    }
  }
}

for (const implementation of BOTH) {
  for (const family of [4, 6] as const) {
    netnsTest(
      `${implementation.name} ${
        implementation.stickySource ? "answers from" : "does without"
      } the IPv${family} address its peer writes to`,
      [implementation.needs, WIREGUARD_GO.needs, "nft", "ping"],
      () => checkSource(implementation, family),
    );
  }
}

async function checkSource(implementation: Implementation, family: 4 | 6): Promise<void> {
  await using lab = new Lab();
  const { ends: [near, far] } = await openTunnel(lab, [WIREGUARD_GO, implementation], { family, knows: [1] });
  const [second, length, option] = family === 4 ? ["10.77.0.22", 24, []] : ["fd00:77::22", 64, ["nodad"]] as const;
  await must(["ip", "-n", far.host.name, "address", "add", `${second}/${length}`, "dev", far.device, ...option]);
  const ip = family === 4 ? "ip" : "ip6";
  await near.host.nft(`table inet sources {
    chain input {
      type filter hook input priority 0;
      udp sport ${PORTS[1]} ${ip} saddr ${second} counter comment "second"
      udp sport ${PORTS[1]} ${ip} saddr ${far.outer(family)} counter comment "first"
    }
  }`);
  const written = family === 4 ? second : `[${second}]`;
  await near.daemon.set("peer", far.keys.publicKey, "endpoint", `${written}:${PORTS[1]}`);
  await untilReachable(near.host, inner(2));
  equal((await ping(near.host, inner(2), QUICK_PINGS)).received, 20);
  equal((await ping(far.host, inner(1), QUICK_PINGS)).received, 20);
  if (implementation.stickySource) {
    equal(await near.host.counted("first"), 0);
    ok(await near.host.counted("second") >= 40);
    equal((await near.daemon.show()).peers[0].endpoint, `${written}:${PORTS[1]}`);
  }
  // wireguard-go needs 16 s here: a send error must not end the conversation.
  if (implementation === WIREGUARD_GO) return;
  await must(["ip", "-n", far.host.name, "address", "delete", `${second}/${length}`, "dev", far.device]);
  const { received, text } = await ping(far.host, inner(1), QUICK_PINGS);
  ok(received >= 19, `After the address went: ${text}`);
}

for (const implementation of CULVERTS) {
  netnsTest(
    `${implementation.name} keeps its port when another is taken`,
    [implementation.needs, WIREGUARD_GO.needs, "ncat", "ping"],
    async () => {
      await using lab = new Lab();
      const { ends: [near] } = await openTunnel(lab, [implementation, WIREGUARD_GO]);
      await untilReachable(near.host, inner(2));
      for (const family of [4, 6] as const) {
        const holder = await near.host.takePort(TAKEN_PORT, family);
        const name = near.daemon.interfaceName;
        const { code, stderr } = await run(["wg", "set", name, "listen-port", `${TAKEN_PORT}`, "fwmark", "0x99"]);
        equal(code, 1);
        match(stderr, /Address already in use/);
        const state = await near.daemon.show();
        equal(state.listenPort, PORTS[0]);
        equal(state.fwmark, "off");
        equal((await ping(near.host, inner(2), QUICK_PINGS)).received, 20);
        await holder[Symbol.asyncDispose]();
      }
      // The port is free again, and the peer follows.
      await near.daemon.set("listen-port", `${TAKEN_PORT}`);
      await untilReachable(near.host, inner(2));
      equal((await near.daemon.show()).listenPort, TAKEN_PORT);
    },
  );

  netnsTest(
    `${implementation.name} survives a port that is taken when its link comes up`,
    [implementation.needs, WIREGUARD_GO.needs, "ncat", "ping"],
    async () => {
      await using lab = new Lab();
      const { ends: [near] } = await openTunnel(lab, [implementation, WIREGUARD_GO]);
      await near.daemon.link("down");
      await near.daemon.set("listen-port", `${TAKEN_PORT}`);
      const holder = await near.host.takePort(TAKEN_PORT);
      await near.daemon.link("up");
      await sleep(1_500);
      equal(near.daemon.isRunning, true);
      await near.daemon.show();
      await holder[Symbol.asyncDispose]();
      await near.daemon.link("down");
      await sleep(1_500);
      await near.daemon.link("up");
      await untilReachable(near.host, inner(2));
    },
  );

  netnsTest(
    `${implementation.name} works where IPv6 is switched off`,
    [implementation.needs, WIREGUARD_GO.needs, "ping"],
    async () => {
      await using lab = new Lab();
      const { a, b, link } = await lab.pair();
      for (const host of [a, b]) await host.must(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"]);
      const places = [link.place(1), link.place(2)] as const;
      const options = { innerIpv6: false };
      const { ends: [near, far] } = await openTunnelBetween(places, [implementation, WIREGUARD_GO], options);
      await untilReachable(near.host, inner(2));
      equal((await ping(far.host, inner(1), QUICK_PINGS)).received, 20);
    },
  );

  netnsTest(
    `${implementation.name} works on a kernel without IPv6`,
    [implementation.needs, WIREGUARD_GO.needs, "ping"],
    async () => {
      await using lab = new Lab();
      const limited: Implementation = {
        ...implementation,
        command: async () => {
          const helper = [Deno.execPath(), "run", "-A", "--no-lock", INHERIT, "--no-ipv6", "--"];
          return [...helper, ...await implementation.command()];
        },
      };
      const { ends: [near, far] } = await openTunnel(lab, [limited, WIREGUARD_GO]);
      await untilReachable(near.host, inner(2));
      equal((await ping(far.host, inner(1), QUICK_PINGS)).received, 20);
      // The filter did its work: there is no second socket.
      const port = PORTS[0].toString(16).toUpperCase();
      ok(!(await near.host.must(["cat", "/proc/net/udp6"])).includes(`:${port} `));
    },
  );
}
