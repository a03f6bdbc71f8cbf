/** What goes wrong while a tunnel comes up, or afterwards: the host must be as it was. */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { CULVERT_FILE, program } from "./implementation.ts";
import { exists, kill, must, readText, sleep, waitFor } from "./process.ts";
import { hasState, nameOf, QuickHost } from "./quick_host.ts";
import { netnsTest } from "./requirements.ts";

const NEEDS = [CULVERT_FILE, "nft", "bash"];

const ADDRESSES = "Address = 10.9.0.1/24, fd09::1/64";
const FULL = ["AllowedIPs = 0.0.0.0/0, ::/0", "Endpoint = 10.79.0.2:51820"];

netnsTest("culvert up undoes everything when a step fails", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const before = await quick.view();
  const faults: [readonly string[], readonly string[], RegExp][] = [
    [["PreUp = false"], FULL, /the hook "false" failed with exit code 1/],
    [["PostUp = true", "PostUp = exit 7"], FULL, /the hook "exit 7" failed with exit code 7/],
    [["PostUp = false; true"], FULL, /the hook "false; true" failed/],
    [["PostUp = kill -9 $$"], FULL, /was ended by SIGKILL/],
    [["PostUp = kill -TERM $PPID; sleep 5"], FULL, /interrupted by SIGTERM/],
    [["MTU = 10"], ["AllowedIPs = 10.0.0.0/8"], /MTU 10: /],
    [["Address = 10.9.0.1/24"], ["AllowedIPs = 10.0.0.0/8"], /address 10.9.0.1\/24.*EEXIST/],
    [["Table = nosuchtable"], ["AllowedIPs = 10.0.0.0/8"], /no routing table "nosuchtable"/],
    [[], ["AllowedIPs = 10.79.0.0/16, 10.80.0.0/16", "Endpoint = does-not-exist.invalid:1"], /does-not-exist.invalid/],
  ];
  for (const [lines, peer, reason] of faults) {
    const file = await quick.write([ADDRESSES, ...lines], [peer]);
    const { code, stderr } = await quick.run("culvert", ["up", file], { WG_ENDPOINT_RESOLUTION_RETRIES: "0" });
    equal(code, 1, stderr);
    match(stderr, reason);
    match(stderr, /\nculvert: [^\n]+\n$/);
    deepEqual(await quick.view(), before, stderr);
    deepEqual(await quick.processes(), [], stderr);
    equal(hasState(nameOf(file)), false, stderr);
    equal(exists(`/var/run/wireguard/${nameOf(file)}.sock`), false, stderr);
  }
});

netnsTest("culvert up refuses a bad file with its line, and changes nothing", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const before = await quick.view();
  const file = await quick.write([ADDRESSES, "Adress = 10.0.0.1"], [FULL]);
  const { code, stderr } = await quick.run("culvert", ["up", file]);
  equal(code, 1);
  match(stderr, /^culvert: \S+\.conf:4: Adress: Line unrecognized/);
  deepEqual(await quick.view(), before);
});

netnsTest("hooks run in order, each in a shell of its own, with the interface's name", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const log = `${quick.lab.folder}/hooks`;
  const say = (text: string): string => `echo "${text} #$(ip -o link show %i 2>/dev/null | wc -l)" >>${log}`;
  const lines = [
    `PreUp = x=1; ${say("preup %i")}`,
    `PostUp = ${say("postup [$x]")}`,
    `PostUp = [[ a == @(a|b) ]] && ${say("bash")}`,
    `PreDown = ${say("predown")}`,
    `PostDown = ${say("postdown")}`,
  ];
  const file = await quick.write([ADDRESSES, ...lines], [FULL]);
  await quick.must("culvert", ["up", file]);
  await quick.must("culvert", ["down", file]);
  const name = nameOf(file);
  equal(readText(log), `preup ${name} #1\npostup [] #1\nbash #1\npredown #1\npostdown #0\n`);
});

netnsTest("after kill -9 of the interface's process, cleanup restores the host", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const before = await quick.view();
  const file = await quick.write([ADDRESSES], [FULL]);
  const name = nameOf(file);
  await quick.must("culvert", ["up", file]);
  const refused = await quick.run("culvert", ["cleanup", name]);
  equal(refused.code, 1);
  match(refused.stderr, new RegExp(`${name} is up`));
  await killAll(quick);
  // The rules are still there; traffic goes out by the main table.
  equal((await quick.view()).rules.length > before.rules.length, true);
  await quick.must("culvert", ["cleanup", name]);
  deepEqual(await quick.view(), before);
  equal(hasState(name), false);
  equal(exists(`/var/run/wireguard/${name}.sock`), false);
  equal((await quick.run("culvert", ["cleanup", name])).code, 1);
});

netnsTest("after kill -9 a tunnel can be taken down, or brought up anew", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const before = await quick.view();
  const log = `${quick.lab.folder}/hooks`;
  const file = await quick.write([ADDRESSES, `PreDown = false`, `PostDown = echo down >>${log}`], [FULL]);
  const name = nameOf(file);
  await quick.must("culvert", ["up", file]);
  const running = await quick.view();
  await killAll(quick);
  await quick.must("culvert", ["up", file]);
  deepEqual(await quick.view(), running);
  await killAll(quick);
  await quick.must("culvert", ["down", name]);
  deepEqual(await quick.view(), before);
  equal(readText(log), "down\n");
});

