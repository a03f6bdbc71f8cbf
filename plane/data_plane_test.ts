import assert from "node:assert/strict";
import { EADDRINUSE, SyscallError } from "../ffi/errno.ts";
import { close } from "../ffi/file.ts";
import { inNamespace } from "../ffi/namespace.ts";
import { getOption, SO_MARK, SOL_SOCKET } from "../ffi/socket.ts";
import { countDescriptors, rootTest } from "../ffi/testing.ts";
import { openUdp } from "../ffi/udp.ts";
import { SEND_FAILED } from "../tunnel/reasons.ts";
import type { PacketSummary } from "./data_plane.ts";
import { findUdpDescriptor, isUdpSocketOn } from "./datagram_options.ts";
import { connect, type End, outerEndpoint, type PlaneOverrides, until, withPair } from "./testing.ts";

const KINDS: readonly (readonly [string, PlaneOverrides])[] = [
  ["the batch carrier", { carrier: "batch" }],
  ["three threads", { carrier: "batch", threads: 3 }],
  ["the datagram carrier", { carrier: "datagram" }],
];
const FAMILIES = [4, 6] as const;

for (const [kind, overrides] of KINDS) {
  const sockets = overrides.carrier === "batch" ? 2 * (overrides.threads ?? 1) : 1;
  for (const family of FAMILIES) {
    rootTest(`DataPlane on ${kind} pings both ways over IPv${family}`, async () => {
      await withPair(async (one, two) => {
        await connect(one, two, family, overrides);
        await one.ping("10.8.0.2");
        await two.ping("fd08::1");
        // As large as the MTU allows, and larger: fragments of the inner packet.
        await one.ping("10.8.0.2", 3, "-s", "1392", "-M", "do");
        await one.ping("10.8.0.2", 3, "-s", "4000");
        assert.ok(one.plane.tables.receivedBytes(0) > 3 * 4000);
        assert.ok(one.plane.tables.lastHandshake[0] > 0);
        assert.deepEqual([one.errors, two.errors], [[], []]);
      });
    });
  }

  rootTest(`DataPlane on ${kind} binds while the link is up and only then`, async () => {
    await withPair(async (one) => {
      await one.start(overrides);
      await one.plane.apply([{ op: "listen-port", port: 5123 }], []);
      assert.equal(one.plane.listenPort, 5123);
      assert.deepEqual(await boundPorts(one), []);

      await one.linkUp();
      await until("the socket is bound", async () => (await boundPorts(one)).includes(5123));

      await one.plane.apply([{ op: "listen-port", port: 5124 }], []);
      assert.equal(one.plane.listenPort, 5124);
      assert.deepEqual(await boundPorts(one), [5124]);

      await one.plane.apply([{ op: "listen-port", port: 0 }], []);
      const chosen = one.plane.listenPort;
      assert.notEqual(chosen, 0);
      assert.deepEqual(await boundPorts(one), [chosen]);

      await one.run("ip", "link", "set", "tun0", "down");
      await until("the socket is closed", async () => (await boundPorts(one)).length === 0);
      assert.equal(one.plane.isUp, false);
      assert.equal(one.plane.listenPort, chosen);

      await one.run("ip", "link", "set", "tun0", "up");
      await until("the same port is bound again", async () => (await boundPorts(one)).includes(chosen));
      assert.deepEqual(one.errors, []);
    });
  });

  rootTest(`DataPlane on ${kind} keeps its port when the new one is in use`, async () => {
    await withPair(async (one, two) => {
      await connect(one, two, 4, overrides);
      const taken = inNamespace(one.namespace, () => openUdp(overrides.carrier === "batch" ? 6 : 4, 0));
      try {
        const before = findUdpDescriptor(one.port);
        const request = one.plane.apply(
          [{ op: "fwmark", mark: 7 }, { op: "listen-port", port: taken.port }],
          [{ op: "remove-peer", peer: 0 }],
        );
        await assert.rejects(request, (error) => error instanceof SyscallError && error.errno === EADDRINUSE);
        assert.equal(one.plane.listenPort, one.port);
        assert.equal(findUdpDescriptor(one.port), before);
        assert.equal(getOption("SO_MARK", before, SOL_SOCKET, SO_MARK), 0);
        await one.ping("10.8.0.2");
      } finally {
        close(taken.fd);
      }
    });
  });

  rootTest(`DataPlane on ${kind} does not rebind for the number it has`, async () => {
    await withPair(async (one) => {
      await one.start(overrides);
      await one.plane.apply([{ op: "listen-port", port: 5125 }], []);
      await one.linkUp();
      await until("the link is up", () => one.plane.isUp);
      const inode = (): string => Deno.readLinkSync(`/proc/self/fd/${findUdpDescriptor(5125)}`);
      const before = inode();
      await one.plane.apply([{ op: "listen-port", port: 5125 }], []);
      assert.equal(inode(), before);
    });
  });

  rootTest(`DataPlane on ${kind} marks its sockets, also those it opens later`, async () => {
    await withPair(async (one) => {
      await one.start(overrides);
      await one.plane.apply([{ op: "listen-port", port: 5126 }, { op: "fwmark", mark: 0x1234 }], []);
      await one.linkUp();
      await until("the link is up", () => one.plane.isUp);
      assert.deepEqual(marksOf(5126), Array(sockets).fill(0x1234));
      await one.plane.apply([{ op: "fwmark", mark: 0xca6c }], []);
      assert.deepEqual(marksOf(5126), Array(sockets).fill(0xca6c));
      await one.plane.apply([{ op: "listen-port", port: 5127 }], []);
      assert.deepEqual(marksOf(5127), Array(sockets).fill(0xca6c));
      await one.plane.apply([{ op: "fwmark", mark: 0 }], []);
      assert.deepEqual(marksOf(5127), Array(sockets).fill(0));
    });
  });

  rootTest(`DataPlane on ${kind} reports a deleted interface and stops`, async () => {
    await withPair(async (one, two) => {
      await connect(one, two, 4, overrides);
      const gone = Promise.withResolvers<void>();
      one.plane.onTunnelGone = gone.resolve;
      await one.run("ip", "link", "delete", "tun0");
      await gone.promise;
      assert.equal(one.plane.isUp, false);
      await assert.rejects(one.plane.apply([], []), /has ended/);
      assert.deepEqual(await boundPorts(one), []);
    });
  });

  rootTest(`DataPlane on ${kind} follows its interface to another namespace`, async () => {
    await withPair(async (one, two) => {
      await connect(one, two, 4, overrides);
      await one.run("ip", "link", "set", "tun0", "mtu", "1300");
      await until("the MTU is seen", () => one.plane.mtu === 1300);

      await one.moveTun();
      await until("the link is down", () => !one.plane.isUp);
      await one.runMoved("ip", "address", "add", "10.8.0.1/24", "dev", "tun0");
      await one.runMoved("ip", "link", "set", "tun0", "mtu", "1280", "up");
      await until("it is up there, with its MTU", () => one.plane.isUp && one.plane.mtu === 1280);
      await one.runMoved("ping", "-n", "-q", "-c", "3", "-i", "0.02", "-W", "3", "10.8.0.2");
      await one.runMoved("ip", "link", "set", "tun0", "mtu", "1290");
      await until("later changes are seen", () => one.plane.mtu === 1290);
      await one.runMoved("ip", "link", "set", "tun0", "down");
      await until("down is seen there", () => !one.plane.isUp);
      assert.deepEqual(one.errors, []);
    });
  });

  rootTest(`DataPlane on ${kind} survives sends that fail`, async () => {
    await withPair(async (one, two) => {
      await connect(one, two, 4, overrides);
      await one.ping("10.8.0.2");
      // Helpers' bytes are told some time later.
      await new Promise((resolve) => setTimeout(resolve, 200));
      const sent = one.plane.tables.txBytes[0];
      await one.run("ip", "link", "set", "veth0", "down");
      await assert.rejects(one.ping("10.8.0.2", 20, "-W", "0.1"));
      await until("failures are counted", () => one.plane.tables.peerDrops[SEND_FAILED] >= 20);
      assert.equal(one.plane.tables.peerDrops[SEND_FAILED], one.plane.tables.deviceDrops[SEND_FAILED]);
      assert.equal(one.plane.tables.txBytes[0], sent, "What was not sent is counted as sent");
      await one.run("ip", "link", "set", "veth0", "up");
      await one.ping("10.8.0.2");
      assert.deepEqual(one.errors, []);
    });
  });

  for (const family of FAMILIES) {
    rootTest(`DataPlane on ${kind} goes on at once when its IPv${family} address changes`, async () => {
      await withPair(async (one, two) => {
        await connect(one, two, family, overrides);
        await one.ping("10.8.0.2");
        const [before, after] = family === 4 ? ["10.9.0.1/24", "10.9.0.11/24"] : ["fd09::1/64", "fd09::11/64"];
        await one.run("ip", "address", "delete", before, "dev", "veth0");
        await one.run("ip", "address", "add", after, "dev", "veth0", ...(family === 6 ? ["nodad"] : []));
        const report = await one.ping("10.8.0.2", 5);
        assert.match(report, / 0% packet loss/);
        assert.equal(one.plane.tables.peerDrops[SEND_FAILED], 0);
      });
    });
  }

  rootTest(`DataPlane on ${kind} works on a host without IPv6`, async () => {
    await withPair(async (one, two) => {
      for (const end of [one, two]) {
        await end.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.lo.disable_ipv6=1");
      }
      for (const end of [one, two]) await end.start(overrides);
      await one.configure(two, outerEndpoint(two, 4));
      await two.configure(one, outerEndpoint(one, 4));
      for (const end of [one, two]) {
        await end.run("ip", "address", "add", `10.8.0.${end.number}/24`, "dev", "tun0");
        await end.run("ip", "link", "set", "tun0", "up");
      }
      await one.ping("10.8.0.2");
      assert.deepEqual([one.errors, two.errors], [[], []]);
    });
  });

  rootTest(`DataPlane.stop() on ${kind} leaves no descriptor`, async () => {
    await withPair(async (one, two) => {
      const before = countDescriptors();
      for (let round = 0; round < 5; round++) {
        await connect(one, two, 4, overrides);
        await one.ping("10.8.0.2", 1);
        await one.stop();
        await two.stop();
      }
      await until("all is closed", () => countDescriptors() === before);
      assert.deepEqual(await boundPorts(one), []);
    });
  });

  rootTest(`DataPlane on ${kind} goes on under a flood of rubbish`, async () => {
    await withPair(async (one, two) => {
      await connect(one, two, 4, overrides);
      const flood = inNamespace(
        two.namespace,
        () => Deno.listenDatagram({ transport: "udp", hostname: "10.9.0.2", port: 0 }),
      );
      try {
        const target: Deno.NetAddr = { transport: "udp", hostname: "10.9.0.1", port: one.port };
        for (let i = 0; i < 5_000; i++) {
          const rubbish = crypto.getRandomValues(new Uint8Array(i % 300));
          if (rubbish.length > 3) rubbish.set([1 + i % 4, 0, 0, 0]);
          await flood.send(rubbish, target);
        }
        await one.ping("10.8.0.2");
        await two.ping("10.8.0.1");
        assert.deepEqual(one.errors, []);
      } finally {
        flood.close();
      }
    });
  });
}

