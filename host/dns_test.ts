import assert from "node:assert/strict";
import { resolvconfEntry } from "./dns.ts";
import { inFolder } from "./state_fixture.ts";

Deno.test("resolvconfEntry() puts Debian's first pattern before the name", () => {
  inFolder((folder) => {
    const program = `${folder}/resolvconf`;
    const order = `${folder}/interface-order`;
    Deno.writeTextFileSync(program, "");
    assert.equal(resolvconfEntry("wg0", program, order), "wg0");
    Deno.writeTextFileSync(order, "# comment*\nlo.inet6\nlo.@(dhclient|pump)*\ntun*\ntap*\n");
    assert.equal(resolvconfEntry("wg0", program, order), "tun.wg0");
    Deno.writeTextFileSync(order, "lo.inet\n");
    assert.equal(resolvconfEntry("wg0", program, order), "wg0");
  });
});

Deno.test("resolvconfEntry() takes the name alone where resolvconf is another's", () => {
  inFolder((folder) => {
    const order = `${folder}/interface-order`;
    Deno.writeTextFileSync(order, "tun*\n");
    Deno.symlinkSync("resolvectl", `${folder}/resolvconf`);
    assert.equal(resolvconfEntry("wg0", `${folder}/resolvconf`, order), "wg0");
  });
});
