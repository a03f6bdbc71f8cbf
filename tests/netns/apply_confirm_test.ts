/** `culvert apply --confirm`: whatever becomes of the command and its terminal, the change goes or stays as it should. */

import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { ApplyHost, differing, type TunnelView, type Version } from "./apply_host.ts";
import { CULVERT_FILE, program } from "./implementation.ts";
import { type Background, exists, kill, readText, sleep, waitFor } from "./process.ts";
import { hasState } from "./quick_host.ts";
import { netnsTest } from "./requirements.ts";

const NEEDS = [CULVERT_FILE, "nft", "bash"];

const PSK = "5Z7m8Cl0WWL5vCwYxLbBE0/bn3BPMZdcUUzxGPjSCGw=";
const ENDPOINT = "Endpoint = 10.79.0.2:51820";
const FORMER: Version = {
  interface: ["ListenPort = 51999", "Address = 10.9.0.1/24, fd09::1/64"],
  peers: { 0: ["AllowedIPs = 10.44.0.0/16", ENDPOINT, `PresharedKey = ${PSK}`], 1: ["AllowedIPs = 10.45.0.0/16"] },
};
/** The operator who came by 10.44.0.0/16 is locked out by this. */
const CHANGED: Version = {
  interface: ["ListenPort = 52000", "Address = 10.9.0.1/24, fd09::1/64", "# @kill-switch = on"],
  peers: { 0: ["AllowedIPs = 0.0.0.0/0, ::/0", ENDPOINT], 2: ["AllowedIPs = 10.46.0.0/16"] },
};

netnsTest("apply --confirm is taken back after kill -9 of the command", NEEDS, async () => {
  await using host = await ApplyHost.open();
  const before = await host.view();
  const { command, former } = await begin(host, 3);
  kill(command.pid, "SIGKILL");
  const trial = readText(host.trialFile);
  ok(trial.includes(PSK));
  equal((Deno.statSync(host.trialFile).mode ?? 0) & 0o777, 0o600);
  const second = await host.run("apply", host.file);
  equal(second.code, 1);
  match(second.stderr, /^culvert: a change of \S+ waits to be confirmed; let it stay with: culvert confirm \S+\n$/);
  await untilViewed(host, former);
  await waitFor("the trial's end", () => !host.isOnTrial);
  await untilAlone(host);
  const late = await host.run("confirm", host.name);
  equal(late.stderr, `culvert: no change of ${host.name} waits to be confirmed\n`);
  await host.down();
  deepEqual(await host.view(), before);
});

netnsTest("apply --confirm stays when it is confirmed from elsewhere", NEEDS, async () => {
  await using host = await ApplyHost.open();
  const { command, changed } = await begin(host, 4);
  equal((await host.run("confirm", host.name)).code, 0);
  equal(await command.end(), 0);
  match(command.output(), /the change stays\n$/);
  await untilAlone(host);
  await sleep(4_500);
  deepEqual(await host.view(), changed);
  equal(host.isOnTrial, false);
  await host.down();
  equal(hasState(host.name), false);
});

netnsTest("apply --confirm stays when Enter is pressed at the terminal", [...NEEDS, "script"], async () => {
  await using host = await ApplyHost.open();
  await host.up(FORMER);
  await host.write(CHANGED);
  const line = `${await program()} apply ${host.file} --confirm 20`;
  // script gives the command a terminal.
  const shell = `(until [ -e ${host.trialFile} ] && grep -q '"waiting"' ${host.trialFile}; do sleep 0.1; done; sleep 0.5
    echo) | env -u NO_COLOR script -qec '${line}' /dev/null`;
  const { code, stdout } = await host.quick.host.run(["bash", "-c", shell], { timeout: 40_000 });
  equal(code, 0, stdout);
  match(stdout, /press Enter[^]*the change stays/);
  ok(stdout.includes("\x1b[32m+ "), stdout);
  equal(host.isOnTrial, false);
  equal(await host.apply(CHANGED), `${host.name}: nothing to do\n`);
});

