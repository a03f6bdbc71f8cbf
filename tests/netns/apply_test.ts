/**
 * `culvert apply`: whatever changes in a tunnel's file, the host and the interface become what `down` and `up` with the
 * new file would make of them, and `down` afterwards leaves the host as it was.
 */

import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { ApplyHost, differing, type Version } from "./apply_host.ts";
import { makeKeys } from "./daemon.ts";
import { CULVERT_FILE } from "./implementation.ts";
import { must, readText } from "./process.ts";
import { hasState } from "./quick_host.ts";
import { netnsTest } from "./requirements.ts";

const NEEDS = [CULVERT_FILE, "nft", "bash"];

const PORT = "ListenPort = 51999";
const ADDRESSES = "Address = 10.9.0.1/24, fd09::1/64";
const ENDPOINT = "Endpoint = 10.79.0.2:51820";
const BASE = [PORT, ADDRESSES];
const SPLIT = ["AllowedIPs = 10.44.0.0/16, fd44::/48", ENDPOINT];
const FULL = ["AllowedIPs = 0.0.0.0/0, ::/0", ENDPOINT];
const PSK = "PresharedKey = 5Z7m8Cl0WWL5vCwYxLbBE0/bn3BPMZdcUUzxGPjSCGw=";
const OTHER_PSK = "PresharedKey = 9v2AAqWcKqKtqyGMWVB0yLmK9PXG8h0Yzrlw3fUQ2X4=";

/** Two versions of a file each, applied there and back. */
const PAIRS: readonly (readonly [string, Version, Version])[] = [
  ["peers", { interface: BASE, peers: { 0: SPLIT, 1: ["AllowedIPs = 10.45.0.0/16", PSK] } }, {
    interface: BASE,
    peers: { 0: SPLIT, 2: ["AllowedIPs = 10.46.0.0/16, 10.45.0.0/16", OTHER_PSK, "Endpoint = [fd00:79::2]:7"] },
  }],
  ["what a peer is given", {
    interface: BASE,
    peers: { 0: [...SPLIT, PSK], 1: ["AllowedIPs = 10.45.0.0/16, 10.47.0.1", ENDPOINT] },
  }, {
    interface: BASE,
    peers: {
      0: ["AllowedIPs = 10.44.0.0/17, fd44::/48, 10.9.0.7", "Endpoint = 10.79.0.2:51821", OTHER_PSK],
      1: ["AllowedIPs = 10.45.0.0/16, 10.44.0.0/16", "PersistentKeepalive = 25", ENDPOINT],
    },
  }],
  ["allowed IPs that change hands", {
    interface: BASE,
    peers: { 0: ["AllowedIPs = 10.44.0.0/16, 10.45.0.0/16"], 1: ["AllowedIPs = 10.46.0.0/16"] },
  }, {
    interface: BASE,
    peers: { 0: ["AllowedIPs = 10.46.0.0/16"], 1: ["AllowedIPs = 10.44.0.0/16, 10.45.0.0/16"] },
  }],
  ["the port and a mark", { interface: [...BASE, "FwMark = 7"], peers: { 0: SPLIT } }, {
    interface: [ADDRESSES, "ListenPort = 52000"],
    peers: { 0: SPLIT },
  }],
  ["addresses", { interface: BASE, peers: { 0: SPLIT } }, {
    interface: [PORT, "Address = 10.9.0.2/24, 10.9.0.3/24, fd09::2/64, fd0a::1"],
    peers: { 0: SPLIT },
  }],
  ["the last address of a family", { interface: BASE, peers: { 0: [...SPLIT, "AllowedIPs = 10.9.0.0/24"] } }, {
    interface: [PORT, "Address = fd09::1"],
    peers: { 0: [...SPLIT, "AllowedIPs = 10.9.0.0/24, fd09::/64"] },
  }],
  ["the MTU", { interface: [...BASE, "MTU = 1312"], peers: { 0: SPLIT } }, { interface: BASE, peers: { 0: SPLIT } }],
  ["Table = N", { interface: BASE, peers: { 0: FULL.slice(0, 1) } }, {
    interface: [...BASE, "Table = 4711"],
    peers: { 0: FULL.slice(0, 1), 1: ["AllowedIPs = 10.44.0.0/16"] },
  }],
  ["Table = off", { interface: [...BASE, "Table = off"], peers: { 0: FULL } }, { interface: BASE, peers: { 0: FULL } }],
  ["one family and both", { interface: BASE, peers: { 0: ["AllowedIPs = 0.0.0.0/0", ENDPOINT] } }, {
    interface: BASE,
    peers: { 0: FULL },
  }],
  ["a full tunnel and a split one", { interface: BASE, peers: { 0: FULL } }, {
    interface: BASE,
    peers: { 0: SPLIT },
  }],
  ["the addresses of a full tunnel", { interface: BASE, peers: { 0: FULL } }, {
    interface: [PORT, "Address = 10.9.0.2/24, fd09::1/64"],
    peers: { 0: FULL },
  }],
  ["the mark of a full tunnel", { interface: [...BASE, "FwMark = 0x999"], peers: { 0: FULL } }, {
    interface: BASE,
    peers: { 0: FULL },
  }],
  ["the mark behind the kill switch", {
    interface: [...BASE, "FwMark = 0x999", "# @kill-switch = on"],
    peers: { 0: FULL },
  }, { interface: [...BASE, "FwMark = 0x998", "# @kill-switch = on"], peers: { 0: FULL } }],
  ["the kill switch of a split tunnel", { interface: [...BASE, "# @kill-switch = on"], peers: { 0: SPLIT } }, {
    interface: BASE,
    peers: { 0: SPLIT },
  }],
  ["everything", { interface: BASE, peers: { 0: SPLIT, 1: ["AllowedIPs = 10.45.0.0/16"] } }, {
    interface: [
      "Address = 10.10.0.1/24",
      "ListenPort = 53000",
      "FwMark = 77",
      "MTU = 1300",
      "# @kill-switch = on",
      "PrivateKey = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=",
    ],
    peers: { 2: FULL },
  }],
];

