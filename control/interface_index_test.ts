import assert from "node:assert/strict";
import { libc } from "../ffi/libc.ts";
import { interfaceIndex } from "./interface_index.ts";

const ignore = Deno.build.os !== "linux";
// Opened once and for good: within a test it would count as a leak.
if (!ignore) libc();

Deno.test({
  name: "interfaceIndex() finds the loopback device and no other name",
  ignore,
  fn: () => {
    assert.equal(interfaceIndex("lo"), 1);
    for (const name of ["", "no-such-device", "lo\0", "a name that is far too long", "lo "]) {
      assert.equal(interfaceIndex(name), null, name);
    }
  },
});