netnsTest("apply --confirm is taken back when the terminal is gone", [...NEEDS, "script"], async () => {
  await using host = await ApplyHost.open();
  await host.up(FORMER);
  const former = await host.view();
  await host.write(CHANGED);
  const line = `${await program()} apply ${host.file} --confirm 3`;
  const terminal = host.quick.host.spawn(["bash", "-c", `sleep 60 | script -qec '${line}' /dev/null`]);
  await waitFor("the change", () => host.isOnTrial && readText(host.trialFile).includes('"waiting"'), 20_000);
  equal(JSON.stringify(await host.view()) === JSON.stringify(former), false);
  // With script goes the terminal, and the command gets its SIGHUP.
  for (const pid of await pidsOf(host, "script")) kill(pid, "SIGKILL");
  await untilViewed(host, former);
  await terminal[Symbol.asyncDispose]();
  await waitFor("the trial's end", () => !host.isOnTrial);
});

netnsTest("apply --confirm is taken back when its time is over, or at once by an interrupt", NEEDS, async () => {
  await using host = await ApplyHost.open();
  for (const [seconds, signal] of [[2, null], [600, "SIGINT"]] as const) {
    const { command, former } = await begin(host, seconds);
    if (signal !== null) kill(command.pid, signal);
    equal(await command.end(), 1);
    match(command.output(), new RegExp(`not confirmed: ${host.name} is what it was before\n$`));
    const view = await host.view();
    deepEqual(view, former, differing(view, former));
    equal(host.isOnTrial, false);
    await untilAlone(host);
    await host.down();
  }
});

netnsTest("apply --confirm is taken back at once when the command is killed in the middle", NEEDS, async () => {
  await using host = await ApplyHost.open();
  await host.up(FORMER);
  const former = await host.view();
  // Name servers are set when the interface is changed already; this takes its time over it.
  const folder = `${host.quick.lab.folder}/bin`;
  await Deno.mkdir(folder);
  const called = `${folder}/called`;
  const slow = `#!/bin/sh\ncat >/dev/null\n[ "$1" = -d ] && exit 0\ntouch ${called}\nsleep 30\n`;
  await Deno.writeTextFile(`${folder}/resolvconf`, slow, { mode: 0o755 });
  await host.write({ ...CHANGED, interface: [...CHANGED.interface, "DNS = 10.9.0.53"] });
  const words = [await program(), "apply", host.file, "--confirm", "600"];
  const command = host.quick.host.spawn(words, { PATH: `${folder}:${Deno.env.get("PATH")}` });
  await waitFor("the middle", () => exists(called), 20_000);
  kill(command.pid, "SIGKILL");
  await untilViewed(host, former);
  await waitFor("the trial's end", () => !host.isOnTrial);
  equal(await host.apply(FORMER), `${host.name}: nothing to do\n`);
});

netnsTest("down ends a trial with the tunnel", NEEDS, async () => {
  await using host = await ApplyHost.open();
  const before = await host.view();
  const { command } = await begin(host, 3);
  await host.quick.must("culvert", ["down", host.file]);
  equal(host.isOnTrial, false);
  await command.end();
  await host.quick.untilEnded(host.name);
  deepEqual(await host.view(), before);
});

/** Brings the tunnel up, and applies the change on trial. @returns when it waits */
async function begin(
  host: ApplyHost,
  seconds: number,
): Promise<{ command: Background; former: TunnelView; changed: TunnelView }> {
  await host.up(FORMER);
  const former = await host.view();
  await host.write(CHANGED);
  const command = host.quick.host.spawn([await program(), "apply", host.file, "--confirm", `${seconds}`]);
  await waitFor("the change to wait", () => command.output().includes(`culvert confirm ${host.name}`), 20_000);
  const changed = await host.view();
  equal(JSON.stringify(changed) === JSON.stringify(former), false);
  return { command, former, changed };
}

async function untilViewed(host: ApplyHost, wanted: TunnelView): Promise<void> {
  const text = JSON.stringify(wanted);
  await waitFor("the former state", async () => JSON.stringify(await host.view()) === text, 10_000, 100);
}

/** Waits until no process of culvert is left but the interface's. */
async function untilAlone(host: ApplyHost): Promise<void> {
  await waitFor("the other processes to end", async () => (await host.quick.processes()).length === 1);
}

async function pidsOf(host: ApplyHost, name: string): Promise<number[]> {
  return (await host.quick.processes()).filter((pid) => readText(`/proc/${pid}/comm`).trim() === name);
}
