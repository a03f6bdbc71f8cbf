import assert from "node:assert/strict";
import { BenchUsageError, parseOptions } from "./options.ts";

Deno.test("parseOptions() takes five pairs of five seconds, and with --quick three of three", () => {
  const [full, quick] = [parseOptions([]), parseOptions(["--quick"])];
  assert.deepEqual([full.pairs, full.seconds], [5, 5]);
  assert.deepEqual([quick.pairs, quick.seconds], [3, 3]);
  assert.equal(parseOptions(["--quick", "--pairs", "7"]).pairs, 7);
});

Deno.test("parseOptions() collects lists and names", () => {
  const options = parseOptions(["--only", "tcp,ping", "--only", "start", "--peer", "new=/a=b", "--culvert", "x=--a b"]);
  assert.deepEqual(options.only, ["tcp", "ping", "start"]);
  assert.deepEqual(options.between, []);
  assert.deepEqual(parseOptions(["--between", "no tunnel,culvert x"]).between, ["no tunnel", "culvert x"]);
  assert.deepEqual(options.peers, [{ name: "new", value: "/a=b" }]);
  assert.deepEqual(options.culverts, [{ name: "x", value: "--a b" }]);
});

Deno.test("parseOptions() refuses what it does not understand", () => {
  for (
    const args of [["--pairs", "0"], ["--pairs", "x"], ["--peer", "path"], ["--peer", "=path"], ["--fast"], ["tcp"]]
  ) {
    assert.throws(() => parseOptions(args), BenchUsageError, args.join(" "));
  }
});
