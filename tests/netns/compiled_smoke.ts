/**
 * The compiled program with nothing else of the project beside it: run by CI, which names it in CULVERT_BIN. Shows that
 * workers, wasm and FFI survive compilation.
 */

import { match, notStrictEqual as notEqual, strictEqual as equal } from "node:assert/strict";
import { CULVERTS, WIREGUARD_GO } from "./implementation.ts";
import { Lab } from "./lab.ts";
import { must } from "./process.ts";
import { netnsTest } from "./requirements.ts";
import { inner, openTunnel, ping, transfer } from "./tunnel.ts";

const PROGRAM = Deno.env.get("CULVERT_BIN");
if (PROGRAM === undefined) throw new Error("CULVERT_BIN must name the compiled program");
const BYTES = 50_000_000;

netnsTest("the compiled culvert prints its version", [PROGRAM], async () => {
  match(await must([PROGRAM, "--version"]), /^culvert v?\d+\.\d+\.\d+/);
});

netnsTest("the compiled culvert makes keys that wg understands", [PROGRAM], async () => {
  const key = (await must([PROGRAM, "genkey"])).trim();
  notEqual(key, (await must([PROGRAM, "genkey"])).trim());
  equal(await must([PROGRAM, "pubkey"], { stdin: key }), await must(["wg", "pubkey"], { stdin: key }));
  match(await must([PROGRAM, "genpsk"]), /^[A-Za-z0-9+/]{43}=\n$/);
});

for (const carrier of CULVERTS) {
  netnsTest(
    `the compiled ${carrier.name} carries ping and TCP to and from wireguard-go`,
    [PROGRAM, WIREGUARD_GO.needs, "ping"],
    async () => {
      await using lab = new Lab();
      const { ends: [near, far] } = await openTunnel(lab, [carrier, WIREGUARD_GO], { knows: [1] });
      equal((await ping(near.host, inner(2), ["-q", "-f", "-c", "1000"])).received, 1000);
      equal((await ping(far.host, inner(1), ["-q", "-f", "-c", "1000"])).received, 1000);
      for (const { sent, received } of await transfer(near, far, BYTES)) equal(received, sent);
    },
  );
}
