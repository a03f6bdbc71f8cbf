import assert from "node:assert/strict";
import { bootMilliseconds } from "../ffi/clock.ts";
import { createEventfd, drainEventfd, signalEventfd } from "../ffi/eventfd.ts";
import { close } from "../ffi/file.ts";
import { libc } from "../ffi/libc.ts";
import { openUdp } from "../ffi/udp.ts";
import { Readiness } from "./readiness.ts";

// Opened here, so that the leak sanitizer does not lay it at the door of the first test.
libc();

interface Descriptors {
  /** An eventfd stands for the TUN device: it always takes a write and is readable once signalled. */
  readonly tun: number;
  readonly control: number;
  readonly udp: number;
}

Deno.test("Readiness.wait() ends when the time has come", async () => {
  await withReadiness((readiness) => {
    readiness.watchLink(-1, true);
    const before = bootMilliseconds();
    readiness.wait(before + 30, before);
    const waited = bootMilliseconds() - before;
    assert.ok(waited >= 29 && waited < 1_000, `${waited}`);
  });
});

Deno.test("Readiness.wait() only looks when the time has passed", async () => {
  await withReadiness((readiness) => {
    readiness.watchLink(-1, true);
    const before = bootMilliseconds();
    for (let i = 0; i < 10; i++) readiness.wait(before - 5, before);
    assert.ok(bootMilliseconds() - before < 100);
  });
});

Deno.test("Readiness.wait() ends at a deadline that an earlier wait did not reach", async () => {
  await withReadiness((readiness, { control }) => {
    readiness.watchLink(-1, true);
    const before = bootMilliseconds();
    signalEventfd(control);
    readiness.wait(before + 60_000, before);
    assert.ok(readiness.hasControl);
    drainEventfd(control);
    readiness.wait(before + 40, before);
    assert.ok(bootMilliseconds() - before < 10_000);
    assert.ok(!readiness.hasControl);
  });
});

Deno.test("Readiness.arm() brings the end of a wait under way forward", async () => {
  await withReadiness(async (readiness) => {
    readiness.watchLink(-1, true);
    const before = bootMilliseconds();
    const wait = readiness.waitAsync(before + 60_000, before);
    readiness.arm(before + 30, before);
    await wait;
    assert.ok(bootMilliseconds() - before < 10_000);
  });
});

Deno.test("Readiness tells the descriptors apart", async () => {
  await withReadiness((readiness, { tun, control, udp }) => {
    readiness.watchLink(-1, true);
    readiness.watchNetwork(udp, -1);
    const look = (): string => {
      readiness.wait(0, 1);
      const { hasTunnel, hasControl, hasLinkNews, hasNetwork4, hasNetwork6 } = readiness;
      return [hasTunnel, hasControl, hasLinkNews, hasNetwork4, hasNetwork6].map(Number).join("");
    };
    assert.equal(look(), "00000");
    signalEventfd(tun);
    assert.equal(look(), "10000");
    signalEventfd(control);
    assert.equal(look(), "11000");
    readiness.ignoreTunnel();
    assert.equal(look(), "01000");
    readiness.watchLink(control, true);
    assert.equal(look(), "11100");
    readiness.watchNetwork(control, tun);
    assert.equal(look(), "11111");
  });
});

Deno.test("Readiness still tells what a wait has found after the same descriptors were named again", async () => {
  await withReadiness((readiness, { tun, control, udp }) => {
    readiness.watchLink(-1, true);
    readiness.watchNetwork(control, udp);
    signalEventfd(tun);
    signalEventfd(control);
    readiness.wait(0, 1);
    // As a look at the link does in the middle of every pass that has news of one.
    readiness.watchLink(-1, true);
    readiness.watchNetwork(control, udp);
    assert.ok(readiness.hasTunnel && readiness.hasNetwork4 && !readiness.hasNetwork6);
    readiness.watchNetwork(udp, control);
    assert.ok(!readiness.hasNetwork4 && !readiness.hasNetwork6);
  });
});

Deno.test("Readiness waits for the link to come up only while it is down", async () => {
  await withReadiness((readiness) => {
    readiness.watchLink(-1, false);
    readiness.wait(0, 1);
    assert.ok(readiness.hasTunnelNews);
    readiness.watchLink(-1, true);
    readiness.wait(0, 1);
    assert.ok(!readiness.hasTunnelNews && !readiness.hasTunnel);
  });
});

async function withReadiness(
  f: (readiness: Readiness, descriptors: Descriptors) => void | Promise<void>,
): Promise<void> {
  const descriptors = { tun: createEventfd(), control: createEventfd(), udp: openUdp(4, 0).fd };
  const readiness = new Readiness(descriptors.tun, descriptors.control);
  try {
    await f(readiness, descriptors);
  } finally {
    readiness.close();
    for (const fd of Object.values(descriptors)) close(fd);
  }
}
