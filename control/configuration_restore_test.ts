import assert from "node:assert/strict";
import { realSuite } from "../crypto/real_suite.ts";
import type { DeviceCommand, PlaneCommand } from "../tunnel/commands.ts";
import { ENDPOINT_BYTES, ENDPOINT_SOURCE, endpointRecord } from "../tunnel/endpoint.ts";
import type { DeviceTables } from "../tunnel/tables.ts";
import { Configuration, type ConfigurationTarget, type TargetRecovery } from "./configuration.ts";
import { MemoryTarget } from "./memory_target.ts";
import type { SetStatement } from "./uapi_request.ts";

const key = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const NET = Uint8Array.of(10, 0, 0, 0);
const NET6 = Uint8Array.of(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

/** A target whose memory can be exchanged for an empty one. */
class ForgetfulTarget implements ConfigurationTarget, TargetRecovery {
  memory = new MemoryTarget(4);
  lost: DeviceTables | null = null;
  gate: Promise<void> = Promise.resolve();

  get tables(): DeviceTables {
    return this.lost ?? this.memory.tables;
  }

  get listenPort(): number {
    return this.memory.listenPort;
  }

  get recovery(): TargetRecovery {
    return this;
  }

  apply(plane: PlaneCommand[], device: Iterable<DeviceCommand>): Promise<void> {
    return this.memory.apply(plane, device);
  }

  ready(): Promise<void> {
    return this.gate;
  }

  restored(): void {
    this.lost = null;
  }

  forget(): void {
    this.lost = this.memory.tables;
    this.memory = new MemoryTarget(4);
  }
}

const STATEMENTS: readonly SetStatement[] = [
  { key: "private_key", value: key(1) },
  { key: "public_key", value: key(7) },
  { key: "public_key", value: key(2) },
  { key: "preshared_key", value: key(3) },
  { key: "endpoint", value: endpointRecord(Uint8Array.of(192, 0, 2, 1), 51820) },
  { key: "persistent_keepalive_interval", value: 25 },
  { key: "allowed_ip", address: NET, cidr: 8, remove: false },
  { key: "allowed_ip", address: NET6, cidr: 8, remove: false },
  { key: "public_key", value: key(4) },
  { key: "allowed_ip", address: NET6, cidr: 16, remove: false },
  { key: "public_key", value: key(7) },
  { key: "remove" },
];

const fresh = (): SetStatement[] => structuredClone(STATEMENTS) as SetStatement[];

Deno.test("Configuration.restore() makes of an empty target what it was, slots, keys and endpoints included", async () => {
  const target = new ForgetfulTarget();
  const configuration = new Configuration({ suite: realSuite, target });
  assert.equal(await configuration.set(fresh()), 0);
  // The peer has been seen elsewhere since, and heard at one of our addresses.
  const seen = endpointRecord(Uint8Array.of(192, 0, 2, 9), 4000);
  seen.fill(1, ENDPOINT_SOURCE, ENDPOINT_SOURCE + 4);
  const before = target.memory;
  const slot = [...before.peers].find(([, { keepalive }]) => keepalive === 25)![0];
  before.tables.endpoints.set(seen, slot * ENDPOINT_BYTES);
  target.forget();
  await configuration.restore();
  assert.equal(target.lost, null);
  const view = ({ privateKey, peers }: MemoryTarget): unknown => [
    privateKey,
    [...peers].map(([slot, { timesConfigured: _, ...peer }]) => [slot, peer]).sort(),
  ];
  assert.deepEqual(view(target.memory), view(before));
  const record = new Uint8Array(ENDPOINT_BYTES);
  target.tables.readEndpoint(slot, record);
  assert.deepEqual(record, endpointRecord(Uint8Array.of(192, 0, 2, 9), 4000));
});

Deno.test("Configuration.restore() does nothing where nothing is lost", async () => {
  const target = new ForgetfulTarget();
  const configuration = new Configuration({ suite: realSuite, target });
  await configuration.set(fresh());
  const { length } = target.memory.applied;
  await configuration.restore();
  assert.equal(target.memory.applied.length, length);
});

Deno.test("Configuration.restore() calls peers that had a session, and leaves their interval as it was", async () => {
  const target = new ForgetfulTarget();
  const configuration = new Configuration({ suite: realSuite, target });
  await configuration.set(fresh());
  const slots = [...target.memory.peers].map(([slot]) => slot);
  target.tables.lastHandshake[slots[1]] = Date.now() - 100_000;
  target.forget();
  await configuration.restore();
  const calls = (slot: number): unknown[] =>
    target.memory.applied.filter((command) => "peer" in command && command.peer === slot)
      .flatMap((command): unknown[] =>
        command.op === "keepalive" ? [command.seconds] : command.op === "peer-configured" ? [command.op] : []
      );
  assert.deepEqual(calls(slots[0]), [25, "peer-configured"]);
  assert.deepEqual(calls(slots[1]), [1, "peer-configured", 0]);
});

Deno.test("Configuration.set() waits for a target that is not ready, and restores it first", async () => {
  const target = new ForgetfulTarget();
  const configuration = new Configuration({ suite: realSuite, target });
  await configuration.set(fresh());
  target.forget();
  const { promise, resolve } = Promise.withResolvers<void>();
  target.gate = promise;
  const request = configuration.set([
    { key: "public_key", value: key(2) },
    { key: "persistent_keepalive_interval", value: 7 },
  ]);
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(target.memory.applied.length, 0);
  resolve();
  assert.equal(await request, 0);
  const [peer] = [...target.memory.peers.values()].filter(({ keepalive }) => keepalive > 0);
  assert.deepEqual([peer.keepalive, peer.allowedIps.size], [7, 2]);
});
