import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { libc } from "../ffi/libc.ts";
import { addressesInHosts, originalResolverConfig, parseResolvConf, resolvConfLines } from "./resolver_config.ts";
import { StateStore } from "./state.ts";

// Opened once and for good: within a test it would count as a leak.
if (Deno.build.os === "linux") libc();

Deno.test("parseResolvConf() takes servers, the last search list and ndots, and leaves the rest", () => {
  assert.deepEqual(
    parseResolvConf(
      "# nameserver 1.1.1.1\nnameserver 192.0.2.1\n ; x\nnameserver fe80::1%eth0 \nnameserver nonsense\nnameserver\n" +
        "domain old.example\nsearch Corp.Example. .  lan\noptions timeout:1 ndots:3 rotate\nsortlist 1.2.3.4\n" +
        "nameserver 192.0.2.1\n",
    ),
    { servers: ["192.0.2.1", "fe80::1%eth0"], search: ["corp.example", "lan"], ndots: 3 },
  );
  assert.deepEqual(parseResolvConf(""), { servers: [], search: [], ndots: 1 });
});

Deno.test("resolvConfLines() says what parseResolvConf() reads, in lines that are short enough", () => {
  const config = { servers: ["192.0.2.1", "2001:db8::1"], search: ["a.example", "b.example"], ndots: 2 };
  assert.deepEqual(parseResolvConf(resolvConfLines(config).join("\n")), config);
  const search = Array.from({ length: 32 }, (_, i) => `${"x".repeat(60)}${i}.example`);
  assert.ok(resolvConfLines({ ...config, search }).every((line) => line.length <= 260));
});

Deno.test("addressesInHosts() finds a name in any place and case, not in comments", () => {
  const text =
    "127.0.0.1 localhost\n192.0.2.1\tvpn.example VPN2 # vpn3\n#192.0.2.9 vpn.example\n2001:db8::1 vpn.example\n";
  assert.deepEqual(addressesInHosts("vpn.example", text).map(({ length }) => length), [4, 16]);
  assert.deepEqual(addressesInHosts("vpn2", text).length, 1);
  assert.deepEqual(addressesInHosts("vpn3", text), []);
});

Deno.test("originalResolverConfig() sees through what tunnels have written, and through systemd-resolved's stub", () => {
  const folder = Deno.makeTempDirSync();
  try {
    const store = new StateStore(`${folder}/state`);
    const path = `${folder}/resolv.conf`;
    const stub = "nameserver 127.0.0.53\noptions edns0\nsearch lan\n";
    const texts = [stub, "nameserver 10.9.0.53\n", "nameserver 10.8.0.53\n"];
    const base64 = (text: string): string => Buffer.from(text).toString("base64");
    for (const [i, name] of ["wg0", "wg1"].entries()) {
      const state = store.create(name, `/etc/wireguard/${name}.conf`);
      const before = { kind: "file", content: base64(texts[i]) } as const;
      state.changes.push({ kind: "resolv.conf", path, before, after: base64(texts[i + 1]) });
      store.save(state);
    }
    Deno.writeTextFileSync(path, texts[2]);
    Deno.writeTextFileSync(`${folder}/upstream`, "nameserver 192.0.2.53\nsearch other\n");
    const config = originalResolverConfig(store, path, `${folder}/upstream`);
    assert.deepEqual(config, { servers: ["192.0.2.53"], search: ["lan"], ndots: 1 });
    assert.deepEqual(originalResolverConfig(store, path, `${folder}/none`).servers, ["127.0.0.53"]);
    // Somebody else has written it since.
    Deno.writeTextFileSync(path, "nameserver 192.0.2.99\n");
    assert.deepEqual(originalResolverConfig(store, path).servers, ["192.0.2.99"]);
    assert.deepEqual(originalResolverConfig(store, `${folder}/missing`).servers, []);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
