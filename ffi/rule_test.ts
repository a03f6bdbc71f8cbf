import assert from "node:assert/strict";
import { EEXIST, ENOENT, SyscallError } from "./errno.ts";
import { openNetlink } from "./netlink.ts";
import { addRule, deleteRule, listRules, type Rule } from "./rule.ts";
import { ipJson } from "./programs_fixture.ts";
import { inTestNamespace, rootTest } from "./testing.ts";

const NOT_MARKED: Rule = {
  priority: 32765,
  table: 51820,
  fwmark: 51820,
  isInverted: true,
  suppressPrefixLength: -1,
};
const SPECIFIC: Rule = { priority: 32764, table: 254, fwmark: 0, isInverted: false, suppressPrefixLength: 0 };
const MARKED: Rule = { priority: 0x1000, table: 254, fwmark: 0xffffffff, isInverted: false, suppressPrefixLength: -1 };

for (const family of [4, 6] as const) {
  rootTest(`addRule() adds what ip -${family} rule add would, listRules() reads it, deleteRule() takes it`, () => {
    inTestNamespace(() => {
      const netlink = openNetlink();
      try {
        const before = listRules(netlink, family);
        for (const rule of [NOT_MARKED, SPECIFIC, MARKED]) addRule(netlink, family, rule);
        const ours = ipJson(`-${family}`, "-d", "rule");
        const others = { isOther: false };
        assert.deepEqual(listRules(netlink, family), [
          before[0],
          { ...MARKED, ...others },
          { ...SPECIFIC, ...others },
          { ...NOT_MARKED, ...others },
          ...before.slice(1),
        ]);
        assert.throws(() => addRule(netlink, family, SPECIFIC), isErrno(EEXIST));
        assert.throws(() => deleteRule(netlink, family, { ...SPECIFIC, priority: 32763 }), isErrno(ENOENT));
        assert.throws(() => deleteRule(netlink, family, { ...NOT_MARKED, fwmark: 51821 }), isErrno(ENOENT));
        for (const rule of [NOT_MARKED, SPECIFIC, MARKED]) deleteRule(netlink, family, rule);
        assert.deepEqual(listRules(netlink, family), before);

        // Without priorities, which the kernel then chooses as we did.
        ipJson(`-${family}`, "rule", "add", "not", "fwmark", "51820", "table", "51820");
        ipJson(`-${family}`, "rule", "add", "table", "main", "suppress_prefixlength", "0");
        ipJson(`-${family}`, "rule", "add", "fwmark", "0xffffffff", "table", "main", "priority", "4096");
        assert.deepEqual(ours, ipJson(`-${family}`, "-d", "rule"));
      } finally {
        netlink.close();
      }
    });
  });
}

rootTest("listRules() tells rules that have other conditions", () => {
  inTestNamespace(() => {
    ipJson("rule", "add", "from", "10.0.0.0/8", "table", "7");
    ipJson("rule", "add", "iif", "lo", "table", "7");
    ipJson("rule", "add", "fwmark", "1", "prohibit");
    const netlink = openNetlink();
    try {
      assert.deepEqual(listRules(netlink, 4).map(({ isOther }) => isOther), [false, true, true, true, false, false]);
    } finally {
      netlink.close();
    }
  });
});

function isErrno(errno: number): (error: unknown) => boolean {
  return (error) => error instanceof SyscallError && error.errno === errno;
}
