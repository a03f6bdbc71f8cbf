import assert from "node:assert/strict";
import { EAGAIN, EBADFD, EBUSY, EINVAL, EIO, ENOTTY, SyscallError } from "./errno.ts";
import { close, duplicate, ioctl, pipe, read, setCloseOnExec, setNonBlocking, write } from "./file.ts";
import { deleteLink, getLink, moveLink, setAddressGenerationNone, setLinkDown, setLinkMtu, setLinkUp } from "./link.ts";
import { createNamespace, inNamespace } from "./namespace.ts";
import { type Netlink, openNetlink } from "./netlink.ts";
import { POLLERR, POLLOUT, PollSet } from "./poll.ts";
import { countDescriptors, inTestNamespace, rootTest } from "./testing.ts";
import {
  adoptTun,
  IFF_NO_PI,
  IFF_TUN,
  IFF_VNET_HDR,
  openTun,
  setTunOffload,
  TUN_F_CSUM,
  TUN_F_TSO4,
  tunName,
  tunNetworkNamespace,
} from "./tun.ts";

/** An IPv4 packet without payload, from 10.7.0.2 to 10.7.0.1, of an experimental protocol. */
const PACKET = Uint8Array.of(0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0, 10, 7, 0, 2, 10, 7, 0, 1);

/** Runs `f` with a TUN device of a new namespace, and cleans up. */
function withTun(f: (fd: number, netlink: Netlink, index: number) => void): void {
  inTestNamespace(() => {
    const netlink = openNetlink();
    const { fd } = openTun("cv0");
    try {
      f(fd, netlink, getLink(netlink, "cv0")!.index);
    } finally {
      close(fd);
      netlink.close();
    }
  });
}

function hasErrno(number: number): (error: unknown) => boolean {
  return (error) => error instanceof SyscallError && error.errno === number;
}

function pollOnce(fd: number): number {
  const poll = new PollSet(1);
  poll.add(fd, POLLOUT);
  poll.wait(0);
  return poll.revents(0);
}

rootTest("openTun() creates a device without a link layer, non-blocking", () => {
  inTestNamespace(() => {
    const { fd, name } = openTun("cv%d");
    try {
      assert.equal(name, "cv0");
      assert.equal(tunName(fd), "cv0");
      assert.deepEqual(adoptTun(fd), { name: "cv0", flags: IFF_TUN | IFF_NO_PI });
      assert.equal(read(fd, new Uint8Array(100)), -EAGAIN);
    } finally {
      close(fd);
    }
  });
});

rootTest("openTun() with options", () => {
  inTestNamespace(() => {
    const first = openTun("cv0", { vnetHdr: true, multiQueue: true });
    const second = openTun("cv0", { vnetHdr: true, multiQueue: true });
    try {
      assert.equal(adoptTun(second.fd).flags & IFF_VNET_HDR, IFF_VNET_HDR);
      assert.equal(setTunOffload(first.fd, TUN_F_CSUM | TUN_F_TSO4), true);
      assert.equal(setTunOffload(first.fd, 0x8000), false);
    } finally {
      close(first.fd);
      close(second.fd);
    }
  });
});

rootTest("openTun() refuses a device in use, a bad name and another kind of interface", () => {
  withTun(() => {
    const before = countDescriptors();
    assert.throws(() => openTun("cv0"), hasErrno(EBUSY));
    assert.throws(() => openTun("sixteen-bytes-no"), hasErrno(EINVAL));
    assert.throws(() => openTun("a/b"), hasErrno(EINVAL));
    assert.throws(() => openTun("lo"), hasErrno(EINVAL));
    assert.equal(countDescriptors(), before);
  });
});

rootTest("adoptTun() makes an inherited descriptor non-blocking, and refuses others", () => {
  withTun((fd, netlink, index) => {
    setAddressGenerationNone(netlink, index);
    setLinkUp(netlink, index);
    const inherited = duplicate(fd);
    setNonBlocking(inherited, false);
    setCloseOnExec(inherited, false);
    assert.equal(adoptTun(inherited).name, "cv0");
    assert.equal(read(inherited, new Uint8Array(100)), -EAGAIN);
    close(inherited);
    const { readFd, writeFd } = pipe();
    assert.throws(() => adoptTun(readFd), hasErrno(ENOTTY));
    close(readFd);
    close(writeFd);
  });
});

rootTest("adoptTun() makes the vnet header ten bytes long, whatever its opener made of it", () => {
  const TUNGETVNETHDRSZ = 0x800454d7;
  const TUNSETVNETHDRSZ = 0x400454d8;
  inTestNamespace(() => {
    const { fd } = openTun("cv0", { vnetHdr: true });
    try {
      ioctl("TUNSETVNETHDRSZ", fd, TUNSETVNETHDRSZ, Uint8Array.of(12, 0, 0, 0));
      adoptTun(fd);
      const size = new Uint8Array(4);
      ioctl("TUNGETVNETHDRSZ", fd, TUNGETVNETHDRSZ, size);
      assert.deepEqual(size, Uint8Array.of(10, 0, 0, 0));
    } finally {
      close(fd);
    }
  });
});

rootTest("a TUN is writable while the link is up, silent while down, and in error once deleted", () => {
  withTun((fd, netlink, index) => {
    assert.equal(pollOnce(fd), 0);
    assert.equal(write(fd, PACKET), -EIO);
    setLinkUp(netlink, index);
    assert.equal(pollOnce(fd) & (POLLOUT | POLLERR), POLLOUT);
    assert.equal(write(fd, PACKET), PACKET.length);
    setLinkDown(netlink, index);
    assert.equal(pollOnce(fd), 0);
    deleteLink(netlink, index);
    assert.equal(pollOnce(fd) & POLLERR, POLLERR);
    assert.equal(read(fd, new Uint8Array(100)), -EBADFD);
    assert.throws(() => tunName(fd), hasErrno(EBADFD));
  });
});

rootTest("setAddressGenerationNone() keeps a TUN silent when it comes up", () => {
  withTun((fd, netlink, index) => {
    assert.equal(setAddressGenerationNone(netlink, index), true);
    setLinkUp(netlink, index);
    new PollSet().wait(100);
    assert.equal(read(fd, new Uint8Array(2000)), -EAGAIN);
  });
});

rootTest("tunNetworkNamespace() follows the device into another namespace", () => {
  withTun((fd, netlink, index) => {
    const other = createNamespace();
    moveLink(netlink, index, other);
    assert.equal(getLink(netlink, "cv0"), null);
    assert.equal(tunName(fd), "cv0");
    const found = tunNetworkNamespace(fd);
    const there = inNamespace(found, () => openNetlink());
    try {
      const link = getLink(there, "cv0")!;
      assert.equal(pollOnce(fd), 0);
      setLinkMtu(there, link.index, 1380);
      setLinkUp(there, link.index);
      assert.equal(getLink(there, "cv0")!.mtu, 1380);
      assert.equal(pollOnce(fd) & POLLOUT, POLLOUT);
      deleteLink(there, link.index);
      assert.equal(pollOnce(fd) & POLLERR, POLLERR);
    } finally {
      there.close();
      close(found);
      close(other);
    }
  });
});
