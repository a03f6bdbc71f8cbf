/** After 540 s without a session no session key and no ephemeral key is left in any buffer that the device ever made. */
import assert from "node:assert/strict";
import type { CryptoSuite } from "../../crypto/suite.ts";
import { cheapSuite } from "./cheap_suite.ts";
import { createPair, type Host } from "./host.ts";
import { Network } from "./network.ts";
import { SecretLedger } from "./secrets.ts";

/** Every byte array that anyone has made, but for what the crypto suite makes inside. */
class Collector {
  readonly made: Uint8Array[] = [];
  #isPaused = false;

  /** Runs `body` and collects meanwhile, however the arrays are made. */
  during(body: () => void): void {
    const original = globalThis.Uint8Array;
    const collecting = new Proxy(original, {
      construct: (target, parameters, newTarget): Uint8Array => {
        const array = Reflect.construct(target, parameters, newTarget === collecting ? target : newTarget);
        if (!this.#isPaused) this.made.push(array);
        return array;
      },
    });
    // slice() asks the array's own constructor: let that be the collecting one.
    const { constructor } = original.prototype;
    original.prototype.constructor = collecting;
    globalThis.Uint8Array = collecting;
    try {
      body();
    } finally {
      globalThis.Uint8Array = original;
      original.prototype.constructor = constructor;
    }
  }

  /** The same suite; its results are collected by the ledger, its inner copies are its own affair. */
  excuse(suite: CryptoSuite): CryptoSuite {
    const quiet = <A extends unknown[], R>(call: (...parameters: A) => R) => (...parameters: A): R => {
      const before = this.#isPaused;
      this.#isPaused = true;
      try {
        return call(...parameters);
      } finally {
        this.#isPaused = before;
      }
    };
    return {
      name: suite.name,
      publicKey: quiet(suite.publicKey),
      sharedSecret: quiet(suite.sharedSecret),
      hash: quiet(suite.hash),
      mac: quiet(suite.mac),
      kdf: quiet(suite.kdf),
      seal: quiet(suite.seal),
      open: quiet(suite.open),
      sealX: quiet(suite.sealX),
      openX: quiet(suite.openX),
      packetAead: quiet(suite.packetAead),
    };
  }
}

interface Watched {
  readonly network: Network;
  readonly a: Host;
  readonly b: Host;
  readonly ledger: SecretLedger;
}

/** A pair of which every secret is known. */
function watchedPair(collector: Collector): Watched {
  const ledger = new SecretLedger(cheapSuite);
  const network = new Network(1);
  const { a, b } = createPair(network, {
    suite: collector.excuse(ledger.suite),
    presharedKey: network.random.bytes(32),
    onRandom: (out) => ledger.noteRandom(out),
    onEphemeral: (key) => ledger.noteEphemeral(key),
  });
  network.observers.push({ arrived: (host) => ledger.noteKeypairs(host) });
  return { network, a, b, ledger };
}

/** What of the ledger's secrets can be found where the devices keep things. */
function remains({ a, b, ledger }: Watched, made: Uint8Array[]): string[] {
  const found: string[] = [];
  for (const host of [a, b]) {
    if (ledger.find(host.tables.keypairKeys) >= 0) found.push(`${host.name}'s table of keys`);
    if (ledger.find(host.bytes) >= 0) found.push(`${host.name}'s memory`);
  }
  for (const array of [...made, ...ledger.buffers]) {
    if (array.length <= 65_536 && ledger.find(array) >= 0) found.push(`an array of ${array.length} bytes`);
  }
  return found;
}

Deno.test("Device leaves no session key and no ephemeral key in any buffer 540 s after its last session", () => {
  const collector = new Collector();
  collector.during(() => {
    const watched = watchedPair(collector);
    const { made } = collector;
    const { network, a, b, ledger } = watched;
    while (network.now < 400_000) {
      a.send(b, 100);
      b.send(a, 100);
      network.run(10_000);
    }
    // While sessions live there is something to find: the search works.
    assert.ok(ledger.size > 20 && made.length > 100);
    assert.ok(remains(watched, made).length >= 4, "the live keys are not found");
    // One more attempt, in vain.
    a.uplink.outage = true;
    network.run(200_000);
    a.send(b, 100);
    network.run(107_000 + 541_000);
    const hosts = [a, b].map((host) => host.device.stats);
    for (const { keypairs, indices } of hosts) assert.deepEqual([keypairs, indices], [0, 0]);
    assert.deepEqual(remains(watched, made), []);
  });
});

Deno.test("Device leaves no key in any buffer when it goes down, and none when its peer is removed", () => {
  const collector = new Collector();
  collector.during(() => {
    const watched = watchedPair(collector);
    const { made } = collector;
    const { network, a, b } = watched;
    a.send(b, 100);
    network.run(1_000);
    b.send(a, 100);
    network.run(1_000);
    assert.ok(remains(watched, made).length >= 4);
    a.down();
    b.removePeer(0);
    assert.deepEqual(remains(watched, made), []);
  });
});

Deno.test("Device leaves no key in any buffer when its private key is replaced", () => {
  const collector = new Collector();
  collector.during(() => {
    const watched = watchedPair(collector);
    const { made } = collector;
    const { network, a, b } = watched;
    a.send(b, 100);
    network.run(1_000);
    for (const host of [a, b]) host.apply([{ op: "private-key", key: host.random.bytes(32) }]);
    assert.deepEqual(remains(watched, made), []);
  });
});
