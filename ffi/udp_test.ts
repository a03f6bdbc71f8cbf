import assert from "node:assert/strict";
import { EADDRINUSE, EAGAIN, SyscallError } from "./errno.ts";
import { close, read, writeFile } from "./file.ts";
import { errno, libc } from "./libc.ts";
import { getLink, setLinkMtu } from "./link.ts";
import { openNetlink } from "./netlink.ts";
import { POLLIN, PollSet } from "./poll.ts";
import { AF_INET, AF_INET6, getOption, MSG_DONTWAIT, SO_MARK, SO_RCVBUF, SOL_SOCKET } from "./socket.ts";
import { countDescriptors, inTestNamespace, rootTest, setUpLoopback } from "./testing.ts";
import { closeUdpPair, enableGro, localPort, openUdp, openUdpPair, setMark } from "./udp.ts";

/** Sends to the loopback address of the family. @returns the call's result, or a negative errno */
function sendTo(fd: number, family: 4 | 6, port: number, payload: Uint8Array<ArrayBuffer>): number {
  const address = new Uint8Array(family === 4 ? 16 : 28);
  const view = new DataView(address.buffer);
  view.setUint16(0, family === 4 ? AF_INET : AF_INET6, true);
  view.setUint16(2, port);
  if (family === 4) address.set([127, 0, 0, 1], 4);
  else address[23] = 1;
  const result = libc().sendto(fd, payload, payload.length, MSG_DONTWAIT, address, address.length);
  return result < 0 ? -errno() : result;
}

function waitReadable(fd: number): void {
  const poll = new PollSet(1);
  poll.add(fd, POLLIN);
  assert.equal(poll.wait(2_000), 1, "no datagram arrived");
}

function isAddressInUse(error: unknown): boolean {
  return error instanceof SyscallError && error.errno === EADDRINUSE;
}

for (const family of [4, 6] as const) {
  Deno.test(`openUdp() of IPv${family} carries datagrams and does not block`, () => {
    const { fd, port } = openUdp(family, 0);
    try {
      assert.ok(port > 0);
      assert.equal(localPort(fd), port);
      const into = new Uint8Array(100);
      assert.equal(read(fd, into), -EAGAIN);
      assert.equal(sendTo(fd, family, port, Uint8Array.of(1, 2, 3)), 3);
      waitReadable(fd);
      assert.equal(read(fd, into), 3);
    } finally {
      close(fd);
    }
  });

  Deno.test(`openUdp() of IPv${family} says when the port is taken, and leaves nothing open`, () => {
    const { fd, port } = openUdp(family, 0);
    try {
      const before = countDescriptors();
      assert.throws(() => openUdp(family, port), isAddressInUse);
      assert.equal(countDescriptors(), before);
    } finally {
      close(fd);
    }
  });

  rootTest(`openUdp() of IPv${family} fragments what the path is too narrow for`, () => {
    inTestNamespace(() => {
      setUpLoopback();
      const netlink = openNetlink();
      setLinkMtu(netlink, getLink(netlink, "lo")!.index, 1400);
      netlink.close();
      const { fd, port } = openUdp(family, 0);
      try {
        assert.equal(sendTo(fd, family, port, new Uint8Array(3000)), 3000);
        waitReadable(fd);
        assert.equal(read(fd, new Uint8Array(4000)), 3000);
      } finally {
        close(fd);
      }
    });
  });
}

Deno.test("openUdpPair() binds both families to one port", () => {
  const before = countDescriptors();
  const pair = openUdpPair(0);
  assert.equal(localPort(pair.fd4), pair.port);
  assert.equal(localPort(pair.fd6), pair.port);
  assert.equal(countDescriptors(), before + 2);
  closeUdpPair(pair);
  assert.equal(countDescriptors(), before);
  closeUdpPair({ fd4: -1, fd6: -1, port: 0 });
});

Deno.test("openUdpPair() fails whole when the port asked for is taken in either family", () => {
  for (const family of [4, 6] as const) {
    const { fd, port } = openUdp(family, 0);
    const before = countDescriptors();
    assert.throws(() => openUdpPair(port), isAddressInUse);
    assert.equal(countDescriptors(), before);
    close(fd);
  }
});

rootTest("openUdpPair() goes on until a port is free in both families", () => {
  inTestNamespace(() => {
    writeFile("/proc/sys/net/ipv4/ip_local_port_range", "40000 40003");
    const taken = [40000, 40001, 40003].map((port) => openUdp(6, port).fd);
    const before = countDescriptors();
    const pair = openUdpPair(0);
    assert.equal(pair.port, 40002);
    closeUdpPair(pair);
    taken.push(openUdp(6, 40002).fd);
    assert.throws(() => openUdpPair(0), isAddressInUse);
    for (const fd of taken) close(fd);
    assert.equal(countDescriptors(), before - 3);
  });
});

rootTest("openUdpPair() works where IPv6 is switched off", () => {
  inTestNamespace(() => {
    writeFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
    setUpLoopback();
    const pair = openUdpPair(0);
    assert.equal(sendTo(pair.fd4, 4, pair.port, Uint8Array.of(1)), 1);
    closeUdpPair(pair);
  });
});

rootTest("setMark() marks, and takes the mark away", () => {
  const pair = openUdpPair(0, { mark: 0xca6c });
  const mark = (fd: number): number => getOption("SO_MARK", fd, SOL_SOCKET, SO_MARK) >>> 0;
  try {
    assert.equal(mark(pair.fd4), 0xca6c);
    assert.equal(mark(pair.fd6), 0xca6c);
    setMark(pair.fd4, 0xffff_fffe);
    assert.equal(mark(pair.fd4), 0xffff_fffe);
    setMark(pair.fd4, 0);
    assert.equal(mark(pair.fd4), 0);
  } finally {
    closeUdpPair(pair);
  }
});

rootTest("openUdp() gets large buffers whatever the limit is", () => {
  const { fd } = openUdp(4, 0);
  try {
    // The kernel doubles what is asked for, to allow for its own bookkeeping.
    assert.equal(getOption("SO_RCVBUF", fd, SOL_SOCKET, SO_RCVBUF), 2 * 7 * 1024 * 1024);
  } finally {
    close(fd);
  }
});

Deno.test("openUdp() shares a port if asked to", () => {
  const first = openUdp(4, 0, { reusePort: true });
  const second = openUdp(4, first.port, { reusePort: true });
  close(first.fd);
  close(second.fd);
});

Deno.test("enableGro() works on this kernel", () => {
  const { fd } = openUdp(6, 0);
  assert.equal(enableGro(fd), true);
  close(fd);
});