for (const [what, first, second] of PAIRS) {
  netnsTest(`culvert apply leaves what down and up would: ${what}`, NEEDS, async () => {
    await using host = await ApplyHost.open();
    const before = await host.view();
    const wanted = [];
    for (const version of [first, second]) {
      await host.up(version);
      wanted.push(await host.view());
      await host.down();
    }
    await host.up(first);
    for (const [version, expected] of [[second, wanted[1]], [first, wanted[0]]] as const) {
      const plan = await host.apply(version);
      const view = await host.view();
      deepEqual(view, expected, `${differing(view, expected)} differ after\n${plan}`);
      equal(await host.apply(version), `${host.name}: nothing to do\n`);
    }
    await host.apply(second);
    await host.down();
    deepEqual(await host.view(), before);
    equal(hasState(host.name), false);
  });
}

netnsTest("culvert apply --dry-run changes nothing, and shows no secret", NEEDS, async () => {
  await using host = await ApplyHost.open();
  await host.up({ interface: BASE, peers: { 0: [...SPLIT, PSK], 1: ["AllowedIPs = 10.45.0.0/16"] } });
  const [view, state] = [await host.view(), readText(`/run/culvert/${host.name}.json`)];
  const { privateKey } = await makeKeys();
  const other = {
    interface: [PORT, "Address = 10.9.0.2/24", `PrivateKey = ${privateKey}`, "# @kill-switch = on", "MTU = 1300"],
    peers: { 0: [...FULL, OTHER_PSK], 2: ["AllowedIPs = 10.46.0.0/16", PSK] },
  };
  const text = await host.apply(other, "--dry-run");
  const json = await host.apply(other, "--dry-run", "--json");
  deepEqual(await host.view(), view);
  equal(readText(`/run/culvert/${host.name}.json`), state);
  for (const secret of [privateKey, PSK, OTHER_PSK].map((line) => line.replace(/.*? = /, ""))) {
    equal(`${text}${json}`.includes(secret), false);
  }
  match(text, /^~ private key: changed$/m);
  match(text, new RegExp(`^~ peer ${host.keys[0].publicKey.replace(/[+]/g, "\\+")}: preshared key: changed$`, "m"));
  match(text, /^- address: 10.9.0.1\/24$/m);
  match(text, /\d+ changes, not applied\n$/);
  const plan = JSON.parse(json);
  equal(plan.changes, plan.differences.length);
  equal(plan.changes, text.trimEnd().split("\n").length - 1);
  equal(plan.applied, false);
});

netnsTest(
  "culvert apply asks no name again, and leaves a roamed endpoint, a chosen port and mark alone",
  NEEDS,
  async () => {
    await using host = await ApplyHost.open();
    const version = {
      interface: [ADDRESSES],
      peers: { 0: FULL, 1: ["AllowedIPs = 10.45.0.0/16", "Endpoint = localhost:7"] },
    };
    await host.up(version);
    for (const peer of [0, 1]) {
      await must(["wg", "set", host.name, "peer", host.keys[peer].publicKey, "endpoint", "10.79.0.9:1234"]);
    }
    // wg does not know of names, and has ended one; it comes back, and the endpoint stays.
    deepEqual((await host.apply(version)).match(/^[-+~].*$/gm), [
      `~ peer ${host.keys[1].publicKey}: endpoint names: none -> localhost:7`,
    ]);
    equal(await host.apply(version), `${host.name}: nothing to do\n`);
    await host.apply({ ...version, interface: ["Address = 10.9.0.2/24, fd09::1/64"] });
    const endpoints = await must(["wg", "show", host.name, "endpoints"]);
    deepEqual(endpoints.match(/10\.79\.0\.9:1234/g)?.length, 2);
    // Another name is a difference, and this one cannot be found.
    const gone = {
      ...version,
      peers: { 0: FULL, 1: ["AllowedIPs = 10.45.0.0/16", "Endpoint = does-not-exist.invalid:7"] },
    };
    await host.write(gone);
    const view = await host.view();
    const { code, stderr } = await host.run("apply", host.file);
    equal(code, 1);
    match(stderr, /^culvert: [^\n]*does-not-exist\.invalid[^\n]*\n$/);
    deepEqual(await host.view(), view);
  },
);

