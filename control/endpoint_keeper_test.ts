import assert from "node:assert/strict";
import { realSuite } from "../crypto/real_suite.ts";
import { formatEndpoint, parseAddress } from "../tunnel/address_text.ts";
import type { DeviceCommand } from "../tunnel/commands.ts";
import { endpointRecord } from "../tunnel/endpoint.ts";
import { TIMERS_PER_PEER } from "../tunnel/tables.ts";
import { NEW_HANDSHAKE, RETRANSMIT_HANDSHAKE } from "../tunnel/timers.ts";
import { Configuration } from "./configuration.ts";
import { EndpointKeeper } from "./endpoint_keeper.ts";
import { MemoryTarget } from "./memory_target.ts";
import type { SetStatement } from "./uapi_request.ts";
import type { LookupResult } from "./watched_host.ts";

const KEY = new Uint8Array(32).fill(3);
const NAME = "vpn.example:51820";

/** A keeper over a configuration in memory, with a clock and a zone that the test sets. */
class Scene {
  now = 1_000_000;
  readonly zone = new Map<string, LookupResult>();
  readonly asked: string[] = [];
  readonly told: string[] = [];
  readonly target = new MemoryTarget(8);
  readonly configuration = new Configuration({ suite: realSuite, target: this.target });
  readonly keeper: EndpointKeeper;

  constructor() {
    this.target.tables.deadlines.fill(Infinity);
    this.keeper = new EndpointKeeper({
      configuration: this.configuration,
      tables: () => this.target.tables,
      lookup: (host, { mark, dns }) => {
        this.asked.push([host, mark, ...dns].join(" "));
        return Promise.resolve(this.zone.get(host) ?? { failure: "it does not exist" });
      },
      now: () => this.now,
      log: { info: (text) => this.told.push(text), debug: () => {} },
      random: () => 0.5,
    });
    this.configuration.onNames = () => void this.keeper.refresh();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await settled();
    this.keeper.close();
  }

  /** One set request. */
  async set(...statements: SetStatement[]): Promise<void> {
    assert.equal(await this.configuration.set(statements), 0);
    await settled();
  }

  async named(...names: string[]): Promise<void> {
    const endpoint = endpointRecord(Uint8Array.of(192, 0, 2, 1), 51820);
    await this.set(
      { key: "public_key", value: KEY },
      { key: "endpoint", value: endpoint },
      ...names.map((value) => ({ key: "culvert_endpoint", value } as const)),
    );
  }

  leadsTo(host: string, ...addresses: string[]): void {
    this.zone.set(host, { addresses: addresses.map((text) => parseAddress(text)!), ttl: 100 });
  }

  /** As the device notes it. */
  silentFor(seconds: number): void {
    const since = this.now - 1000 * seconds;
    this.target.tables.deadlines[NEW_HANDSHAKE] = since + 15_000;
  }

  initiatingFor(seconds: number): void {
    this.target.tables.deadlines[RETRANSMIT_HANDSHAKE] = this.now - 1000 * seconds + 5_000;
  }

  answers(): void {
    this.target.tables.deadlines.fill(Infinity, 0, TIMERS_PER_PEER);
  }

  async after(seconds: number): Promise<void> {
    this.now += 1000 * seconds;
    this.keeper.look();
    await settled();
  }

  get candidates(): string[] | null {
    return this.target.peers.get(0)?.candidates ?? null;
  }

