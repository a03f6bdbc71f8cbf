import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { addressesOf, formerNameServers, otherRecords } from "./name_servers.ts";
import type { HostState, SavedFile } from "./state.ts";

const SERVER6 = Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x35);

Deno.test("addressesOf() reads the name servers of a resolv.conf", () => {
  const text =
    "# nameserver 1.1.1.1\nnameserver 192.0.2.1\n nameserver\t2001:db8::35\nnameserver fe80::1%eth0\nsearch x\n";
  assert.deepEqual(addressesOf(text), [Uint8Array.of(192, 0, 2, 1), SERVER6]);
});

Deno.test("formerNameServers() tells those before the tunnel, without the host's own", () => {
  const file = (text: string): SavedFile => ({ kind: "file", content: Buffer.from(text).toString("base64") });
  const before = file("nameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver ::1\nnameserver 2001:db8::35\n");
  assert.deepEqual(formerNameServers(stateOf(before)), [Uint8Array.of(192, 0, 2, 1), SERVER6]);
});

Deno.test("formerNameServers() follows the link that was in the file's place", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/real`, "nameserver 192.0.2.7\n");
    const state = stateOf({ kind: "link", target: "real" }, `${folder}/resolv.conf`);
    assert.deepEqual(formerNameServers(state), [Uint8Array.of(192, 0, 2, 7)]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("otherRecords() leaves the tunnel's own out, and minds no folder that is not there", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/eth0.dhcp`, "nameserver 192.0.2.7\n");
    await Deno.writeTextFile(`${folder}/tun.wg0`, "nameserver 10.9.0.53\n");
    const text = otherRecords("tun.wg0", [folder, `${folder}/none`]);
    assert.deepEqual(addressesOf(text), [Uint8Array.of(192, 0, 2, 7)]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

function stateOf(before: SavedFile, path = "/etc/resolv.conf"): HostState {
  return {
    version: 1,
    name: "wg0",
    place: { boot: "", namespace: 0 },
    file: "",
    mark: 0,
    endpoints: {},
    port: 0,
    worker: null,
    applied: null,
    changes: [{ kind: "resolv.conf", path, before, after: "" }],
  };
}
