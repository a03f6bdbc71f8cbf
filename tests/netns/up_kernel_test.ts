/** `up --kernel`: with the kernel's WireGuard where it is, and in one line where it is not. */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { CULVERT_FILE } from "./implementation.ts";
import { must, run } from "./process.ts";
import { hasState, nameOf, QuickHost } from "./quick_host.ts";
import { missing, netnsTest } from "./requirements.ts";

const NEEDS = [CULVERT_FILE, "nft"];

const ADDRESSES = "Address = 10.9.0.1/24, fd09::1/64";
const FULL = ["AllowedIPs = 0.0.0.0/0, ::/0", "Endpoint = 10.79.0.2:51820"];

const hasModule = missing([]) === null && await hasKernelWireGuard();

if (hasModule) {
  netnsTest(
    "culvert up --kernel is undone to the last trace, and knows its tunnel from one that died",
    NEEDS,
    async () => {
      await using quick = await QuickHost.open();
      const before = await quick.view();
      const file = await quick.write([ADDRESSES, "# @kill-switch = on"], [FULL]);
      const name = nameOf(file);
      match((await quick.must("culvert", ["up", "--kernel", file])).stderr, /without reasons for drops/);
      deepEqual(await quick.processes(), []);
      match(await quick.host.must(["ip", "-d", "link", "show", name]), /wireguard/);
      equal((await quick.run("culvert", ["cleanup", name])).code, 1);
      await quick.must("culvert", ["cleanup"]);
      equal(hasState(name), true);
      await quick.must("culvert", ["save", file]);
      await quick.must("culvert", ["down", file]);
      deepEqual(await quick.view(), before);
    },
  );
} else {
  netnsTest("culvert up --kernel without the module says so in one line, with everything undone", NEEDS, async () => {
    await using quick = await QuickHost.open();
    const before = await quick.view();
    const file = await quick.write([ADDRESSES, "# @kill-switch = on", "PreUp = echo never"], [FULL]);
    const { code, stderr } = await quick.run("culvert", ["up", "--kernel", file]);
    equal(code, 1);
    match(stderr, /without reasons for drops/);
    match(
      stderr,
      /\nculvert: this kernel has no WireGuard; load it with: modprobe wireguard, or leave --kernel out\n$/,
    );
    equal(stderr.includes("never"), false);
    deepEqual(await quick.view(), before);
    deepEqual(await quick.processes(), []);
    equal(hasState(nameOf(file)), false);
    // What it has not done does not stand in the way.
    await quick.must("culvert", ["up", file]);
    await quick.must("culvert", ["down", file]);
    deepEqual(await quick.view(), before);
  });
}

async function hasKernelWireGuard(): Promise<boolean> {
  const namespace = `culvert-probe-${Deno.pid}`;
  await must(["ip", "netns", "add", namespace]);
  try {
    return (await run(["ip", "-n", namespace, "link", "add", "wg0", "type", "wireguard"])).code === 0;
  } finally {
    await must(["ip", "netns", "delete", namespace]);
  }
}
