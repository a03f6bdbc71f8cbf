import assert from "node:assert/strict";
import { EEXIST, EINVAL, ENODEV, EOPNOTSUPP, ETIMEDOUT, SyscallError } from "./errno.ts";
import { close, writeFile } from "./file.ts";
import { libc } from "./libc.ts";
import {
  ADDRESS_GENERATION_NONE,
  createLink,
  createLinkMessage,
  deleteLink,
  getLink,
  IFF_UP,
  type LinkEvent,
  listenLinks,
  listLinks,
  readLinkEvents,
  setAddressGenerationNone,
  setLinkDown,
  setLinkMtu,
  setLinkUp,
} from "./link.ts";
import { listenNetlink, type Netlink, openNetlink } from "./netlink.ts";
import { mapAttributes, NetlinkMessage, NLM_F_ACK, readText } from "./netlink_message.ts";
import { ipJson } from "./programs_fixture.ts";
import { setOption, SO_RCVBUF, SOL_SOCKET } from "./socket.ts";
import { countDescriptors, inTestNamespace, rootTest } from "./testing.ts";
import { openTun } from "./tun.ts";

function withLink(f: (netlink: Netlink, index: number) => void): void {
  inTestNamespace(() => {
    const netlink = openNetlink();
    const { fd } = openTun("cv0");
    try {
      f(netlink, getLink(netlink, "cv0")!.index);
    } finally {
      close(fd);
      netlink.close();
    }
  });
}

Deno.test("getLink() finds by name and by index, and null otherwise", () => {
  const netlink = openNetlink();
  try {
    // The loopback interface has index 1 in every namespace.
    const loopback = getLink(netlink, "lo")!;
    assert.equal(loopback.index, 1);
    assert.equal(loopback.name, "lo");
    assert.equal(loopback.mtu, Number(Deno.readTextFileSync("/sys/class/net/lo/mtu")));
    assert.deepEqual(getLink(netlink, 1), loopback);
    assert.equal(getLink(netlink, "no-such-link"), null);
    assert.equal(getLink(netlink, 0x7fff_fff0), null);
  } finally {
    netlink.close();
  }
});

Deno.test("listLinks() agrees with /sys/class/net", () => {
  const netlink = openNetlink();
  try {
    const names = listLinks(netlink).map(({ name }) => name).sort();
    assert.deepEqual(names, [...Deno.readDirSync("/sys/class/net")].map(({ name }) => name).sort());
  } finally {
    netlink.close();
  }
});

rootTest("createLink() makes a link of a kind, and tells a kind that the kernel has not", () => {
  inTestNamespace(() => {
    const netlink = openNetlink();
    try {
      createLink(netlink, "bridge0", "bridge");
      const [made] = ipJson("-d", "link", "show", "bridge0") as { linkinfo: { info_kind: string } }[];
      assert.equal(made.linkinfo.info_kind, "bridge");
      const isErrno = (errno: number) => (error: unknown): boolean =>
        error instanceof SyscallError && error.errno === errno;
      assert.throws(() => createLink(netlink, "bridge0", "bridge"), isErrno(EEXIST));
      assert.throws(() => createLink(netlink, "wg0", "no-such-kind"), isErrno(EOPNOTSUPP));
      assert.equal(getLink(netlink, "wg0"), null);
    } finally {
      netlink.close();
    }
  });
});

Deno.test("createLinkMessage() says name and kind as ip link add does", () => {
  const message = createLinkMessage("wg0", "wireguard");
  const attributes = mapAttributes(message, 16 + 16);
  assert.equal(readText(attributes.get(3)), "wg0");
  assert.equal(readText(mapAttributes(attributes.get(18)!).get(1)), "wireguard");
  const view = new DataView(message.buffer, message.byteOffset);
  // RTM_NEWLINK; a request to create, exclusively.
  assert.deepEqual([view.getUint16(4, true), view.getUint16(6, true)], [16, 0x1 | 0x400 | 0x200]);
  assert.equal(view.getUint32(0, true), message.length);
  assert.deepEqual([...message.subarray(16, 32)], Array(16).fill(0));
});

rootTest("listLinks() reads a list of several datagrams", () => {
  inTestNamespace(() => {
    const netlink = openNetlink();
    const opened = Array.from({ length: 80 }, () => openTun("cv%d"));
    try {
      const names = new Set(listLinks(netlink).map(({ name }) => name));
      for (const { name } of opened) assert.ok(names.has(name), name);
    } finally {
      for (const { fd } of opened) close(fd);
      netlink.close();
    }
  });
});

rootTest("setLinkMtu(), setLinkUp(), setLinkDown() and deleteLink() do what they say", () => {
  withLink((netlink, index) => {
    assert.equal(getLink(netlink, index)!.flags & IFF_UP, 0);
    setLinkMtu(netlink, index, 1337);
    setLinkUp(netlink, index);
    assert.equal(getLink(netlink, index)!.mtu, 1337);
    assert.equal(getLink(netlink, index)!.flags & IFF_UP, IFF_UP);
    setLinkDown(netlink, index);
    assert.equal(getLink(netlink, index)!.flags & IFF_UP, 0);
    deleteLink(netlink, index);
    assert.equal(getLink(netlink, index), null);
  });
});