netnsTest("culvert apply leaves alone what hooks and others have added", NEEDS, async () => {
  await using host = await ApplyHost.open();
  const hooks = ["PostUp = ip address add 10.66.0.1/24 dev %i", "PostUp = ip route add 10.67.0.0/16 dev %i"];
  await host.up({ interface: [...BASE, ...hooks], peers: { 0: SPLIT } });
  const plan = await host.apply({
    interface: [...BASE, ...hooks, "PostUp = false", "PreDown = true"],
    peers: { 0: ["AllowedIPs = 10.45.0.0/16", ENDPOINT] },
  });
  match(plan, /^note: PostUp has changed since up; hooks are not run now, but at the next up$/m);
  match(plan, /^note: PreDown has changed .* at the next down$/m);
  const [addresses, routes] = [
    await host.quick.host.must(["ip", "address"]),
    await host.quick.host.must(["ip", "route"]),
  ];
  match(addresses, /10\.66\.0\.1\/24/);
  match(routes, /10\.67\.0\.0\/16/);
  match(routes, /10\.45\.0\.0\/16/);
  equal(/10\.44\.0\.0/.test(routes), false);
});

netnsTest("culvert apply that fails in the middle restores what was", NEEDS, async () => {
  await using host = await ApplyHost.open();
  const before = await host.view();
  const { host: machine } = host.quick;
  await machine.must(["ip", "route", "add", "10.50.0.0/16", "via", "10.78.0.2"]);
  const withRoute = await host.view();
  const versions: Version[] = [
    { interface: BASE, peers: { 0: [...SPLIT, PSK], 1: ["AllowedIPs = 10.45.0.0/16"] } },
    { interface: [...BASE, "# @kill-switch = on"], peers: { 0: FULL } },
  ];
  for (const version of versions) {
    await host.up(version);
    const view = await host.view();
    // The route is somebody else's: by then addresses, keys, peers and the kill switch are changed.
    await host.write({
      interface: ["ListenPort = 53000", "Address = 10.10.0.1/24", "MTU = 1300", "FwMark = 5"],
      peers: { 0: ["AllowedIPs = 10.50.0.0/16", OTHER_PSK], 3: ["AllowedIPs = 10.45.0.0/16"] },
    });
    const { code, stderr } = await host.run("apply", host.file);
    equal(code, 1);
    match(stderr, /^culvert: cannot add the route 10\.50\.0\.0\/16: [^\n]*another interface has that route\n$/);
    const restored = await host.view();
    deepEqual(restored, view, differing(restored, view));
    await host.down();
    deepEqual(await host.view(), withRoute);
  }
  await machine.must(["ip", "route", "delete", "10.50.0.0/16"]);
  deepEqual(await host.view(), before);
});

netnsTest("culvert apply restores the host when the interface refuses its part", [...NEEDS, "ncat"], async () => {
  await using host = await ApplyHost.open();
  const before = await host.view();
  await host.up({ interface: [...BASE, "# @kill-switch = on"], peers: { 0: FULL } });
  const holder = await host.quick.host.takePort(53000);
  const view = await host.view();
  await host.write({ interface: ["ListenPort = 53000", "Address = 10.10.0.1/24", "FwMark = 5"], peers: { 0: FULL } });
  const { code, stderr } = await host.run("apply", host.file);
  equal(code, 1);
  match(stderr, /^culvert: [^\n]*Address already in use\n$/);
  const restored = await host.view();
  deepEqual(restored, view, differing(restored, view));
  await holder[Symbol.asyncDispose]();
  await host.down();
  deepEqual(await host.view(), before);
});

netnsTest("culvert apply refuses what it cannot do in one line, and changes nothing", NEEDS, async () => {
  await using host = await ApplyHost.open();
  const version = { interface: BASE, peers: { 0: SPLIT } };
  await host.write(version);
  equal(
    (await host.run("apply", host.file)).stderr,
    `culvert: ${host.name} is not up; bring it up with: culvert up ${host.name}\n`,
  );
  await host.up(version);
  const view = await host.view();
  const mistakes: [Version, RegExp][] = [
    [{ interface: [...BASE, "Adress = 1"], peers: { 0: SPLIT } }, /:\d+: Adress: Line unrecognized/],
    [{ interface: BASE, peers: { 0: ["AllowedIPs = 10.0.0.0/33"] } }, /:\d+: AllowedIPs: /],
    [{ interface: [...BASE, "Table = nosuchtable"], peers: { 0: SPLIT } }, /no routing table "nosuchtable"/],
  ];
  for (const [mistaken, reason] of mistakes) {
    await host.write(mistaken);
    const { code, stderr } = await host.run("apply", host.name);
    equal(code, 1);
    match(stderr, reason);
    match(stderr, /^culvert: [^\n]+\n$/);
    deepEqual(await host.view(), view);
  }
});
