import assert from "node:assert/strict";
import { libc } from "../ffi/libc.ts";
import { emptyChange } from "./device_change.ts";
import { changeInterface, listAllInterfaces, readInterface } from "./interface_client.ts";

const ignore = Deno.build.os !== "linux";
// Opened once and for good: within a test it would count as a leak.
if (!ignore) libc();
const ENODEV = 19;
const EOPNOTSUPP = 95;

Deno.test("readInterface() tells an interface that is not there from one of another kind", { ignore }, async () => {
  for (const name of ["cv-nosuch", "", "a/b", "..", "a-name-too-long-"]) {
    await assert.rejects(readInterface(name), { name: "InterfaceError", errno: ENODEV }, name);
    await assert.rejects(changeInterface(name, emptyChange()), { name: "InterfaceError", errno: ENODEV }, name);
  }
  await assert.rejects(readInterface("lo"), { name: "InterfaceError", errno: EOPNOTSUPP });
});

Deno.test(
  "listAllInterfaces() is in alphabetical order and names no interface of another kind",
  { ignore },
  async () => {
    const names = await listAllInterfaces();
    assert.deepEqual(names, [...names].sort());
    assert.ok(!names.includes("lo"));
  },
);
