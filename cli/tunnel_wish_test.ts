import assert from "node:assert/strict";
import { outsideNetworks, parseRouteText, planRoutes, prefixOf, routeText } from "./tunnel_wish.ts";

const ALLOWED = ["0.0.0.0/0", "10.44.0.0/16", "10.9.0.7/32", "::/0", "fd44::/48"].map(prefixOf);

Deno.test("planRoutes() routes what the interface's networks do not lead to, and takes defaults by a table of its own", () => {
  const addresses = ["10.9.0.1/24", "fd44::1/48", "10.44.0.1/32"].map(prefixOf);
  const { routes, defaults } = planRoutes(ALLOWED, "auto", (prefixes) => outsideNetworks(addresses, prefixes));
  assert.deepEqual(routes.map(routeText), ["10.44.0.0/16 254"]);
  assert.deepEqual(defaults.map(({ address }) => address.length), [4, 16]);
});

Deno.test("planRoutes() routes all by a table that is given, the longest first, and none without one", () => {
  const { routes, defaults } = planRoutes(ALLOWED, "4711", () => []);
  assert.deepEqual(routes.map(({ prefix }) => prefix.cidr), [48, 32, 16, 0, 0]);
  assert.deepEqual(defaults, []);
  assert.deepEqual(planRoutes(ALLOWED, "off", (prefixes) => prefixes), { routes: [], defaults: [] });
});

Deno.test("parseRouteText() reads what routeText() wrote", () => {
  for (const text of ["10.44.0.0/16 254", "fd44::/48 51820", "0.0.0.0/0 4711"]) {
    assert.equal(routeText(parseRouteText(text)), text);
  }
});
