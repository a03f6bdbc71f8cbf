import assert from "node:assert/strict";
import { libc } from "../ffi/libc.ts";
import { interfaceIndex } from "./interface_index.ts";
import { interfaceName } from "./interface_name.ts";

const ignore = Deno.build.os !== "linux";
// Opened once and for good: within a test it would count as a leak.
if (!ignore) libc();

Deno.test("interfaceName() is the opposite of interfaceIndex()", { ignore }, () => {
  const index = interfaceIndex("lo");
  assert.ok(index !== null);
  assert.equal(interfaceName(index), "lo");
  assert.equal(interfaceName(0x7fffffff), null);
});
