/**
 * The primitives: `deno bench -A tests/bench/primitives_bench.ts`. One iteration of an engine is a burst of packets whose
 * number stands in its name. Engines are compared better by tests/bench/engines.ts, which alternates them.
 */
import { blake2s, blake2sMac } from "../../crypto/blake2s.ts";
import { CONSTRUCTION, IDENTIFIER, NoiseState } from "../../crypto/noise.ts";
import { realSuite } from "../../crypto/real_suite.ts";
import { nobleX25519, nodeX25519, publicKey, sharedSecret } from "../../crypto/x25519.ts";
import { createNativeX25519 } from "../../plane/native_x25519.ts";
import { openX, sealX } from "../../crypto/xchacha20poly1305.ts";
import { Burst } from "./aead_burst.ts";
import { hostEngines, SIZES } from "./engines.ts";

for (const size of SIZES) {
  for (const [name, create] of hostEngines()) {
    const burst = new Burst(create, size);
    const what = `${size} bytes × ${burst.packets}`;
    Deno.bench({ name: `${name} seals ${what}`, group: `seal ${size}`, fn: () => burst.seal() });
    if (burst.aead.sealPush) {
      Deno.bench({ name: `${name} seals in a row ${what}`, group: `seal ${size}`, fn: () => burst.push() });
    }
    Deno.bench({
      name: `${name} opens ${what}`,
      group: `open ${size}`,
      fn: (b) => {
        burst.restore();
        b.start();
        burst.open();
        b.end();
      },
    });
  }
}

const NOTHING = new Uint8Array(0);
const random = (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length));
const [initiator, responder, ephemeral, answer] = [random(32), random(32), random(32), random(32)];
const [initiatorPublic, responderPublic] = [publicKey(initiator), publicKey(responder)];
const staticStatic = sharedSecret(initiator, responderPublic)!;
const prologue = new TextEncoder().encode(IDENTIFIER);
const timestamp = random(12);
const noPresharedKey = new Uint8Array(32);
const [message, key] = [random(148), random(32)];

for (const implementation of [createNativeX25519(), nodeX25519, nobleX25519]) {
  if (implementation === null) continue;
  const { name } = implementation;
  Deno.bench({
    name: `X25519 public key, ${name}`,
    group: "X25519 public key",
    fn: () => void publicKey(initiator, implementation),
  });
  Deno.bench({
    name: `X25519 shared secret, ${name}`,
    group: "X25519 shared secret",
    fn: () => void sharedSecret(initiator, responderPublic, implementation),
  });
}
Deno.bench("BLAKE2s of 148 bytes", () => void blake2s(message));
Deno.bench("BLAKE2s keyed, 116 bytes (mac1)", () => void blake2sMac(key, message.subarray(0, 116)));
const cookie = sealX(key, message.subarray(0, 24), message.subarray(0, 16), message.subarray(32, 48));
Deno.bench(
  "XChaCha20-Poly1305 opens a cookie",
  () => void openX(key, message.subarray(0, 24), cookie, message.subarray(32, 48)),
);

Deno.bench(`${CONSTRUCTION}: initiator's initiation`, () => void initiate());
Deno.bench(`${CONSTRUCTION}: both sides, both messages, keys`, () => {
  const { state, initiation } = initiate();
  const other = new NoiseState(realSuite, prologue, responderPublic);
  if (other.readInitiationStatic(initiation, responder) === null) throw new Error("The responder reads no static key");
  if (other.readInitiationPayload(initiation, staticStatic) === null) throw new Error("The responder reads no payload");
  const response = new Uint8Array(48);
  other.writeResponse(response, answer, initiatorPublic, noPresharedKey, NOTHING);
  if (state.readResponse(response, initiator, noPresharedKey) === null) throw new Error("The initiator reads nothing");
  state.split();
  other.split();
});

function initiate(): { state: NoiseState; initiation: Uint8Array } {
  const state = new NoiseState(realSuite, prologue, responderPublic);
  const initiation = new Uint8Array(108);
  state.writeInitiation(initiation, ephemeral, initiatorPublic, responderPublic, staticStatic, timestamp);
  return { state, initiation };
}
