/** `up --foreground`: the tunnel outlives its process, and ends with the command. */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { CULVERT_FILE, program } from "./implementation.ts";
import { kill, readText, sleep, waitFor } from "./process.ts";
import type { Background } from "./process.ts";
import { hasState, nameOf, QuickHost } from "./quick_host.ts";
import { netnsTest } from "./requirements.ts";

const NEEDS = [CULVERT_FILE, "nft", "ping"];

const ADDRESSES = "Address = 10.9.0.1/24, fd09::1/64";
const FULL = ["AllowedIPs = 0.0.0.0/0, ::/0", "Endpoint = 10.79.0.2:51820"];
/** The process's start and all steps; the rest is for a busy machine. */
const LONGEST_OUTAGE = 15_000;

netnsTest(
  "after kill -9 the tunnel is back by itself, with its hooks, and nothing leaked meanwhile",
  NEEDS,
  async () => {
    await using quick = await QuickHost.open();
    const before = await quick.view();
    const hooks = `${quick.lab.folder}/hooks`;
    const lines = ["PostUp", "PreDown", "PostDown"].map((key) => `${key} = echo ${key} >>${hooks}`);
    const file = await quick.write([ADDRESSES, "# @kill-switch = on", ...lines], [FULL]);
    const name = nameOf(file);
    const up = await bringUp(quick, file);
    const running = withoutCounters(await quick.view());
    await watchRouter(quick);
    // Everything tries to get out, all the time.
    const pings = ["10.79.0.2", "10.78.0.2", "fd00:79::2"].map((address) =>
      quick.host.spawn(["ping", "-n", "-q", "-i", "0.02", address])
    );
    for (let round = 0; round < 2; round++) {
      const victim = await interfaceProcess(quick, name);
      kill(victim, "SIGKILL");
      await waitFor("another process", async () => {
        const next = await interfaceProcessOrNull(quick, name);
        return next !== null && next !== victim && isReady(name);
      }, LONGEST_OUTAGE);
      deepEqual(withoutCounters(await quick.view()), running);
    }
    equal(await quick.router.counted("leaks"), 0);
    for (const ping of pings) await ping[Symbol.asyncDispose]();

    up.signal("SIGTERM");
    equal(await up.end(), 0, up.output());
    match(up.output(), /ended by SIGKILL/);
    deepEqual(await quick.view(), before);
    deepEqual(await quick.processes(), []);
    equal(hasState(name), false);
    const restart = ["PreDown", "PostDown", "PostUp"];
    equal(readText(hooks), ["PostUp", ...restart, ...restart, "PreDown", "PostDown", ""].join("\n"));
  },
);

netnsTest("up --foreground ends with a down elsewhere, and with the interface", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const before = await quick.view();
  const file = await quick.write([ADDRESSES], [FULL]);
  const up = await bringUp(quick, file);
  await quick.must("culvert", ["down", file]);
  equal(await up.end(), 0, up.output());
  deepEqual(await quick.view(), before);

  const again = await bringUp(quick, file);
  await quick.host.must(["ip", "link", "delete", nameOf(file)]);
  equal(await again.end(), 0, again.output());
  deepEqual(await quick.view(), before);
  equal(hasState(nameOf(file)), false);
});

netnsTest("up --foreground gives up a tunnel that dies again and again, behind its kill switch", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const before = await quick.view();
  const file = await quick.write([ADDRESSES, "# @kill-switch = on"], [FULL]);
  const up = await bringUp(quick, file);
  // From now on every start fails.
  await Deno.writeTextFile(file, `${await Deno.readTextFile(file)}[Interface]\nPostUp = false\n`);
  kill(await interfaceProcess(quick, nameOf(file)), "SIGKILL");
  equal(await up.end(60_000), 1);
  equal(up.output().match(/the hook "false" failed/g)!.length >= 5, true, up.output());
  match(up.output(), /ends again and again.*; the kill switch stays on until: culvert cleanup/);
  match(await quick.host.must(["nft", "list", "tables"]), /culvert-kill-switch/);
  await quick.must("culvert", ["cleanup", nameOf(file)]);
  deepEqual(await quick.view(), before);
});

netnsTest("up --foreground that cannot come up ends at once, as up does", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const before = await quick.view();
  const file = await quick.write([ADDRESSES, "PostUp = false"], [FULL]);
  const { code, stderr } = await quick.run("culvert", ["up", "-f", file]);
  equal(code, 1);
  match(stderr, /the hook "false" failed/);
  deepEqual(await quick.view(), before);
});

netnsTest(
  "up --foreground tells systemd when the tunnel is up, and is stopped in the middle of a restart",
  NEEDS,
  async () => {
    await using quick = await QuickHost.open();
    const before = await quick.view();
    const file = await quick.write([ADDRESSES, "# @kill-switch = on", "PostUp = sleep 0.5"], [FULL]);
    const path = `${quick.lab.folder}/notify`;
    const manager = Deno.listenDatagram({ transport: "unixpacket", path });
    quick.lab.defer(() => Promise.resolve(manager.close()));
    const said = async (): Promise<string> => new TextDecoder().decode((await manager.receive())[0]);
    const up = await bringUp(quick, file, { NOTIFY_SOCKET: path });
    equal(await said(), "READY=1");
    kill(await interfaceProcess(quick, nameOf(file)), "SIGKILL");
    await waitFor("the restart", () => up.output().includes("again"));
    await sleep(150);
    up.signal("SIGTERM");
    equal(await up.end(), 0, up.output());
    equal(await said(), "STOPPING=1");
    deepEqual(await quick.view(), before);
    deepEqual(await quick.processes(), []);
    equal(hasState(nameOf(file)), false);
  },
);

/** Starts the command and waits until the tunnel is up. */
async function bringUp(quick: QuickHost, file: string, env: Record<string, string> = {}): Promise<Background> {
  const up = quick.host.spawn([await program(), "up", "-f", file], { LOG_LEVEL: "", ...env });
  await waitFor("the tunnel", () => {
    if (up.exited) throw new Error(up.output());
    return isReady(nameOf(file));
  }, LONGEST_OUTAGE);
  return up;
}

/** All steps are done. */
function isReady(name: string): boolean {
  const state = readText(`/run/culvert/${name}.json`);
  return state !== "" && JSON.parse(state).worker === null && state.includes('"link"');
}

async function interfaceProcess(quick: QuickHost, name: string): Promise<number> {
  return await waitFor("the interface's process", () => interfaceProcessOrNull(quick, name));
}

async function interfaceProcessOrNull(quick: QuickHost, name: string): Promise<number | null> {
  const found = (await quick.processes()).find((pid) => readText(`/proc/${pid}/cmdline`).endsWith(`\0--\0${name}\0`));
  return found ?? null;
}

/** Counts what arrives from the host beside WireGuard and neighbour discovery. */
async function watchRouter(quick: QuickHost): Promise<void> {
  const device = JSON.parse(await quick.router.must(["ip", "-j", "link"]))
    .find(({ ifname }: { ifname: string }) => ifname.startsWith("v78-")).ifname;
  await quick.router.nft(`table inet leaks {
  chain seen {
    type filter hook prerouting priority -310
    iifname != "${device}" return
    ip daddr 10.79.0.2 udp dport 51820 accept
    icmpv6 type { 133, 135, 136 } accept
    counter comment "leaks"
  }
}
`);
}

function withoutCounters(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (key, child) => key === "counter" ? null : child));
}
