import assert from "node:assert/strict";
import { ENOENT, SyscallError } from "./errno.ts";
import { type Netlink, NETLINK_NETFILTER, openNetlink } from "./netlink.ts";
import {
  countedPackets,
  HOOK_OUTPUT,
  HOOK_PREROUTING,
  listTables,
  NFPROTO_INET,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  NftTransaction,
  SET_OF_INTERFACES,
  SET_OF_MARKS,
} from "./nftables.ts";
import * as nft from "./nft_expression.ts";
import { programJson, runText } from "./programs_fixture.ts";
import { inTestNamespace, rootTest } from "./testing.ts";

const IPV6 = Uint8Array.of(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7);

/** Each expression and what `nft` calls it, in a table of the inet family. */
const EXPRESSIONS: readonly (readonly [nft.Expression[], string])[] = [
  [nft.notFrom("wg0"), 'iifname != "wg0"'],
  [nft.to("fifteen-letters"), 'oifname "fifteen-letters"'],
  [nft.toAnyOf("names"), "oifname @names"],
  [nft.fromAnyOf("names"), "iifname @names"],
  [nft.markedAnyOf("marks"), "meta mark @marks"],
  [nft.marked(0xca6c), "meta mark 0xca6c"],
  [nft.notFromThisHost(), "fib saddr type != local"],
  [nft.isUdp(), "meta l4proto udp"],
  [nft.udpPorts(4, 68, 67), "meta nfproto ipv4 udp sport 68 udp dport 67"],
  [nft.udpPorts(6, 546, 547), "meta nfproto ipv6 udp sport 546 udp dport 547"],
  [nft.icmpv6Type(135), "icmpv6 type 135"],
  [nft.saveMark(), "ct mark set meta mark"],
  [nft.restoreMark(), "meta mark set ct mark"],
  [nft.count(), "counter"],
  [nft.drop(), "drop"],
  [nft.accept(), "accept"],
];

rootTest("NftTransaction makes tables, chains, sets and rules that nft reads as its own", () => {
  const [table, four, six] = [
    { family: NFPROTO_INET, name: "t" },
    { family: NFPROTO_IPV4, name: "t" },
    { family: NFPROTO_IPV6, name: "t" },
  ];
  const ours = inNftables((netlink) => {
    const transaction = new NftTransaction().addTable(table).addTable(four).addTable(six)
      .addSet(table, "marks", SET_OF_MARKS)
      .addSet(table, "names", SET_OF_INTERFACES)
      .addElement(table, "marks", nft.markKey(51820))
      .addElement(table, "marks", nft.markKey(7))
      .addElement(table, "names", nft.interfaceNameKey("wg0"))
      .addElement(table, "names", nft.interfaceNameKey("gone"))
      .deleteElement(table, "names", nft.interfaceNameKey("gone"))
      .addChain(table, "c", { hook: HOOK_OUTPUT, priority: -150, policy: "drop" })
      .addChain(four, "c", { hook: HOOK_PREROUTING, priority: -300, policy: "accept" })
      .addChain(six, "c", { hook: HOOK_PREROUTING, priority: 10, policy: "accept" });
    for (const [expression] of EXPRESSIONS) transaction.addRule(table, "c", expression);
    transaction
      .addRule(four, "c", [...nft.destined(Uint8Array.of(10, 0, 0, 1)), ...nft.drop()])
      .addRule(six, "c", [...nft.destined(IPV6), ...nft.drop()])
      .commit(netlink);
    return ruleset();
  });
  const theirs = inNftables(() => {
    const chain = (hook: string, priority: number, policy: string): string =>
      `chain c { type filter hook ${hook} priority ${priority}; policy ${policy};`;
    runText(
      "nft",
      ["-f", "-"],
      `table inet t {
      set marks { type mark; elements = { 51820, 7 } ; }
      set names { type ifname; elements = { "wg0" } ; }
      ${chain("output", -150, "drop")}
      ${EXPRESSIONS.map(([, text]) => text).join("\n")}
      }
    }
    table ip t {
      ${chain("prerouting", -300, "accept")}
      ip daddr 10.0.0.1 drop
      }
    }
    table ip6 t {
      ${chain("prerouting", 10, "accept")}
      ip6 daddr fd00::7 drop
      }
    }
    `,
    );
    return ruleset();
  });
  assert.deepEqual(ours, theirs);
});

