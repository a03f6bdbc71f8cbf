/** Under load: cookies instead of handshakes, and a rate limit for those who have one. */
import assert from "node:assert/strict";
import { CookieGenerator } from "../../tunnel/cookie.ts";
import { endpointRecord } from "../../tunnel/endpoint.ts";
import { INIT_BYTES, TYPE_COOKIE_REPLY, TYPE_INITIATION } from "../../tunnel/messages.ts";
import { BAD_HANDSHAKE, BAD_MAC1, RATE_LIMITED, UNDER_LOAD } from "../../tunnel/reasons.ts";
import { underLoad } from "./flood.ts";
import type { Host } from "./host.ts";
import type { Network } from "./network.ts";
import { acquaintances, strangers } from "./scene.ts";

/** The newest cookie reply on the wire. */
function lastCookie(datagrams: Uint8Array[]): Uint8Array {
  const reply = datagrams.findLast((datagram) => datagram[0] === TYPE_COOKIE_REPLY);
  assert.ok(reply, "no cookie reply was sent");
  return reply;
}

/** A stranger who knows the host's public key: valid MACs, worthless handshakes. */
class Stranger {
  readonly #host: Host;
  readonly #generator: CookieGenerator;
  readonly #record: Uint8Array;
  #sender = 0;

  constructor(host: Host, address: Uint8Array, port: number) {
    this.#host = host;
    this.#generator = new CookieGenerator(host.suite, host.publicKey);
    this.#record = endpointRecord(address, port);
  }

  call(): void {
    const message = new Uint8Array(INIT_BYTES);
    message[0] = TYPE_INITIATION;
    message[4] = ++this.#sender;
    this.#generator.addMacs(message, this.#host.network.now);
    this.#host.arrive(message, this.#record);
  }

  hear(reply: Uint8Array): void {
    assert.ok(this.#generator.consumeReply(reply, this.#host.network.now), "the cookie reply is not authentic");
  }
}

Deno.test("Device under load answers with a cookie and accepts the retry that carries it", () => {
  const { network, a, b, trace } = strangers(1);
  underLoad(b);
  a.send(b, 100);
  network.runUntil(8_000);
  const [, retry] = trace.times("initiation", a);
  trace.expect([
    [0, "A", "initiation", 148],
    [10, "B", "cookie", 64],
    [[5_000, 5_333], "A", "initiation", 148],
    [retry + 10, "B", "response", 92],
    [retry + 20, "A", "data", 144],
    [retry + 30, "B", "deliver", 100],
  ]);
  assert.equal(b.tables.deviceDrops[UNDER_LOAD], 1);
});

Deno.test("Device under load gives a new cookie to a caller whose port has changed", () => {
  const { network, a, b, trace } = strangers(2);
  underLoad(b);
  a.send(b, 100);
  network.runUntil(1_000);
  a.move(4, a.number, 999);
  network.runUntil(12_000);
  assert.equal(trace.times("cookie", b).length, 2);
  assert.equal(trace.times("response", b).length, 1);
  assert.equal(trace.times("deliver", b).length, 1);
});

Deno.test("Device under load serves nobody while cookie replies are lost, and everybody afterwards", () => {
  const { network, a, b, trace } = strangers(3);
  const load = underLoad(b);
  b.uplink.filter = (datagram) => datagram[0] === TYPE_COOKIE_REPLY;
  a.send(b, 100);
  network.runUntil(30_000);
  assert.ok(trace.times("cookie").length >= 5);
  assert.equal(trace.times("response").length, 0);
  load.stop();
  network.runUntil(40_000);
  assert.equal(trace.times("deliver", b).length, 1);
});

Deno.test("Device uses a cookie for 120 s and not longer", () => {
  const { network, a, b, trace } = strangers(4);
  const load = underLoad(b);
  a.send(b, 100);
  network.runUntil(10_000);
  load.stop();
  const hasMac2 = (datagram: Uint8Array): boolean => datagram.subarray(-16).some((byte) => byte !== 0);
  const initiations = (): Uint8Array[] => trace.datagrams.filter((datagram) => datagram[0] === TYPE_INITIATION);
  assert.deepEqual(initiations().map(hasMac2), [false, true]);
  // The session dates from 5 s; the first packet after 125 s rekeys, with a cookie of 20 ms: too old.
  network.runUntil(126_000);
  a.send(b, 100);
  network.runUntil(127_000);
  assert.deepEqual(initiations().map(hasMac2), [false, true, false]);
});

Deno.test("Device under load keeps its sessions going", () => {
  const { network, a, b } = acquaintances(5);
  underLoad(b);
  const start = network.packets.records.length;
  while (network.now < 100_000) {
    a.send(b, 100);
    b.send(a, 100);
    network.run(500);
  }
  network.run(100);
  assert.ok(network.packets.records.every((record, id) => id < start || record.deliveredAt >= 0));
});

Deno.test("Device under load stays silent to messages without a valid mac1", () => {
  const { network, b, trace } = strangers(6);
  underLoad(b);
  network.runUntil(10_000);
  assert.equal(trace.events.length, 0);
  assert.ok(b.tables.deviceDrops[BAD_MAC1] > 10_000);
});

/** Calls at once, then every 10 ms for 5 s; returns how many got through to the handshake each time. */
function rate(network: Network, host: Host, strangers: Stranger[], cookies: () => Uint8Array): [number, number] {
  for (const stranger of strangers) {
    stranger.call();
    stranger.hear(cookies());
  }
  network.run(2_000);
  const served = (): number => host.tables.deviceDrops[BAD_HANDSHAKE];
  const before = served();
  for (let i = 0; i < 100; i++) strangers[i % strangers.length].call();
  const burst = served() - before;
  for (let i = 0; i < 500; i++) {
    network.run(10);
    strangers[i % strangers.length].call();
  }
  return [burst, served() - before - burst];
}

Deno.test("Device under load serves 20 handshakes a second with a burst of 5 to one IPv4 address", () => {
  const { network, b, trace } = strangers(7);
  underLoad(b);
  const address = new Uint8Array([198, 51, 100, 7]);
  const callers = [new Stranger(b, address, 1000), new Stranger(b, address, 1001)];
  const [burst, sustained] = rate(network, b, callers, () => lastCookie(trace.datagrams));
  assert.equal(burst, 5);
  assert.ok(sustained >= 99 && sustained <= 101, `${sustained} in 5 s`);
  assert.ok(b.tables.deviceDrops[RATE_LIMITED] > 0);
  assert.equal(trace.times("response").length, 0);
});

Deno.test("Device under load limits an IPv6 /64 as one source, and another /64 on its own", () => {
  const { network, b, trace } = strangers(8, { family: 6 });
  underLoad(b);
  const address = (subnet: number, host: number): Uint8Array => {
    const bytes = new Uint8Array(16);
    bytes.set([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, subnet]);
    bytes[15] = host;
    return bytes;
  };
  const one = [new Stranger(b, address(1, 1), 1), new Stranger(b, address(1, 2), 2), new Stranger(b, address(1, 3), 3)];
  const [burst, sustained] = rate(network, b, one, () => lastCookie(trace.datagrams));
  assert.equal(burst, 5);
  assert.ok(sustained >= 99 && sustained <= 101, `${sustained} in 5 s`);
  const two = [new Stranger(b, address(2, 1), 1)];
  const [otherBurst] = rate(network, b, two, () => lastCookie(trace.datagrams));
  assert.equal(otherBurst, 5);
});
