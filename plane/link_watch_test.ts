import assert from "node:assert/strict";
import { close } from "../ffi/file.ts";
import { deleteLink, getLink, moveLink, setLinkDown, setLinkMtu, setLinkUp } from "../ffi/link.ts";
import { createNamespace, inNamespace } from "../ffi/namespace.ts";
import { openNetlink } from "../ffi/netlink.ts";
import { inTestNamespace, rootTest } from "../ffi/testing.ts";
import { openTun } from "../ffi/tun.ts";
import { LinkWatch } from "./link_watch.ts";

/** A watched TUN device, and netlink in its first namespace. */
interface Scene {
  readonly watch: LinkWatch;
  readonly netlink: ReturnType<typeof openNetlink>;
  readonly index: number;
  readonly messages: string[];
}

rootTest("LinkWatch tells up, down and MTU as they change", () => {
  withScene(({ watch, netlink, index }) => {
    assert.deepEqual([watch.isUp, watch.isGone, watch.mtu], [false, false, 1500]);
    setLinkUp(netlink, index);
    watch.readEvents();
    assert.ok(watch.isUp);
    setLinkMtu(netlink, index, 1300);
    watch.readEvents();
    assert.equal(watch.mtu, 1300);
    setLinkDown(netlink, index);
    watch.readEvents();
    assert.ok(!watch.isUp && !watch.isGone);
  });
});

rootTest("LinkWatch.sample() tells up and down without netlink", () => {
  withScene(({ watch, netlink, index }) => {
    watch.close();
    assert.equal(watch.descriptor, -1);
    setLinkUp(netlink, index);
    watch.sample();
    assert.ok(watch.isUp);
    watch.close();
    setLinkDown(netlink, index);
    watch.sample();
    assert.ok(!watch.isUp && !watch.isGone);
  });
});

rootTest("LinkWatch follows the device to another namespace", () => {
  withScene(({ watch, netlink, index, messages }) => {
    const elsewhere = createNamespace();
    try {
      setLinkUp(netlink, index);
      watch.readEvents();
      moveLink(netlink, index, elsewhere);
      watch.readEvents();
      assert.ok(!watch.isUp && !watch.isGone);
      inNamespace(elsewhere, () => {
        const there = openNetlink();
        const moved = getLink(there, "watched0")!.index;
        setLinkMtu(there, moved, 1280);
        setLinkUp(there, moved);
        there.close();
      });
      watch.readEvents();
      assert.ok(watch.isUp);
      assert.equal(watch.mtu, 1280);
      assert.deepEqual(messages, []);
    } finally {
      close(elsewhere);
    }
  });
});

rootTest("LinkWatch knows a device that is in another namespace from the start", () => {
  const elsewhere = createNamespace();
  let tun = -1;
  try {
    inNamespace(elsewhere, () => {
      tun = openTun("watched0").fd;
      const there = openNetlink();
      setLinkMtu(there, getLink(there, "watched0")!.index, 1234);
      there.close();
    });
    const watch = new LinkWatch(tun, 1420, (text) => assert.fail(text));
    assert.equal(watch.mtu, 1234);
    watch.close();
  } finally {
    if (tun >= 0) close(tun);
    close(elsewhere);
  }
});

rootTest("LinkWatch tells that the device was deleted", () => {
  withScene(({ watch, netlink, index }) => {
    setLinkUp(netlink, index);
    deleteLink(netlink, index);
    watch.readEvents();
    assert.ok(watch.isGone && !watch.isUp);
  });
});

function withScene(f: (scene: Scene) => void): void {
  inTestNamespace(() => {
    const tun = openTun("watched0").fd;
    const netlink = openNetlink();
    const messages: string[] = [];
    const watch = new LinkWatch(tun, 1420, (text) => messages.push(text));
    try {
      f({ watch, netlink, index: getLink(netlink, "watched0")!.index, messages });
    } finally {
      watch.close();
      netlink.close();
      close(tun);
    }
  });
}