rootTest("NftTransaction changes everything or nothing", () => {
  inNftables((netlink) => {
    const table = { family: NFPROTO_IPV4, name: "kept" };
    new NftTransaction().addTable(table).commit(netlink);
    const broken = new NftTransaction().addTable({ ...table, name: "new" })
      .addRule(table, "no-such-chain", nft.drop())
      .deleteTable(table);
    assert.throws(() => broken.commit(netlink), (error) => error instanceof SyscallError && error.errno === ENOENT);
    assert.deepEqual(listTables(netlink, NFPROTO_IPV4), ["kept"]);
    assert.deepEqual(listTables(netlink, NFPROTO_IPV6), []);
    // The socket goes on, and nothing of the refusal is taken for the next answer.
    new NftTransaction().addTable(table).deleteTable(table).commit(netlink);
    assert.deepEqual(listTables(netlink, NFPROTO_IPV4), []);
    assert.throws(() => new NftTransaction().deleteTable(table).commit(netlink), SyscallError);
    new NftTransaction().commit(netlink);
  });
});

rootTest("NftTransaction takes a thousand rules at once", () => {
  inNftables((netlink) => {
    const table = { family: NFPROTO_IPV4, name: "many" };
    const transaction = new NftTransaction().addTable(table)
      .addChain(table, "c", { hook: HOOK_PREROUTING, priority: 0, policy: "accept" });
    for (let i = 0; i < 1_000; i++) {
      transaction.addRule(table, "c", [...nft.destined(Uint8Array.of(10, 0, i >> 8, i & 255)), ...nft.drop()]);
    }
    transaction.commit(netlink);
    assert.equal(ruleset().filter((entry) => "rule" in entry).length, 1_000);
  });
});

rootTest("countedPackets() adds up the counters of a chain", () => {
  inNftables((netlink) => {
    const table = { family: NFPROTO_INET, name: "t" };
    assert.equal(countedPackets(netlink, table, "c"), null);
    runText(
      "nft",
      ["-f", "-"],
      `table inet t {
      chain c { type filter hook output priority 0; policy accept;
        tcp dport 1 counter packets 5 bytes 300 drop
        udp dport 1 drop
        counter packets 4294967297 bytes 9
      }
      chain d { counter packets 7 bytes 7; }
    }
    `,
    );
    assert.equal(countedPackets(netlink, table, "c"), 4294967302);
    assert.equal(countedPackets(netlink, table, "e"), null);
  });
});

Deno.test("interfaceNameKey() refuses what is no interface's name", () => {
  assert.throws(() => nft.interfaceNameKey("sixteen-letters-"), RangeError);
  assert.equal(nft.interfaceNameKey("wg0").length, 16);
});

Deno.test("markKey() is in host order and takes every mark", () => {
  assert.deepEqual([...nft.markKey(0xfedcba98)], [0x98, 0xba, 0xdc, 0xfe]);
});

function inNftables<T>(f: (netlink: Netlink) => T): T {
  return inTestNamespace(() => {
    const netlink = openNetlink(NETLINK_NETFILTER);
    try {
      return f(netlink);
    } finally {
      netlink.close();
    }
  });
}

/** Everything that `nft` reads, without the kernel's numbers. */
function ruleset(): Record<string, unknown>[] {
  const text = JSON.stringify(
    programJson("nft", "-j", "list", "ruleset"),
    (key, value) => key === "handle" ? 0 : value,
  );
  return JSON.parse(text).nftables;
}