rootTest("DataPlane with a key log tells the secrets of each handshake in Wireshark's words", async () => {
  await withPair(async (one, two) => {
    await connect(one, two, 4, { keyLog: true });
    await one.ping("10.8.0.2");
    await until("the lines arrive", () => one.keyLines.length >= 4);
    const names = one.keyLines.map((line) => line.split(" = ")[0]);
    assert.deepEqual(names.slice(0, 4), [
      "LOCAL_STATIC_PRIVATE_KEY",
      "REMOTE_STATIC_PUBLIC_KEY",
      "LOCAL_EPHEMERAL_PRIVATE_KEY",
      "PRESHARED_KEY",
    ]);
    for (const line of one.keyLines) assert.match(line, / = [A-Za-z0-9+/]{43}=$/);
  });
});

rootTest("DataPlane goes on when secrets cannot be logged, and says so once", async () => {
  await withPair(async (one, two) => {
    await connect(one, two, 4, { keyLog: true });
    one.plane.onKeyLog = (): void => {
      throw new Error("No space left on device");
    };
    await one.ping("10.8.0.2");
    await one.plane.apply([], [{ op: "private-key", key: one.privateKey }]);
    await one.ping("10.8.0.2");
    assert.deepEqual(one.errors, ["tun0: cannot log the secrets of a handshake: Error: No space left on device"]);
  });
});

