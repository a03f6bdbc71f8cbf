/**
 * A name server in a namespace: `deno run -A name_server.ts FILE`. The file holds `{ "name": ["address", …] }` and is read
 * anew for every question; answers are good for a second.
 */
import { TestNameServer, zone } from "../../host/resolver_fixture.ts";

if (import.meta.main) {
  const [file] = Deno.args;
  new TestNameServer((question) => zone(JSON.parse(Deno.readTextFileSync(file)), 1)(question), "0.0.0.0", 53);
}
