import assert from "node:assert/strict";
import { isIP } from "node:net";
import { ipJson } from "../ffi/programs_fixture.ts";
import { PROTOCOL_BOOT, ROUTE_UNICAST, TABLE_MAIN } from "../ffi/route.ts";
import { inTestNamespace, rootTest, setUpLoopback } from "../ffi/testing.ts";
import { HostError } from "./host_error.ts";
import { HostLink, isLink } from "./host_link.ts";
import { isCovered, tableNumber } from "./routing.ts";
import { Journal, StateStore } from "./state.ts";
import { inFolder } from "./state_fixture.ts";

const ANY4 = { address: new Uint8Array(4), cidr: 0 };

Deno.test("isCovered() compares as many bits as the route has", () => {
  const cases: [string, string, boolean][] = [
    ["10.0.0.0/8", "10.0.0.0/8", true],
    ["10.1.2.0/24", "10.0.0.0/8", true],
    ["10.0.0.0/8", "10.0.0.0/9", false],
    ["10.128.0.0/9", "10.0.0.0/9", false],
    ["10.127.255.255/32", "10.0.0.0/9", true],
    ["192.0.2.1/32", "0.0.0.0/0", true],
    ["192.0.2.1/32", "192.0.2.0/32", false],
  ];
  for (const [prefix, network, expected] of cases) {
    const { address: destination, cidr } = parse(network);
    const route = {
      destination,
      cidr,
      table: TABLE_MAIN,
      index: 1,
      mtu: 0,
      type: ROUTE_UNICAST,
      protocol: PROTOCOL_BOOT,
    };
    assert.equal(isCovered(parse(prefix), route), expected, `${prefix} in ${network}`);
  }
  const ipv6 = {
    destination: new Uint8Array(16),
    cidr: 0,
    table: TABLE_MAIN,
    index: 1,
    mtu: 0,
    type: ROUTE_UNICAST,
    protocol: PROTOCOL_BOOT,
  };
  assert.equal(isCovered(parse("10.0.0.0/8"), ipv6), false);
});

Deno.test("tableNumber() takes numbers and the system's names", () => {
  assert.equal(tableNumber("51820"), 51820);
  assert.equal(tableNumber("0x10"), 16);
  assert.equal(tableNumber("4294967295"), 0xffffffff);
  assert.equal(tableNumber("main"), 254);
  for (const wrong of ["0", "4294967296", "-1", "no-such-table", ""]) {
    assert.throws(() => tableNumber(wrong), HostError, wrong);
  }
});

rootTest("claimTable() passes over tables with routes and over what other interfaces claim", () => {
  withTunnel((store, link) => {
    ipJson("route", "add", "10.1.0.0/16", "dev", "lo", "table", "51820");
    ipJson("-6", "route", "add", "fd01::/16", "dev", "lo", "table", "51822");
    store.save({ ...store.create("wg9", "/x"), mark: 51821 });
    const journal = new Journal(store, store.create("wg0", "/x"));
    assert.equal(link.claimTable(journal), 51823);
    assert.equal(store.load("wg0")?.mark, 51823);
  });
});

rootTest("takeDefault() leads marked packets of tunnels that are up past the new one", () => {
  withTunnel((store, link) => {
    const journal = new Journal(store, store.create("wg0", "/x"));
    // As another program makes it.
    ipJson("rule", "add", "not", "fwmark", "777", "table", "777");
    link.takeDefault(journal, ANY4, 51820);
    const rules = ipJson("rule") as { priority: number; fwmark?: string; table: string }[];
    assert.deepEqual(rules.map(({ priority, fwmark, table }) => [priority, fwmark, table]), [
      [0, undefined, "local"],
      [32762, "0x309", "main"],
      [32763, undefined, "main"],
      [32764, "0xca6c", "51820"],
      [32765, "0x309", "777"],
      [32766, undefined, "main"],
      [32767, undefined, "default"],
    ]);
    assert.equal(store.load("wg0")?.changes.length, 3);
  });
});

rootTest("HostLink tells what is there and refuses what is not", () => {
  withTunnel((_store, link) => {
    assert.equal(isLink("lo"), true);
    assert.equal(isLink("nosuchlink"), false);
    assert.throws(() => HostLink.find("nosuchlink"), HostError);
    const prefix = parse("10.5.0.1/24");
    link.addAddress(prefix, "10.5.0.1/24");
    assert.throws(() => link.addAddress(prefix, "10.5.0.1/24"), /10\.5\.0\.1\/24.*EEXIST/);
    link.addRoute(parse("10.6.0.0/16"));
    assert.throws(() => link.addRoute(parse("10.6.0.0/16")), /another interface has that route/);
    assert.deepEqual(link.unrouted([parse("10.6.7.0/24"), parse("10.7.0.0/16")]), [parse("10.7.0.0/16")]);
    link.bringUp(1300);
    assert.equal(link.mtu, 1300);
  });
});

/** In a namespace whose loopback interface stands for the tunnel's. */
function withTunnel(f: (store: StateStore, link: HostLink) => void): void {
  inFolder((folder) => {
    inTestNamespace(() => {
      setUpLoopback();
      using link = HostLink.find("lo");
      f(new StateStore(folder), link);
    });
  });
}

function parse(text: string): { address: Uint8Array; cidr: number } {
  const [address, cidr] = text.split("/");
  assert.equal(isIP(address), 4);
  return { address: Uint8Array.from(address.split(".").map(Number)), cidr: Number(cidr) };
}
