/** What a process that holds keys lets others see of it, and that root can still look into it. */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { Daemon } from "./daemon.ts";
import { culvert, CULVERT_BATCH, CULVERT_FILE, type Implementation } from "./implementation.ts";
import { Lab } from "./lab.ts";
import { must, readText } from "./process.ts";
import { netnsTest } from "./requirements.ts";

/** A group that nothing else on a host has. */
const GROUP = 47_613;

/**
 * Files of a process in /proc belong to its user and group if its memory may be dumped and traced by them, and to root
 * if not: so the group tells.
 */
netnsTest("the interface's process is not dumpable, gains no privileges, and names its threads", [
  CULVERT_FILE,
  "setpriv",
], async () => {
  await using lab = new Lab();
  const host = await lab.host();
  const daemon = await Daemon.foreground(host, inGroup(culvert("--threads", "2")));
  const status = readText(`/proc/${daemon.pid}/status`);
  equal(status.match(/^Gid:\s+(\d+)/m)?.[1], `${GROUP}`);
  deepEqual([Deno.statSync(`/proc/${daemon.pid}/environ`).gid, Deno.statSync(`/proc/${daemon.pid}/mem`).gid], [0, 0]);
  match(status, /^NoNewPrivs:\s+1$/m);
  match(status, new RegExp(`^Name:\\s+${`culvert ${daemon.interfaceName}`.slice(0, 15)}$`, "m"));
  const names = threads(daemon.pid);
  for (const name of ["packets/0", "packets/1"]) equal(names.includes(name), true, names.join());
  // A process of the same user and group that has not done so shows what would be seen else.
  const other = host.spawn(["setpriv", "--regid", `${GROUP}`, "--clear-groups", "sleep", "30"]);
  while (!readText(`/proc/${other.pid}/cmdline`).startsWith("sleep")) await new Promise((go) => setTimeout(go, 10));
  equal(Deno.statSync(`/proc/${other.pid}/environ`).gid, GROUP);
});

netnsTest("root can still sample the interface's process with perf", [CULVERT_FILE, "perf"], async () => {
  await using lab = new Lab();
  const host = await lab.host();
  const daemon = await Daemon.foreground(host, CULVERT_BATCH);
  const file = `${lab.folder}/perf.data`;
  await must(["perf", "record", "-q", "-F", "99", "-p", `${daemon.pid}`, "-o", file, "--", "sleep", "0.5"]);
  equal(Deno.statSync(file).size > 0, true);
  match(readText(`/proc/${daemon.pid}/maps`), /deno|culvert/);
});

function inGroup(implementation: Implementation): Implementation {
  const words = ["setpriv", "--regid", `${GROUP}`, "--clear-groups"];
  return { ...implementation, command: async () => [...words, ...await implementation.command()] };
}

function threads(pid: number): string[] {
  const folder = `/proc/${pid}/task`;
  return [...Deno.readDirSync(folder)].map(({ name }) => readText(`${folder}/${name}/comm`).trim());
}
