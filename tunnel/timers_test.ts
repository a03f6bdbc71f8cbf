import assert from "node:assert/strict";
import { DeviceTables, TIMERS_PER_PEER } from "./tables.ts";
import { type TimerActions, Timers } from "./timers.ts";

/** More than one block, the last one begun. */
const PEERS = 700;

Deno.test("Timers.expire() runs just what a scan of all deadlines finds, in the order of slots", () => {
  const tables = DeviceTables.create({ peers: PEERS, keypairs: 1 });
  const ran: number[] = [];
  const run = (peer: number): void => void (ran.at(-1) === peer || ran.push(peer));
  const actions: TimerActions = {
    initiate: run,
    sendKeepalive: run,
    zeroKeys: run,
    dropStaged: run,
    clearSource: () => {},
  };
  let state = 11;
  const random = (below: number): number => (state = (state * 48_271) % 0x7fff_ffff) % below;
  const timers = new Timers(tables, actions, () => random(1000) / 1000);
  let [now, expiries, idle] = [0, 0, 0];
  for (let peer = 0; peer < PEERS; peer++) timers.reset(peer);
  for (let step = 0; step < 20_000; step++) {
    happen(timers, random(9), random(PEERS), now, random);
    if (random(4) > 0) continue;
    now += random(10) === 0 ? random(30_000) : random(300);
    const due = [...dueIn(tables, now)];
    assert.ok(timers.earliest <= Math.min(...tables.deadlines), `step ${step}: a deadline would be missed`);
    timers.expire(now);
    assert.deepEqual(ran, due, `step ${step}`);
    expiries += ran.length;
    idle += ran.length === 0 ? 1 : 0;
    ran.length = 0;
    assert.ok(timers.earliest > now || dueIn(tables, now).length > 0, `step ${step}: it would be called again at once`);
  }
  assert.ok(expiries > 1_000 && idle > 100, `${expiries} expiries, ${idle} passes without one`);
});

Deno.test("Timers.earliest is Infinity again when the last deadline has expired or was stopped", () => {
  const tables = DeviceTables.create({ peers: PEERS, keypairs: 1 });
  const nothing = (): void => {};
  const actions = { initiate: nothing, sendKeepalive: nothing, dropStaged: nothing, zeroKeys: nothing };
  const timers = new Timers(tables, { ...actions, clearSource: nothing }, () => 0);
  for (let peer = 0; peer < PEERS; peer++) timers.reset(peer);
  timers.sessionDerived(PEERS - 1, 0);
  timers.dataReceived(130, 0);
  timers.stop(130);
  assert.ok(timers.earliest < Infinity);
  timers.expire(600_000);
  assert.equal(timers.earliest, Infinity);
});

/** Peers with a deadline that has come. */
function dueIn(tables: DeviceTables, now: number): number[] {
  const due: number[] = [];
  for (let peer = 0; peer < PEERS; peer++) {
    const deadlines = tables.deadlines.subarray(peer * TIMERS_PER_PEER, (peer + 1) * TIMERS_PER_PEER);
    if (deadlines.some((at) => at <= now)) due.push(peer);
  }
  return due;
}

function happen(timers: Timers, event: number, peer: number, now: number, random: (below: number) => number): void {
  switch (event) {
    case 0:
      return timers.dataSent(peer, now);
    case 1:
      return timers.dataReceived(peer, now);
    case 2:
      return timers.anyAuthenticatedPacketSent(peer);
    case 3:
      return timers.anyAuthenticatedPacketReceived(peer);
    case 4:
      timers.setPersistentKeepalive(peer, random(3) * 5_000);
      return timers.anyAuthenticatedPacketTraversal(peer, now);
    case 5:
      return timers.handshakeInitiated(peer, now);
    case 6:
      return timers.handshakeComplete(peer);
    case 7:
      return timers.sessionDerived(peer, now);
    case 8:
      return random(5) === 0 ? timers.reset(peer) : timers.handshakeWanted(peer);
  }
}