rootTest("refusals come with errno and the kernel's words", () => {
  withLink((netlink, index) => {
    assert.throws(() => setLinkMtu(netlink, index, 10_000_000), (error) => {
      assert.ok(error instanceof SyscallError);
      assert.equal(error.errno, EINVAL);
      assert.match(error.message, /mtu greater than device maximum/);
      return true;
    });
    assert.throws(
      () => setLinkUp(netlink, 4242),
      (error) => error instanceof SyscallError && error.errno === ENODEV,
    );
    assert.equal(getLink(netlink, index)!.name, "cv0", "the socket goes on");
  });
});

rootTest("setAddressGenerationNone() sets the mode, and tells when there is no IPv6", () => {
  withLink((netlink, index) => {
    assert.notEqual(getLink(netlink, index)!.addressGeneration, ADDRESS_GENERATION_NONE);
    assert.equal(setAddressGenerationNone(netlink, index), true);
    assert.equal(getLink(netlink, index)!.addressGeneration, ADDRESS_GENERATION_NONE);
    setLinkMtu(netlink, index, 1000);
    assert.equal(getLink(netlink, index)!.addressGeneration, -1);
    assert.equal(setAddressGenerationNone(netlink, index), false);
  });
});

Deno.test("a late answer to another request is passed over", () => {
  const netlink = openNetlink();
  try {
    const RTM_GETLINK = 18;
    const late = new NetlinkMessage(RTM_GETLINK, NLM_F_ACK).u8(0).u8(0).u16(0).u32(0x7fff_fff0).u32(0).u32(0).finish();
    assert.equal(libc().send(netlink.fd, late, late.length, 0), late.length);
    assert.equal(getLink(netlink, "lo")!.index, 1);
  } finally {
    netlink.close();
  }
});

Deno.test("an unknown request is refused, not waited for", () => {
  const netlink = openNetlink();
  const start = performance.now();
  try {
    const message = new NetlinkMessage(0x7ff0).u32(0).finish();
    assert.throws(
      () => netlink.request("nonsense", message),
      (error) => error instanceof SyscallError && error.errno !== ETIMEDOUT,
    );
    assert.ok(performance.now() - start < 1_000);
  } finally {
    netlink.close();
  }
});

rootTest("readLinkEvents() tells of birth, change and end, in order", () => {
  inTestNamespace(() => {
    const listener = listenLinks();
    assert.deepEqual(readLinkEvents(listener), []);
    const netlink = openNetlink();
    const { fd } = openTun("cv0");
    const { index } = getLink(netlink, "cv0")!;
    setLinkMtu(netlink, index, 1300);
    setLinkUp(netlink, index);
    const events = readLinkEvents(listener).map((event) => event.kind === "overrun" ? null : event);
    for (const event of events) assert.equal(event?.link.index, index);
    assert.equal(events.at(-1)?.kind, "changed");
    assert.equal(events.at(-1)?.link.mtu, 1300);
    assert.equal(events.at(-1)!.link.flags & IFF_UP, IFF_UP);
    close(fd);
    assert.equal(readLinkEvents(listener).at(-1)?.kind, "gone");
    listener.close();
    netlink.close();
  });
});

rootTest("readLinkEvents() tells when events were lost, and goes on", () => {
  withLink((netlink, index) => {
    const listener = listenNetlink(1);
    setOption("SO_RCVBUF", listener.fd, SOL_SOCKET, SO_RCVBUF, 1);
    for (let i = 0; i < 50; i++) setLinkMtu(netlink, index, 1300 + i);
    const kinds = readLinkEvents(listener).map(({ kind }): LinkEvent["kind"] => kind);
    assert.ok(kinds.includes("overrun"), kinds.join());
    setLinkMtu(netlink, index, 1400);
    const [event] = readLinkEvents(listener);
    assert.ok(event.kind === "changed" && event.link.mtu === 1400);
    listener.close();
  });
});

rootTest("nothing is left open", () => {
  const before = countDescriptors();
  withLink((netlink, index) => {
    const listener = listenLinks();
    setLinkUp(netlink, index);
    readLinkEvents(listener);
    listener.close();
  });
  assert.equal(countDescriptors(), before);
});

rootTest("a link whose IPv6 is switched off still takes everything else", () => {
  inTestNamespace(() => {
    // /proc/sys/net is that of the thread that opens the file.
    writeFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    const netlink = openNetlink();
    const { fd } = openTun("cv0");
    try {
      const { index } = getLink(netlink, "cv0")!;
      setAddressGenerationNone(netlink, index);
      setLinkUp(netlink, index);
      assert.equal(getLink(netlink, index)!.flags & IFF_UP, IFF_UP);
    } finally {
      close(fd);
      netlink.close();
    }
  });
});