  /** How often a silent peer was called anew. */
  get races(): number {
    return this.target.applied.filter((command) => command.op === "end-candidates" && command.isSilent).length;
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

Deno.test("EndpointKeeper tells the device what the names lead to, the first of each first, 8 at most", async () => {
  await using scene = new Scene();
  scene.leadsTo("vpn.example", "2001:db8::1", "192.0.2.1");
  scene.leadsTo("many.example", ...Array.from({ length: 9 }, (_, i) => `198.51.100.${i}`));
  await scene.set({ key: "culvert_dns", value: "nameserver 192.0.2.53" }, { key: "fwmark", value: 7 });
  await scene.named(NAME, "[2001:db8::9]:4", "many.example:5");
  assert.deepEqual(scene.candidates, [
    "[2001:db8::1]:51820",
    "[2001:db8::9]:4",
    "198.51.100.0:5",
    "192.0.2.1:51820",
    ...[1, 2, 3, 4].map((i) => `198.51.100.${i}:5`),
  ]);
  assert.deepEqual(scene.asked, ["vpn.example 7 nameserver 192.0.2.53", "many.example 7 nameserver 192.0.2.53"]);
  assert.equal(formatEndpoint(scene.target.tables.endpoints, 0), "192.0.2.1:51820");
});

Deno.test("EndpointKeeper looks names up again when their time is over, not before", async () => {
  await using scene = new Scene();
  scene.leadsTo("vpn.example", "192.0.2.1");
  await scene.named(NAME);
  await scene.after(99);
  assert.equal(scene.asked.length, 1);
  scene.leadsTo("vpn.example", "192.0.2.2");
  await scene.after(1);
  assert.equal(scene.asked.length, 2);
  assert.deepEqual(scene.candidates, ["192.0.2.2:51820"]);
  assert.equal(scene.races, 0);
  scene.zone.set("vpn.example", { addresses: [Uint8Array.of(192, 0, 2, 3)], ttl: 1 });
  await scene.after(100);
  await scene.after(29);
  assert.equal(scene.asked.length, 3);
  await scene.after(1);
  assert.equal(scene.asked.length, 4);
});

Deno.test("EndpointKeeper looks again after 3 s of silence and then every 5 s, and has a new place called at once", async () => {
  await using scene = new Scene();
  scene.leadsTo("vpn.example", "192.0.2.1");
  await scene.named(NAME);
  await scene.after(20);
  scene.silentFor(2);
  await scene.after(0);
  assert.equal(scene.asked.length, 1);
  scene.silentFor(3);
  await scene.after(0);
  assert.equal(scene.asked.length, 2);
  assert.equal(scene.races, 0, "the name leads where the peer is");
  scene.leadsTo("vpn.example", "192.0.2.9");
  await scene.after(4);
  assert.equal(scene.asked.length, 2);
  await scene.after(1);
  assert.equal(scene.asked.length, 3);
  assert.equal(scene.races, 1);
  // It was at another place already when it fell silent: that is known without asking.
  scene.answers();
  await scene.after(30);
  scene.silentFor(3);
  await scene.after(0);
  assert.equal(scene.races, 2);
  // Silent as it may still be, it is not called again and again.
  await scene.after(6);
  await scene.after(6);
  assert.equal(scene.races, 2);
});

Deno.test("EndpointKeeper leaves a peer that answers where it is", async () => {
  await using scene = new Scene();
  scene.leadsTo("vpn.example", "192.0.2.9");
  await scene.named(NAME);
  for (let i = 0; i < 10; i++) await scene.after(100);
  assert.equal(scene.races, 0);
  assert.equal(formatEndpoint(scene.target.tables.endpoints, 0), "192.0.2.1:51820");
});

Deno.test("EndpointKeeper looks again when an initiation is unanswered for a second", async () => {
  await using scene = new Scene();
  scene.leadsTo("vpn.example", "192.0.2.1");
  await scene.named(NAME);
  await scene.after(20);
  scene.initiatingFor(0.5);
  await scene.after(0);
  assert.equal(scene.asked.length, 1);
  scene.initiatingFor(1);
  scene.leadsTo("vpn.example", "192.0.2.2");
  await scene.after(0);
  assert.equal(scene.asked.length, 2);
  assert.equal(scene.races, 1);
});

Deno.test("EndpointKeeper backs off from failures, says when they begin and end, and keeps what it knew", async () => {
  await using scene = new Scene();
  scene.leadsTo("vpn.example", "192.0.2.2");
  await scene.named(NAME);
  scene.zone.delete("vpn.example");
  await scene.after(100);
  const times: number[] = [];
  for (let second = 0; second < 300; second++) {
    scene.silentFor(4);
    const before = scene.asked.length;
    await scene.after(1);
    if (scene.asked.length > before) times.push(second + 1);
  }
  assert.deepEqual(times.slice(0, 6), [5, 15, 35, 75, 135, 195]);
  assert.deepEqual(scene.told, ["cannot look up vpn.example: it does not exist; its last known addresses stay"]);
  assert.deepEqual(scene.candidates, ["192.0.2.2:51820"]);
  scene.leadsTo("vpn.example", "192.0.2.3");
  scene.keeper.networkChanged();
  await settled();
  assert.deepEqual(scene.told.slice(1), ["vpn.example can be looked up again"]);
  assert.deepEqual(scene.candidates, ["192.0.2.3:51820"]);
});

Deno.test("EndpointKeeper follows the configuration", async () => {
  await using scene = new Scene();
  scene.leadsTo("vpn.example", "192.0.2.2");
  await scene.named(NAME);
  const commands = (): DeviceCommand["op"][] =>
    scene.target.applied.splice(0).map(({ op }) => op as DeviceCommand["op"]);
  commands();
  await scene.named(NAME);
  assert.deepEqual(commands(), ["endpoint", "peer-configured", "begin-candidates", "candidate", "end-candidates"]);
  // A peer that is made anew has to be told of anew.
  await scene.set(
    { key: "replace_peers" },
    { key: "public_key", value: KEY },
    { key: "culvert_endpoint", value: NAME },
  );
  assert.deepEqual(scene.candidates, ["192.0.2.2:51820"]);
  assert.equal(scene.asked.length, 1);
  commands();
  // An endpoint of its own takes the names away.
  await scene.named();
  assert.deepEqual(commands(), ["endpoint", "forget-candidates", "peer-configured"]);
  assert.equal(scene.candidates, null);
  await scene.after(200);
  assert.equal(scene.asked.length, 1);
  await scene.named(NAME);
  await scene.set({ key: "public_key", value: KEY }, { key: "remove" });
  scene.silentFor(9);
  await scene.after(200);
  assert.equal(scene.asked.length, 2);
});

Deno.test("EndpointKeeper looks a name up once for all peers that have it", async () => {
  await using scene = new Scene();
  scene.leadsTo("vpn.example", "192.0.2.2");
  const statements = [1, 2, 3, 4].flatMap((i): SetStatement[] => [
    { key: "public_key", value: new Uint8Array(32).fill(i) },
    { key: "culvert_endpoint", value: `vpn.example:${i}` },
  ]);
  await scene.set(...statements);
  assert.equal(scene.asked.length, 1);
  for (let slot = 0; slot < 4; slot++) {
    assert.deepEqual(scene.target.peers.get(slot)?.candidates, [`192.0.2.2:${slot + 1}`]);
  }
});
