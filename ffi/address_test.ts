import assert from "node:assert/strict";
import { addAddress, deleteAddress, listAddresses, SCOPE_GLOBAL, SCOPE_HOST } from "./address.ts";
import { EADDRNOTAVAIL, EEXIST, SyscallError } from "./errno.ts";
import { getLink } from "./link.ts";
import { openNetlink } from "./netlink.ts";
import { ipJson } from "./programs_fixture.ts";
import { inTestNamespace, rootTest } from "./testing.ts";

const IPV4 = Uint8Array.of(10, 1, 2, 3);
const IPV6 = Uint8Array.of(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7);

interface Shown {
  readonly addr_info: { readonly local: string; readonly prefixlen: number; readonly scope: string }[];
}

rootTest("addAddress() gives what ip shows, deleteAddress() takes it", () => {
  inTestNamespace(() => {
    const netlink = openNetlink();
    try {
      const { index } = getLink(netlink, "lo")!;
      addAddress(netlink, index, IPV4, 24);
      addAddress(netlink, index, Uint8Array.of(127, 9, 9, 9), 32);
      addAddress(netlink, index, IPV6, 64);
      const shown = (ipJson("address", "show", "dev", "lo")[0] as Shown).addr_info
        .map(({ local, prefixlen, scope }) => `${local}/${prefixlen} ${scope}`);
      assert.deepEqual(shown, ["127.9.9.9/32 host", "10.1.2.3/24 global", "fd00::7/64 global"]);
      assert.deepEqual(listAddresses(netlink, index), [
        { address: Uint8Array.of(127, 9, 9, 9), cidr: 32, scope: SCOPE_HOST },
        { address: IPV4, cidr: 24, scope: SCOPE_GLOBAL },
        { address: IPV6, cidr: 64, scope: SCOPE_GLOBAL },
      ]);
      assert.deepEqual(listAddresses(netlink, index + 1), []);

      assert.throws(() => addAddress(netlink, index, IPV4, 24), isErrno(EEXIST));
      deleteAddress(netlink, index, IPV4, 24);
      deleteAddress(netlink, index, IPV6, 64);
      assert.throws(() => deleteAddress(netlink, index, IPV4, 24), isErrno(EADDRNOTAVAIL));
      assert.equal(listAddresses(netlink, index).length, 1);
    } finally {
      netlink.close();
    }
  });
});

function isErrno(errno: number): (error: unknown) => boolean {
  return (error) => error instanceof SyscallError && error.errno === errno;
}
