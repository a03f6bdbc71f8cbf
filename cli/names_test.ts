import assert from "node:assert/strict";
import fc from "fast-check";
import { OperatorError } from "./errors.ts";
import { checkInterfaceName, checkNotMistyped, editDistance, isInterfaceName, nearestVerb } from "./names.ts";

Deno.test("isInterfaceName() accepts what wg-quick accepts", () => {
  for (const name of ["wg0", "a", "A_b=c+d.e-f", "0", "123456789012345", "..."]) assert.ok(isInterfaceName(name), name);
});

Deno.test("isInterfaceName() refuses what would leave the socket's folder or the kernel's room", () => {
  for (const name of ["", ".", "..", "a/b", "a b", "a\n", "wg0\0", "1234567890123456", "ü", "%d"]) {
    assert.ok(!isInterfaceName(name), JSON.stringify(name));
  }
});

Deno.test("checkInterfaceName() never repeats control characters", () => {
  assert.throws(() => checkInterfaceName("a\x1b[31m\nb"), (error) => {
    assert.ok(error instanceof OperatorError);
    assert.ok(!/\p{C}/u.test(error.message));
    return true;
  });
});

Deno.test("editDistance() counts insertions, deletions and substitutions", () => {
  const cases: [string, string, number][] = [
    ["", "", 0],
    ["", "up", 2],
    ["show", "show", 0],
    ["shwo", "show", 2],
    ["kitten", "sitting", 3],
    ["wg0", "up", 3],
  ];
  for (const [a, b, distance] of cases) assert.equal(editDistance(a, b), distance, `${a} ${b}`);
});

Deno.test("editDistance() is a metric", () => {
  const word = fc.string({ maxLength: 8 });
  fc.assert(fc.property(word, word, word, (a, b, c) => {
    assert.equal(editDistance(a, b), editDistance(b, a));
    assert.equal(editDistance(a, b) === 0, a === b);
    assert.ok(editDistance(a, c) <= editDistance(a, b) + editDistance(b, c));
  }));
});

Deno.test("nearestVerb() finds the closest within two edits", () => {
  const verbs = ["show", "showconf", "up"];
  assert.equal(nearestVerb("shwo", verbs), "show");
  assert.equal(nearestVerb("showcon", verbs), "showconf");
  assert.equal(nearestVerb("ups", verbs), "up");
  assert.equal(nearestVerb("wg0", verbs), null);
});

Deno.test("checkNotMistyped() suggests the verb and tells the way around", () => {
  assert.throws(() => checkNotMistyped("shwo", ["show"]), { name: "UsageError", message: /"show".*culvert -- shwo/ });
  checkNotMistyped("wg0", ["show", "up"]);
});