netnsTest("after kill -9 of culvert up itself, at any step, down restores the host", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const before = await quick.view();
  for (const hook of ["PreUp", "PostUp"]) {
    const file = await quick.write([ADDRESSES, `${hook} = kill -9 $PPID`], [FULL]);
    equal((await quick.run("culvert", ["up", file])).code, 137);
    equal((await quick.processes()).length, 1);
    await quick.must("culvert", ["down", file]);
    deepEqual(await quick.view(), before, hook);
    deepEqual(await quick.processes(), []);
  }
});

netnsTest("whenever culvert up or down is killed, the next command restores the host", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const before = await quick.view();
  const file = await quick.write([ADDRESSES, "# @kill-switch = on"], [FULL]);
  const name = nameOf(file);
  const reached = new Set<string>();
  for (const verb of ["up", "down"]) {
    for (let delay = 100; delay < 900; delay += 60) {
      if (verb === "down") await quick.must("culvert", ["up", file]);
      await killAfter(quick, [verb, file], delay);
      reached.add(hasState(name) ? `${verb} ${stateOf(name).changes.length}` : `${verb} done or not begun`);
      if (hasState(name)) {
        const output = await quick.run("culvert", ["down", name]);
        equal(output.code, 0, `killed after ${delay} ms: ${output.stderr}`);
      }
      await quick.untilEnded(name);
      deepEqual(await quick.view(), before, `${verb} killed after ${delay} ms`);
      equal(hasState(name), false);
    }
  }
  // Else the delays do not suit this machine.
  equal(reached.size >= 4, true, [...reached].join());
}, 300_000);

netnsTest("cleanup without a name leaves alone what is up and what is not its own", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const { host } = quick;
  const dead = await quick.write([ADDRESSES], [FULL]);
  await quick.must("culvert", ["up", dead]);
  await killAll(quick);
  const alive = await quick.write(["Address = 10.10.0.1/24"], [FULL]);
  await quick.must("culvert", ["up", alive]);
  await host.must(["ip", "rule", "add", "not", "fwmark", "777", "table", "777"]);
  await host.nft(`table ip wg-quick-other {\n}\n`);
  await quick.must("culvert", ["cleanup"]);
  equal(hasState(nameOf(dead)), false);
  equal(hasState(nameOf(alive)), true);
  const rules = await host.must(["ip", "rule"]);
  equal(rules.match(/lookup 51820/g), null, rules);
  equal(rules.match(/lookup 51821/g)?.length, 1, rules);
  equal(rules.match(/suppress_prefixlength 0/g)?.length, 1, rules);
  equal(rules.match(/lookup 777/g)?.length, 1, rules);
  match(await host.must(["nft", "list", "tables"]), /wg-quick-other/);
  await quick.must("culvert", ["down", alive]);
  // Somebody's tunnel may still need it.
  equal((await quick.view()).srcValidMark, "1");
});

netnsTest("a tunnel is not taken down from another network namespace", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const file = await quick.write([ADDRESSES], [FULL]);
  await quick.must("culvert", ["up", file]);
  const view = await quick.view();
  const { code, stderr } = await quick.far.run([await program(), "down", file]);
  equal(code, 1);
  match(stderr, /in another network namespace/);
  deepEqual(await quick.view(), view);
  await quick.must("culvert", ["down", file]);
});

netnsTest("a tunnel whose interface a hook has moved away is taken down", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const before = await quick.view();
  const hook = `PostUp = ip link set %i netns ${quick.far.name}`;
  const file = await quick.write([ADDRESSES, hook], [["AllowedIPs = 10.44.0.0/16"]]);
  await quick.must("culvert", ["up", file]);
  match(await quick.far.must(["ip", "link"]), new RegExp(nameOf(file)));
  await quick.must("culvert", ["down", file]);
  await quick.untilEnded(nameOf(file));
  equal((await quick.far.must(["ip", "link"])).includes(nameOf(file)), false);
  deepEqual(await quick.view(), before);
});

netnsTest("two tunnels that come up at once claim different tables", NEEDS, async () => {
  await using quick = await QuickHost.open();
  const before = await quick.view();
  const files = [await quick.write([ADDRESSES], [FULL]), await quick.write(["Address = 10.10.0.1/24"], [FULL])];
  await Promise.all(files.map((file) => quick.must("culvert", ["up", file])));
  const marks = await Promise.all(files.map((file) => must(["wg", "show", nameOf(file), "fwmark"])));
  deepEqual(marks.sort(), ["0xca6c\n", "0xca6d\n"]);
  await Promise.all(files.map((file) => quick.must("culvert", ["down", file])));
  deepEqual(await quick.view(), before);
});

/** Starts a command and kills it in the middle, if it is not faster. */
async function killAfter(quick: QuickHost, words: readonly string[], delay: number): Promise<void> {
  const command = quick.host.spawn([await program(), ...words]);
  await sleep(delay);
  kill(command.pid, "SIGKILL");
  await waitFor("its end", () => command.exited);
}

function stateOf(name: string): { changes: unknown[] } {
  return JSON.parse(readText(`/run/culvert/${name}.json`));
}

async function killAll(quick: QuickHost): Promise<void> {
  for (const pid of await quick.processes()) kill(pid, "SIGKILL");
  await waitFor("the processes to end", async () => (await quick.processes()).length === 0);
}
