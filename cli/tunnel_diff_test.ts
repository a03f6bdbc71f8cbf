import assert from "node:assert/strict";
import type { PeerStatus } from "../control/uapi_status.ts";
import { encodeBase64 } from "../crypto/encoding.ts";
import { generatePresharedKey } from "../host/keys.ts";
import type { Applied } from "../host/state.ts";
import { MARK_TO_CHOOSE, planChange } from "./tunnel_diff.ts";
import { planJson, planText } from "./tunnel_plan_text.ts";
import { asTarget, type Present } from "./tunnel_present.ts";
import type { PeerTarget, Target } from "./tunnel_target.ts";
import { decodeTarget, encodeTarget } from "./tunnel_target_file.ts";
import { RESET, YELLOW } from "./wg_colors.ts";

const [ALICE, BOB, CAROL] = [1, 2, 3].map((fill) => new Uint8Array(32).fill(fill));
const [alice, bob, carol] = [ALICE, BOB, CAROL].map((key) => encodeBase64(key));

const APPLIED: Applied = {
  fwmark: 0,
  mtu: 1420,
  isKillSwitchForced: false,
  endpoints: { [alice]: "vpn.example:51820" },
  addresses: ["10.9.0.1/24"],
  routes: ["10.44.0.0/16 254"],
  servers: [],
  search: [],
  hooks: {},
};

Deno.test("planChange() plans nothing for what is so already, however it was found", () => {
  const present = presentWith([peerOf(ALICE, ["10.44.0.0/16"], { endpoint: "192.0.2.1:1", presharedKey: key(7) })]);
  const plan = planChange(present, asTarget(present));
  assert.deepEqual(plan.differences, []);
  assert.deepEqual(plan.device.peers, []);
  assert.equal(plan.mark, null);
});

Deno.test("planChange() asks for the peers that differ alone, and of them for what differs", () => {
  const present = presentWith([peerOf(ALICE, ["10.1.0.0/16", "10.2.0.0/16"]), peerOf(BOB, ["10.3.0.0/16"])]);
  const target = targetWith(present, { [alice]: { allowedIps: ["10.2.0.0/16", "10.4.0.0/16"], keepalive: 25 } });
  const { device, differences } = planChange(present, target);
  assert.equal(device.peers.length, 1);
  const [change] = device.peers;
  assert.deepEqual(change.publicKey, ALICE);
  assert.equal(change.replaceAllowedIps, false);
  assert.equal(change.presharedKey, null);
  assert.equal(change.endpoint, null);
  assert.equal(change.keepalive, 25);
  assert.deepEqual(change.allowedIps.map(({ address, remove }) => [address[1], remove]), [[4, false], [1, true]]);
  assert.deepEqual(differences.map(({ op, what }) => `${op} ${what}`), [
    "change keepalive",
    "add allowed-ip",
    "remove allowed-ip",
  ]);
});

Deno.test("planChange() compares names of endpoints, and tells them anew behind an endpoint that changes", () => {
  const names = ["vpn.example:51820", "other.example:51820"];
  const present = presentWith([peerOf(ALICE, [], { endpoint: "192.0.2.1:1", endpointNames: names })]);
  const planWith = (change: Partial<PeerTarget>, from = present): ReturnType<typeof planChange> =>
    planChange(from, targetWith(from, { [alice]: change }));
  assert.deepEqual(planWith({}).differences, []);
  const fewer = planWith({ endpointNames: [names[0]] });
  assert.deepEqual(fewer.device.peers.map(({ endpoint, endpointNames }) => [endpoint, endpointNames]), [
    [null, [names[0]]],
  ]);
  assert.equal(
    planText(fewer.differences, [], false),
    `~ peer ${alice}: endpoint names: ${names.join(", ")} -> ${names[0]}\n`,
  );
  const moved = planWith({ endpointText: "new.example:1", endpoint: "192.0.2.7:1", endpointNames: ["new.example:1"] });
  assert.deepEqual(moved.differences.map(({ what, to }) => [what, to]), [["endpoint", "new.example:1"]]);
  assert.deepEqual(moved.device.peers[0].endpointNames, ["new.example:1"]);
  const kernel = { ...present, status: { ...present.status, features: [] } };
  assert.deepEqual(planWith({ endpointNames: [] }, kernel).differences, []);
});

Deno.test("planChange() removes peers last, so that an allowed IP that moves has an owner all the time", () => {
  const present = presentWith([peerOf(BOB, ["10.3.0.0/16"])]);
  const peers = new Map([[carol, { ...asTarget(present).peers.get(bob)!, publicKey: CAROL }]]);
  const { device } = planChange(present, { ...asTarget(present), peers });
  assert.deepEqual(device.peers.map(({ remove }) => remove), [false, true]);
  assert.equal(device.replacePeers, false);
});

