import assert from "node:assert/strict";
import "./testing.ts";
import { checked, EBADF, EBUSY, errnoName, SyscallError } from "./errno.ts";
import { errno, libc } from "./libc.ts";

Deno.test("libc() is the same at every call", () => {
  assert.equal(libc(), libc());
});

Deno.test("errno() tells why the last call failed", () => {
  assert.equal(libc().close(-1), -1);
  assert.equal(errno(), EBADF);
});

Deno.test("errno() stays right once calls are optimised", () => {
  const nothing = new Uint8Array(8);
  let wrong = 0;
  for (let i = 0; i < 100_000; i++) {
    if (libc().read(-1, nothing, 8) !== -1 || errno() !== EBADF) wrong++;
  }
  assert.equal(wrong, 0);
});

Deno.test("errno() is of the calling thread", async () => {
  const source = `
    import { errno } from ${JSON.stringify(import.meta.resolve("./libc.ts"))};
    import { openNamespace } from ${JSON.stringify(import.meta.resolve("./namespace.ts"))};
    try { openNamespace("/nowhere"); } catch (error) { self.postMessage([errno(), error.errno]); }`;
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  libc().close(-1);
  const worker = new Worker(url, { type: "module" });
  try {
    const found = await new Promise((resolve) => worker.onmessage = (event) => resolve(event.data));
    assert.deepEqual(found, [2, 2]);
    assert.equal(errno(), EBADF);
  } finally {
    worker.terminate();
    URL.revokeObjectURL(url);
  }
});

Deno.test("checked() throws a SyscallError that names call, number and meaning", () => {
  assert.throws(() => checked("close nothing", libc().close(-1)), (error) => {
    assert.ok(error instanceof SyscallError);
    assert.equal(error.errno, EBADF);
    assert.equal(error.code, "EBADF");
    assert.equal(error.call, "close nothing");
    assert.equal(error.message, "close nothing: not an open descriptor (EBADF)");
    return true;
  });
  assert.equal(checked("getpid", libc().getpid()), Deno.pid);
});

Deno.test("errnoName() knows names, and numbers without one", () => {
  assert.equal(errnoName(EBUSY), "EBUSY");
  assert.equal(errnoName(4095), "E4095");
});

Deno.test("SyscallError takes the kernel's own words", () => {
  assert.equal(new SyscallError("set mtu", 22, "too large").message, "set mtu: too large (EINVAL)");
  assert.equal(new SyscallError("set mtu", 4095).message, "set mtu: system call failed (E4095)");
});
