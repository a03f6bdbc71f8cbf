import assert from "node:assert/strict";
import { type Environment, readEnvironment } from "./environment.ts";

Deno.test("readEnvironment() of nothing asks for the background and errors only", () => {
  assert.deepEqual(read({}), {
    foreground: false,
    logLevel: "error",
    keepsLog: false,
    tunFd: null,
    uapiFd: null,
    detached: false,
    calledByProgram: false,
  });
});

Deno.test("readEnvironment() knows wireguard-go's log levels", () => {
  const levels = { verbose: "debug", debug: "debug", error: "error", silent: "silent", info: "error", DEBUG: "error" };
  for (const [text, level] of Object.entries(levels)) assert.equal(read({ LOG_LEVEL: text }).logLevel, level, text);
});

Deno.test("readEnvironment() keeps stderr for a log that somebody wants", () => {
  assert.ok(read({ LOG_LEVEL: "error" }).keepsLog);
  assert.ok(read({ LOG_LEVEL: "debug" }).keepsLog);
  assert.ok(!read({ LOG_LEVEL: "silent" }).keepsLog);
  assert.ok(!read({ LOG_LEVEL: "" }).keepsLog);
});

Deno.test("readEnvironment() takes only 1 for the foreground", () => {
  assert.ok(read({ WG_PROCESS_FOREGROUND: "1" }).foreground);
  for (const text of ["0", "", "true"]) assert.ok(!read({ WG_PROCESS_FOREGROUND: text }).foreground);
});

Deno.test("readEnvironment() reads descriptors and refuses anything else", () => {
  const environment = read({ WG_TUN_FD: "3", WG_UAPI_FD: "4" });
  assert.equal(environment.tunFd, 3);
  assert.equal(environment.uapiFd, 4);
  assert.ok(environment.calledByProgram);
  for (const text of ["-1", "3.5", "x", "3 ", "99999999999"]) {
    assert.throws(() => read({ WG_TUN_FD: text }), { name: "UsageError", message: /WG_TUN_FD/ });
  }
});

Deno.test("readEnvironment() notices wg-quick", () => {
  assert.ok(read({ WG_QUICK_USERSPACE_IMPLEMENTATION: "culvert" }).calledByProgram);
});

function read(variables: Record<string, string>): Environment {
  return readEnvironment((name) => variables[name]);
}
