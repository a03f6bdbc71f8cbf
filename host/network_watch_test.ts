import assert from "node:assert/strict";
import { rootTest, runScript } from "../ffi/testing.ts";

/** A process in a namespace of its own; `tell` prints how often a watch has told of a change since the last time. */
const SCENE = `
import { createNamespace, setns } from "FFI/namespace.ts";
import { addAddress, deleteAddress } from "FFI/address.ts";
import { getLink, setLinkDown, setLinkMtu, setLinkUp } from "FFI/link.ts";
import { openNetlink } from "FFI/netlink.ts";
import { openTun } from "FFI/tun.ts";
import { NetworkWatch } from "FFI/../host/network_watch.ts";

setns(createNamespace());
const netlink = openNetlink();
const [own, other] = ["own0", "other0"].map((name) => (openTun(name), getLink(netlink, name)!.index));
for (const index of [own, other]) setLinkUp(netlink, index);
let changes = 0;
const watch = new NetworkWatch("own0", () => changes++);
async function tell(what: string): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 450));
  console.log(what, changes);
  changes = 0;
}
const ADDRESS = Uint8Array.of(192, 0, 2, 1);
`;

rootTest("NetworkWatch tells of addresses, routes and links of others, together and once", async () => {
  const { code, output } = await runScript(`${SCENE}
await tell("nothing");
addAddress(netlink, other, ADDRESS, 24);
await tell("an address and its route");
setLinkMtu(netlink, other, 1300);
await tell("an MTU");
deleteAddress(netlink, other, ADDRESS, 24);
await tell("no address");
setLinkDown(netlink, other);
await tell("a link that is down");
await watch.close();
setLinkUp(netlink, other);
await tell("after the end");
Deno.exit(0);
`);
  assert.equal(code, 0, output);
  assert.equal(
    output,
    "nothing 0\nan address and its route 1\nan MTU 0\nno address 1\na link that is down 1\nafter the end 0\n",
  );
});

rootTest("NetworkWatch does not mind what happens to its own interface", async () => {
  const { code, output } = await runScript(`${SCENE}
addAddress(netlink, own, ADDRESS, 24);
setLinkDown(netlink, own);
setLinkUp(netlink, own);
await tell("its own");
Deno.exit(0);
`);
  assert.equal(code, 0, output);
  assert.equal(output, "its own 0\n");
});

rootTest("NetworkWatch tells of a network that changes all the time less often", async () => {
  const { code, output } = await runScript(`${SCENE}
for (let i = 0; i < 80; i++) {
  if (i % 2 === 0) addAddress(netlink, other, ADDRESS, 24);
  else deleteAddress(netlink, other, ADDRESS, 24);
  await new Promise((resolve) => setTimeout(resolve, 50));
}
console.log(changes);
Deno.exit(0);
`);
  assert.equal(code, 0, output);
  assert.equal(output, "5\n");
});