rootTest("DataPlane without a key log tells no secrets", async () => {
  await withPair(async (one, two) => {
    await connect(one, two, 4, {});
    await one.ping("10.8.0.2");
    assert.deepEqual(one.keyLines, []);
  });
});

rootTest("DataPlane with an observer describes as many packets as it was asked for", async () => {
  await withPair(async (one, two) => {
    const seen: PacketSummary[] = [];
    await connect(one, two, 4, { observe: 8 });
    one.plane.onPacket = (packet): void => void seen.push(packet);
    await one.ping("10.8.0.2", 10);
    await until("the summaries arrive", () => seen.length >= 8);
    assert.equal(seen.length, 8);
    assert.deepEqual(seen.slice(0, 2).map(({ type, direction, inner }) => [type, direction, inner]), [
      [1, "out", null],
      [2, "in", null],
    ]);
    const sent = seen.find(({ inner, direction }) => inner !== null && direction === "out");
    assert.deepEqual(sent?.inner, { source: "10.8.0.1", destination: "10.8.0.2", length: 84 });
    assert.deepEqual(sent?.outer, { source: "10.9.0.1:5001", destination: "10.9.0.2:5002", length: 128 });
    const received = seen.find(({ inner, direction }) => inner !== null && direction === "in");
    assert.deepEqual(received?.inner, { source: "10.8.0.2", destination: "10.8.0.1", length: 84 });
    assert.deepEqual(received?.outer, { source: "10.9.0.2:5002", destination: "10.9.0.1:5001", length: 128 });
  });
});

rootTest("DataPlane.start() rejects an unknown engine and leaves nothing behind", async () => {
  await withPair(async (one) => {
    const before = countDescriptors();
    await assert.rejects(one.start({ engine: "enigma" }), /No AEAD engine is called enigma/);
    // The TUN device is the test's own; the worker's thread ends a little later.
    await until("all else is closed", () => countDescriptors() === before + 1);
  });
});

async function boundPorts(end: End): Promise<number[]> {
  const { four, six } = await end.udpPorts();
  return [...new Set([...four, ...six])];
}

/** The marks of this process's sockets on a port. */
function marksOf(port: number): number[] {
  const marks: number[] = [];
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    const fd = Number(name);
    if (isUdpSocketOn(fd, port)) marks.push(getOption("SO_MARK", fd, SOL_SOCKET, SO_MARK));
  }
  return marks;
}
