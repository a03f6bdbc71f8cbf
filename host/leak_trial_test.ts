import assert from "node:assert/strict";
import { addAddress } from "../ffi/address.ts";
import { getLink, setLinkUp } from "../ffi/link.ts";
import { openNetlink } from "../ffi/netlink.ts";
import { LONGEST_TAPPED, PacketTap } from "../ffi/packet_tap.ts";
import { ProbeSocket } from "../ffi/probe_socket.ts";
import { runText } from "../ffi/programs_fixture.ts";
import { inTestNamespace, rootTest } from "../ffi/testing.ts";
import { askedNeighbour, isProbe } from "./leak_packet.ts";
import { echoPayload, plainPayload, queryPayload } from "./leak_payload.ts";
import { surveyHost } from "./leak_scene.ts";
import { judgeReport } from "./leak_verdict.ts";
import type { Outcome, ProbeResult } from "./leak_trial.ts";

const FAR4 = Uint8Array.of(192, 0, 2, 9);
const NEAR4 = Uint8Array.of(10, 9, 0, 7);
const NEAR6 = Uint8Array.of(0xfd, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7);
const OPEN = { scope: 0, mark: 0, device: "" } as const;

rootTest("a probe of every kind is known again where it leaves, and by nothing else", () => {
  onVeth((index) => {
    using tap = PacketTap.open();
    const kinds = [
      ["udp", queryPayload()],
      ["tcp", plainPayload()],
      ["icmp", echoPayload(4)],
    ] as const;
    for (const [kind, payload] of kinds) {
      using socket = new ProbeSocket({ kind, address: NEAR4, port: kind === "icmp" ? 0 : 53, ...OPEN });
      const mark = { kind, token: payload.token, port: socket.port };
      assert.equal(socket.send(payload.bytes), 0);
      const packets = tap.take().filter((packet) => packet.index === index);
      assert.equal(packets.filter((packet) => isProbe(packet, mark)).length, 1, kind);
      const other = { kind, token: plainPayload().token, port: socket.port ^ 1 };
      assert.equal(packets.some((packet) => isProbe(packet, other)), false, kind);
      const [packet] = packets.filter((packet) => isProbe(packet, mark));
      assert.equal(packet.bytes[8], 1, "the hop limit");
    }
  });
});

rootTest("a probe whose next hop does not answer is known by the question for it", () => {
  onVeth((index) => {
    using tap = PacketTap.open();
    for (const address of [Uint8Array.of(10, 9, 0, 99), Uint8Array.of(...NEAR6.subarray(0, 15), 99)]) {
      using socket = new ProbeSocket({ kind: "udp", address, port: 4000, ...OPEN });
      assert.equal(socket.send(plainPayload().bytes), 0);
      const asked = tap.take().filter((packet) => packet.index === index).map(askedNeighbour);
      assert.equal(asked.some((each) => `${each}` === `${address}`), true, `${address}`);
    }
  });
});

rootTest("PacketTap takes no packet that is longer than it looks at, and none that arrives", () => {
  onVeth((index) => {
    using tap = PacketTap.open();
    for (const length of [LONGEST_TAPPED - 28, LONGEST_TAPPED - 27]) {
      using socket = new ProbeSocket({ kind: "udp", address: NEAR4, port: 4000, ...OPEN });
      assert.equal(socket.send(new Uint8Array(length)), 0);
    }
    const packets = tap.take().filter(({ protocol }) => protocol === 0x0800);
    assert.deepEqual(packets.map(({ index, bytes }) => [index, bytes.length]), [[index, LONGEST_TAPPED]]);
    assert.equal(tap.takeLosses(), 0);
  });
});

rootTest("surveyHost() finds gateways and members of the networks on the links, and leaves tunnels out", () => {
  onVeth(() => {
    ip("route", "add", "default", "via", "10.9.0.7");
    const [one] = surveyHost(["peer0"]).outside;
    assert.equal(one.name, "veth0");
    assert.deepEqual(one.neighbours.filter(({ isGateway }) => isGateway).map(({ address }) => address), [NEAR4]);
    const members = one.neighbours.filter(({ isGateway }) => !isGateway);
    assert.deepEqual(members.map(({ address }) => address.length).sort(), [16, 4].sort());
    for (const { address } of members) {
      assert.equal(`${address.subarray(0, 2)}`, address.length === 4 ? "10,9" : "253,9");
      assert.notEqual(`${address}`, "10,9,0,1");
    }
    assert.equal(surveyHost(["veth0", "peer0"]).outside.length, 0);
  });
});

Deno.test("judgeReport() calls tight only what a witness proves", () => {
  const results = (...outcomes: readonly (readonly [boolean, Outcome])[]): ProbeResult[] =>
    outcomes.map(([isWitness, outcome]) => ({
      probe: {
        what: "",
        kind: "udp",
        family: 4,
        address: FAR4,
        port: 9,
        ...OPEN,
        payload: plainPayload(),
        isWitness,
      },
      outcome,
      through: [],
      reason: "",
    }));
  const verdict = (losses: number, ...outcomes: readonly (readonly [boolean, Outcome])[]): string =>
    judgeReport({ results: results(...outcomes), losses, heldBack: null }).verdict;
  assert.equal(verdict(0, [true, "leaked"], [false, "blocked"], [false, "tunnel"]), "tight");
  assert.equal(verdict(0, [true, "leaked"], [true, "untested"], [false, "untested"]), "tight");
  assert.equal(verdict(0, [true, "leaked"], [false, "leaked"]), "leaking");
  assert.equal(verdict(9, [true, "unseen"], [false, "leaked"]), "leaking");
  assert.equal(verdict(1, [true, "leaked"], [false, "blocked"]), "unproven");
  assert.equal(verdict(0, [true, "blocked"], [false, "blocked"]), "unproven");
  assert.equal(verdict(0, [true, "untested"], [false, "blocked"]), "unproven");
  assert.equal(verdict(0, [true, "leaked"], [false, "unseen"]), "unproven");
  assert.equal(verdict(0, [false, "blocked"]), "unproven");
});

function ip(...words: readonly string[]): void {
  runText("ip", words);
}

/** Calls `f` in a namespace with a veth whose other end has NEAR4's link address but answers nothing. */
function onVeth(f: (index: number) => void): void {
  inTestNamespace(() => {
    ip("link", "add", "veth0", "type", "veth", "peer", "peer0");
    const netlink = openNetlink();
    try {
      for (const name of ["veth0", "peer0"]) {
        ip("link", "set", name, "addrgenmode", "none");
        setLinkUp(netlink, getLink(netlink, name)!.index);
      }
      const { index } = getLink(netlink, "veth0")!;
      addAddress(netlink, index, Uint8Array.of(10, 9, 0, 1), 24);
      ip("address", "add", "fd09::1/64", "dev", "veth0", "nodad");
      ip("neighbour", "add", "10.9.0.7", "lladdr", "02:00:00:00:00:07", "dev", "veth0");
      f(index);
    } finally {
      netlink.close();
    }
  });
}
