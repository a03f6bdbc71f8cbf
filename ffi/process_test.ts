import assert from "node:assert/strict";
import { ESRCH, SyscallError } from "./errno.ts";
import { readTextFile } from "./file.ts";
import { geteuid, getpid, getppid, kill, setThreadName, umask } from "./process.ts";
import { runScript } from "./testing.ts";

/** Runs lines that know process.ts as `p`, in a process of their own. */
async function run(lines: string): Promise<{ code: number; output: string }> {
  return await runScript(`import * as p from "FFI/process.ts";\n${lines}`);
}

Deno.test("getpid(), getppid() and geteuid() agree with Deno", () => {
  assert.equal(getpid(), Deno.pid);
  assert.equal(getppid(), Deno.ppid);
  assert.equal(geteuid(), Deno.uid());
});

Deno.test("umask() returns the mask before", () => {
  const before = umask(0o077);
  assert.equal(umask(before), 0o077);
  assert.equal(umask(before), before);
});

Deno.test("kill() asks for a process and tells when there is none", () => {
  kill(Deno.pid, 0);
  assert.throws(() => kill(0x3fff_ffff, 0), (error) => error instanceof SyscallError && error.errno === ESRCH);
});

Deno.test("setThreadName() names the calling thread", () => {
  const before = readTextFile("/proc/thread-self/comm").trim();
  try {
    setThreadName("culvert test");
    assert.equal(readTextFile("/proc/thread-self/comm").trim(), "culvert test");
  } finally {
    setThreadName(before);
  }
});

Deno.test("setsid() makes the process a session leader, once", async () => {
  const { code, output } = await run(`
    p.setsid();
    const session = () => Deno.readTextFileSync("/proc/self/stat").split(") ")[1].split(" ")[3];
    console.log(session() === String(Deno.pid));
    try { p.setsid(); } catch (error) { console.log(error.code); }`);
  assert.equal(output, "true\nEPERM\n");
  assert.equal(code, 0);
});

Deno.test("setDumpable() and setNoNewPrivileges() take effect", async () => {
  const { output } = await run(`
    import { libc } from "FFI/libc.ts";
    const PR_GET_DUMPABLE = 3;
    const isDumpable = () => libc().prctl(PR_GET_DUMPABLE, 0n, 0n, 0n, 0n);
    const before = isDumpable();
    p.setDumpable(false);
    console.log(before, isDumpable());
    p.setNoNewPrivileges();
    console.log(Deno.readTextFileSync("/proc/thread-self/status").match(/NoNewPrivs:\\s+(\\d)/)![1]);`);
  assert.equal(output, "1 0\n1\n");
});

Deno.test("execve() replaces the process and passes arguments and environment", async () => {
  const { code, output } = await run(`
    p.execve("/bin/sh", ["sh", "-c", 'echo "$1 $GREETING $$"; exit 7', "sh", "a b"], ["GREETING=héllo"]);`);
  assert.match(output, /^a b héllo \d+\n$/);
  assert.equal(code, 7);
});

Deno.test("execve() of nothing throws", async () => {
  const { output } = await run(`
    try { p.execve("/nowhere", ["x"], []); } catch (error) { console.log(error.message); }`);
  assert.equal(output, "execve /nowhere: does not exist (ENOENT)\n");
});