Deno.test("planChange() takes a roamed peer for unchanged, and another endpoint in the file for a change", () => {
  const present = presentWith([peerOf(ALICE, [], { endpoint: "198.51.100.9:7" })]);
  const same = targetWith(present, { [alice]: { endpointText: "vpn.example:51820", endpoint: "192.0.2.1:51820" } });
  assert.deepEqual(planChange(present, same).differences, []);
  const other = targetWith(present, { [alice]: { endpointText: "192.0.2.2:51820", endpoint: "192.0.2.2:51820" } });
  const { differences, device } = planChange(present, other);
  assert.deepEqual(differences.map(({ what, from, to }) => [what, from, to]), [
    ["endpoint", "vpn.example:51820", "192.0.2.2:51820"],
  ]);
  assert.notEqual(device.peers[0].endpoint, null);
  const none = targetWith(present, { [alice]: { endpointText: null, endpoint: null } });
  assert.deepEqual(planChange(present, none).differences, []);
});

Deno.test("planChange() leaves alone addresses and routes that are not written down as ours", () => {
  const present = {
    ...presentWith([]),
    addresses: ["10.9.0.1/24", "10.66.0.1/24"],
    routes: ["10.44.0.0/16 254", "10.67.0.0/16 254"],
  };
  const { host } = planChange(present, { ...asTarget(present), addresses: ["10.9.0.2/24"], routes: [] });
  assert.deepEqual(host.addAddresses, ["10.9.0.2/24"]);
  assert.deepEqual(host.removeAddresses, ["10.9.0.1/24"]);
  assert.deepEqual([host.addRoutes, host.removeRoutes], [[], ["10.44.0.0/16 254"]]);
});

Deno.test("planChange() chooses a mark where one is needed, and moves what is taken when it changes", () => {
  const present = presentWith([]);
  const full: Target = { ...asTarget(present), defaults: [4], isMarkChosen: true };
  const taken = planChange(present, full);
  assert.equal(taken.mark, MARK_TO_CHOOSE);
  assert.deepEqual([taken.host.take, taken.host.move, taken.host.release], [[4], [], []]);
  const status = { ...present.status, fwmark: 51820 };
  const up: Present = { ...present, status, mark: 51820, defaults: [4, 6], begun: [4, 6] };
  const moved = planChange(up, { ...asTarget(up), fwmark: 7, isMarkChosen: false, defaults: [6] });
  assert.equal(moved.mark, 7);
  assert.deepEqual([moved.host.take, moved.host.move, moved.host.release], [[], [6], [4]]);
});

Deno.test("a plan shows no secret as text or JSON", () => {
  const [before, after] = [generatePresharedKey(), generatePresharedKey()];
  const present = presentWith([peerOf(ALICE, [], { presharedKey: before })]);
  const target = targetWith(present, { [alice]: { presharedKey: after } });
  const { differences } = planChange(present, { ...target, privateKey: key(9) });
  const facts = { interface: "wg0", file: "/x", isApplied: false, confirm: null };
  const shown = planText(differences, ["n"], false) + planJson(facts, differences, []);
  for (const secret of [before, after, key(9), key(5)]) assert.equal(shown.includes(encodeBase64(secret)), false);
  assert.equal(
    planText(differences, ["n"], false),
    `~ private key: changed\n~ peer ${alice}: preshared key: changed\nnote: n\n`,
  );
  assert.ok(planText(differences, [], true).startsWith(`${YELLOW}~ private key: changed${RESET}\n`));
  assert.equal(JSON.parse(planJson(facts, differences, [])).changes, 2);
});

Deno.test("decodeTarget() reads what encodeTarget() wrote", () => {
  const present = presentWith([peerOf(ALICE, ["10.1.0.0/16"], { presharedKey: key(7) }), peerOf(BOB, [])]);
  const target = asTarget(present);
  assert.deepEqual(decodeTarget(JSON.parse(JSON.stringify(encodeTarget(target)))), target);
});

function key(fill: number): Uint8Array {
  return new Uint8Array(32).fill(fill + 100);
}

function peerOf(publicKey: Uint8Array, allowedIps: string[], rest: Partial<PeerStatus> = {}): PeerStatus {
  return {
    publicKey,
    presharedKey: null,
    endpoint: null,
    lastHandshakeSeconds: 0,
    lastHandshakeNanoseconds: 0,
    txBytes: 0,
    rxBytes: 0,
    persistentKeepalive: 0,
    allowedIps,
    endpointNames: [],
    drops: new Map(),
    ...rest,
  };
}

function presentWith(peers: PeerStatus[]): Present {
  return {
    status: {
      privateKey: key(5),
      listenPort: 51820,
      fwmark: 0,
      peers,
      drops: new Map(),
      features: ["endpoints"],
      dns: [],
    },
    addresses: ["10.9.0.1/24"],
    routes: ["10.44.0.0/16 254"],
    defaults: [],
    begun: [],
    mtu: 1420,
    isUp: true,
    killSwitch: false,
    passes: [],
    mark: 0,
    port: 0,
    applied: APPLIED,
  };
}

/** The present with some peers changed. */
function targetWith(present: Present, changes: Readonly<Record<string, Partial<PeerTarget>>>): Target {
  const target = asTarget(present);
  const peers = [...target.peers].map(([name, peer]) => [name, { ...peer, ...changes[name] }] as const);
  return { ...target, peers: new Map(peers) };
}
