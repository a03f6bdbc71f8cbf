import assert from "node:assert/strict";
import { addAddress } from "./address.ts";
import { EEXIST, ENETUNREACH, ESRCH, SyscallError } from "./errno.ts";
import { getLink, setLinkUp } from "./link.ts";
import { type Netlink, openNetlink } from "./netlink.ts";
import {
  addRoute,
  deleteRoute,
  listGateways,
  listRoutes,
  lookUpRoute,
  PROTOCOL_BOOT,
  ROUTE_UNICAST,
  TABLE_MAIN,
} from "./route.ts";
import { ipJson } from "./programs_fixture.ts";
import { inTestNamespace, rootTest } from "./testing.ts";

const NET4 = Uint8Array.of(10, 44, 0, 0);
const NET6 = Uint8Array.of(0xfd, 0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
const ANY4 = new Uint8Array(4);
const ANY6 = new Uint8Array(16);

rootTest("addRoute() adds what ip route add would, listRoutes() reads it", () => {
  withLoopback((netlink, index) => {
    addRoute(netlink, NET4, 16, index, TABLE_MAIN);
    addRoute(netlink, NET6, 32, index, TABLE_MAIN);
    addRoute(netlink, ANY4, 0, index, 51820);
    addRoute(netlink, ANY6, 0, index, 51820);
    const ours = everything();
    assert.deepEqual(listRoutes(netlink, 4, TABLE_MAIN), [
      { destination: NET4, cidr: 16, table: TABLE_MAIN, index, mtu: 0, type: ROUTE_UNICAST, protocol: PROTOCOL_BOOT },
    ]);
    assert.deepEqual(listRoutes(netlink, 6, 51820).map(({ cidr, table }) => [cidr, table]), [[0, 51820]]);
    assert.deepEqual(listRoutes(netlink, 4, 51820).map(({ cidr, table }) => [cidr, table]), [[0, 51820]]);
    assert.deepEqual(listRoutes(netlink, 4, 51821), []);
    assert.deepEqual(listRoutes(netlink, 6, 51821), []);
    assert.throws(() => addRoute(netlink, NET4, 16, index, TABLE_MAIN), isErrno(EEXIST));

    deleteRoute(netlink, NET4, 16, index, TABLE_MAIN);
    deleteRoute(netlink, NET6, 32, index, TABLE_MAIN);
    deleteRoute(netlink, ANY4, 0, index, 51820);
    deleteRoute(netlink, ANY6, 0, index, 51820);
    assert.throws(() => deleteRoute(netlink, NET4, 16, index, TABLE_MAIN), isErrno(ESRCH));
    ipJson("route", "add", "10.44.0.0/16", "dev", "lo");
    ipJson("-6", "route", "add", "fd44::/32", "dev", "lo");
    ipJson("-4", "route", "add", "0.0.0.0/0", "dev", "lo", "table", "51820");
    ipJson("-6", "route", "add", "::/0", "dev", "lo", "table", "51820");
    assert.deepEqual(ours, everything());
  });
});

rootTest("lookUpRoute() finds the interface and a route's own MTU", () => {
  withLoopback((netlink, index) => {
    assert.throws(() => lookUpRoute(netlink, Uint8Array.of(192, 0, 2, 1)), isErrno(ENETUNREACH));
    ipJson("route", "add", "192.0.2.0/24", "dev", "lo", "mtu", "1300");
    ipJson("-6", "route", "add", "2001:db8::/32", "dev", "lo", "mtu", "1290");
    const ipv6 = Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
    const routes = [lookUpRoute(netlink, Uint8Array.of(192, 0, 2, 1)), lookUpRoute(netlink, ipv6)];
    assert.deepEqual(routes.map(({ mtu }) => mtu), [1300, 1290]);
    assert.deepEqual(routes.map((route) => route.index), [index, index]);
    assert.equal(lookUpRoute(netlink, Uint8Array.of(127, 0, 0, 1)).mtu, 0);
  });
});

rootTest("listGateways() tells each next hop once, and its interface", () => {
  withLoopback((netlink, index) => {
    ipJson("address", "add", "10.5.0.1/24", "dev", "lo");
    for (const destination of ["192.0.2.0/24", "198.51.100.0/24"]) {
      ipJson("route", "add", destination, "via", "10.5.0.9");
    }
    ipJson("route", "add", "203.0.113.0/24", "via", "10.5.0.10", "table", "4711");
    assert.deepEqual(listGateways(netlink, 4, TABLE_MAIN), [{ address: Uint8Array.of(10, 5, 0, 9), index }]);
    assert.deepEqual(listGateways(netlink, 6, TABLE_MAIN), []);
  });
});

rootTest("listRoutes() reads a table of thousands", () => {
  withLoopback((netlink, index) => {
    for (let i = 0; i < 3_000; i++) {
      addRoute(netlink, Uint8Array.of(10, i >> 8, i & 255, 0), 24, index, 4711);
    }
    assert.equal(listRoutes(netlink, 4, 4711).length, 3_000);
    assert.equal(listRoutes(netlink, 4, TABLE_MAIN).length, 0);
  });
});

function everything(): unknown[] {
  return [...ipJson("-d", "route", "show", "table", "all"), ...ipJson("-d", "-6", "route", "show", "table", "all")];
}

/** A namespace with its loopback interface up. */
function withLoopback(f: (netlink: Netlink, index: number) => void): void {
  inTestNamespace(() => {
    const netlink = openNetlink();
    try {
      const { index } = getLink(netlink, "lo")!;
      setLinkUp(netlink, index);
      addAddress(netlink, index, Uint8Array.of(127, 1, 1, 1), 32);
      f(netlink, index);
    } finally {
      netlink.close();
    }
  });
}

function isErrno(errno: number): (error: unknown) => boolean {
  return (error) => error instanceof SyscallError && error.errno === errno;
}
