import assert from "node:assert/strict";
import vectorFile from "../tests/vectors/noise_ikpsk2_25519_chachapoly_blake2s.json" with { type: "json" };
import forms from "../tests/vectors/blake2s_wireguard_forms.json" with { type: "json" };
import { isZero } from "./bytes.ts";
import { decodeHex, encodeHex } from "./encoding.ts";
import { CONSTRUCTION, IDENTIFIER, NoiseState } from "./noise.ts";
import { realSuite as suite } from "./real_suite.ts";

const vector = vectorFile.vectors[0];
const NO_AD = new Uint8Array(0);
const NO_PSK = new Uint8Array(32);

/** A key pair from one repeated byte. */
interface Pair {
  secret: Uint8Array;
  known: Uint8Array;
}

interface Run {
  initiator: NoiseState;
  responder: NoiseState;
  initiatorStatic: Pair;
  initiatorEphemeral: Pair;
  responderStatic: Pair;
  responderEphemeral: Pair;
  staticStatic: Uint8Array;
}

Deno.test("NoiseState reproduces the IKpsk2 vector, its transport messages and its handshake hash", () => {
  const secrets = [vector.init_static, vector.init_ephemeral, vector.resp_static, vector.resp_ephemeral];
  const [initStatic, initEphemeral, respStatic, respEphemeral] = secrets.map(bytes);
  const psk = bytes(vector.init_psks[0]);
  const initPublic = suite.publicKey(initStatic);
  const respPublic = suite.publicKey(respStatic);
  assert.equal(encodeHex(respPublic), vector.init_remote_static);
  const staticStatic = dh(initStatic, respPublic);
  const [first, second] = vector.messages;

  const initiator = new NoiseState(suite, bytes(vector.init_prologue), respPublic);
  const initiation = new Uint8Array(first.ciphertext.length / 2);
  assert(
    initiator.writeInitiation(initiation, initEphemeral, initPublic, respPublic, staticStatic, bytes(first.payload)),
  );
  assert.equal(encodeHex(initiation), first.ciphertext);

  const responder = new NoiseState(suite, bytes(vector.resp_prologue), respPublic);
  assert.deepEqual(responder.readInitiationStatic(initiation, respStatic), initPublic);
  assert.deepEqual(responder.readInitiationPayload(initiation, staticStatic), bytes(first.payload));

  const response = new Uint8Array(second.ciphertext.length / 2);
  assert(responder.writeResponse(response, respEphemeral, initPublic, psk, bytes(second.payload)));
  assert.equal(encodeHex(response), second.ciphertext);
  assert.deepEqual(initiator.readResponse(response, initStatic, psk), bytes(second.payload));

  for (const state of [initiator, responder]) {
    assert.equal(encodeHex(state.hash), vector.handshake_hash);
    checkTransport(state.split());
  }
});

Deno.test("NoiseState starts from the constants the WireGuard paper prescribes", () => {
  assert.equal(encodeHex(suite.hash(text(CONSTRUCTION))), forms.initial_chaining_key);
  assert.equal(encodeHex(suite.hash(bytes(forms.initial_chaining_key), text(IDENTIFIER))), forms.initial_hash);
  const known = pair(7).known;
  const state = new NoiseState(suite, text(IDENTIFIER), known);
  assert.equal(encodeHex(state.chainingKey), forms.initial_chaining_key);
  assert.deepEqual(state.hash, suite.hash(bytes(forms.initial_hash), known));
});

Deno.test("NoiseState agrees on both sides with WireGuard's prologue and payloads", () => {
  const run = begin();
  const initiation = initiate(run);
  assert.equal(initiation.length, 108);
  assert.deepEqual(
    run.responder.readInitiationStatic(initiation, run.responderStatic.secret),
    run.initiatorStatic.known,
  );
  assert.deepEqual(run.responder.readInitiationPayload(initiation, run.staticStatic), timestamp());
  const response = respond(run, NO_PSK);
  assert.equal(response.length, 48);
  assert.deepEqual(run.initiator.readResponse(response, run.initiatorStatic.secret, NO_PSK), new Uint8Array(0));
  assert.deepEqual(run.initiator.split(), run.responder.split());
  const [forward, backward] = run.initiator.split();
  assert.notDeepEqual(forward, backward);
});

Deno.test("NoiseState.readInitiationStatic() and readInitiationPayload() refuse every flipped bit", () => {
  const run = begin();
  const initiation = initiate(run);
  for (let at = 0; at < initiation.length; at++) {
    const forged = initiation.slice();
    forged[at] ^= 1 << (at % 8);
    const responder = new NoiseState(suite, text(IDENTIFIER), run.responderStatic.known);
    const known = responder.readInitiationStatic(forged, run.responderStatic.secret);
    // The first 80 bytes are covered by the tag of the static key, the rest by the payload's. Bit 255 of a point is
    // ignored by X25519 but hashed, so the tag covers it too.
    if (at < 80) assert.equal(known, null, `byte ${at}`);
    else assert.equal(responder.readInitiationPayload(forged, run.staticStatic), null, `byte ${at}`);
  }
});

Deno.test("NoiseState.readInitiationPayload() refuses another initiator's static-static secret", () => {
  const run = begin();
  const initiation = initiate(run);
  assert(run.responder.readInitiationStatic(initiation, run.responderStatic.secret));
  const other = dh(run.responderStatic.secret, pair(9).known);
  assert.equal(run.responder.readInitiationPayload(initiation, other), null);
});

Deno.test("NoiseState.readInitiationStatic() refuses a message meant for another responder", () => {
  const run = begin();
  const other = pair(10);
  const responder = new NoiseState(suite, text(IDENTIFIER), other.known);
  assert.equal(responder.readInitiationStatic(initiate(run), other.secret), null);
});

Deno.test("NoiseState.readResponse() fails without a trace and accepts the true response afterwards", () => {
  const run = begin();
  const initiation = initiate(run);
  assert(run.responder.readInitiationStatic(initiation, run.responderStatic.secret));
  assert(run.responder.readInitiationPayload(initiation, run.staticStatic));
  const psk = new Uint8Array(32).fill(0xa5);
  const response = respond(run, psk);
  const before = [run.initiator.hash.slice(), run.initiator.chainingKey.slice()];
  const secret = run.initiatorStatic.secret;

  for (let at = 0; at < response.length; at++) {
    const forged = response.slice();
    forged[at] ^= 0x80 >> (at % 8);
    assert.equal(run.initiator.readResponse(forged, secret, psk), null, `byte ${at}`);
  }
  assert.equal(run.initiator.readResponse(response, secret, NO_PSK), null);
  assert.equal(run.initiator.readResponse(response, pair(11).secret, psk), null);
  assert.equal(run.initiator.readResponse(new Uint8Array(48), secret, psk), null); // the point 0
  assert.deepEqual([run.initiator.hash, run.initiator.chainingKey], before);

  assert.deepEqual(run.initiator.readResponse(response, secret, psk), new Uint8Array(0));
  assert.deepEqual(run.initiator.split(), run.responder.split());
});

Deno.test("NoiseState refuses low-order points at every token", () => {
  const run = begin();
  const zero = new Uint8Array(32);
  const towardsZero = new NoiseState(suite, text(IDENTIFIER), zero);
  const out = new Uint8Array(108);
  const { secret } = run.initiatorEphemeral;
  assert.equal(
    towardsZero.writeInitiation(out, secret, run.initiatorStatic.known, zero, run.staticStatic, timestamp()),
    false,
  );
  assert.equal(run.responder.readInitiationStatic(new Uint8Array(108), run.responderStatic.secret), null);

  const fresh = new NoiseState(suite, text(IDENTIFIER), run.responderStatic.known);
  assert.equal(fresh.writeResponse(new Uint8Array(48), secret, run.initiatorStatic.known, NO_PSK, NO_AD), false); // ee
  const other = begin();
  assert(other.responder.readInitiationStatic(initiate(other), other.responderStatic.secret));
  assert.equal(other.responder.writeResponse(new Uint8Array(48), secret, zero, NO_PSK, NO_AD), false); // se
});

Deno.test("NoiseState refuses messages too short to hold their keys and tags", () => {
  const run = begin();
  for (const length of [0, 31, 32, 80, 95]) {
    assert.equal(run.responder.readInitiationStatic(new Uint8Array(length).fill(9), run.responderStatic.secret), null);
  }
  initiate(run);
  for (const length of [0, 31, 32, 47]) {
    assert.equal(run.initiator.readResponse(new Uint8Array(length).fill(9), run.initiatorStatic.secret, NO_PSK), null);
  }
});

Deno.test("NoiseState.writeInitiation() and writeResponse() throw on a buffer of the wrong size", () => {
  const run = begin();
  const { secret, known } = run.initiatorStatic;
  const write = (): boolean =>
    run.initiator.writeInitiation(new Uint8Array(107), secret, known, known, run.staticStatic, timestamp());
  assert.throws(write, RangeError);
  assert.throws(() => run.responder.writeResponse(new Uint8Array(49), secret, known, NO_PSK, NO_AD), RangeError);
});

Deno.test("NoiseState keeps its own copy of the ephemeral key and leaves the inputs as they were", () => {
  const run = begin();
  const ephemeral = run.initiatorEphemeral.secret.slice();
  const inputs = [ephemeral, run.initiatorStatic.known, run.responderStatic.known, run.staticStatic, timestamp()];
  const copies = inputs.map((input) => input.slice());
  const initiation = new Uint8Array(108);
  assert(run.initiator.writeInitiation(initiation, inputs[0], inputs[1], inputs[2], inputs[3], inputs[4]));
  assert.deepEqual(inputs, copies);
  ephemeral.fill(0);
  assert(run.responder.readInitiationStatic(initiation, run.responderStatic.secret));
  assert(run.responder.readInitiationPayload(initiation, run.staticStatic));
  const response = respond(run, NO_PSK);
  assert(run.initiator.readResponse(response, run.initiatorStatic.secret, NO_PSK));
});

Deno.test("NoiseState.wipe() erases the chaining key, the hash and the ephemeral key", () => {
  const run = begin();
  const initiation = initiate(run);
  assert(run.responder.readInitiationStatic(initiation, run.responderStatic.secret));
  assert(run.responder.readInitiationPayload(initiation, run.staticStatic));
  const response = respond(run, NO_PSK);
  const before = [run.initiator.chainingKey.slice(), run.initiator.hash.slice()];
  run.initiator.wipe();
  assert(isZero(run.initiator.chainingKey) && isZero(run.initiator.hash));
  // With the rest put back, only the ephemeral key is missing.
  run.initiator.chainingKey.set(before[0]);
  run.initiator.hash.set(before[1]);
  assert.equal(run.initiator.readResponse(response, run.initiatorStatic.secret, NO_PSK), null);
});

/** A fresh run of WireGuard's handshake with fixed keys. */
function begin(): Run {
  const [initiatorStatic, initiatorEphemeral, responderStatic, responderEphemeral] = [1, 2, 3, 4].map(pair);
  return {
    initiator: new NoiseState(suite, text(IDENTIFIER), responderStatic.known),
    responder: new NoiseState(suite, text(IDENTIFIER), responderStatic.known),
    initiatorStatic,
    initiatorEphemeral,
    responderStatic,
    responderEphemeral,
    staticStatic: dh(initiatorStatic.secret, responderStatic.known),
  };
}

function initiate(run: Run): Uint8Array {
  const out = new Uint8Array(108);
  const { secret } = run.initiatorEphemeral;
  const remote = run.responderStatic.known;
  assert(run.initiator.writeInitiation(out, secret, run.initiatorStatic.known, remote, run.staticStatic, timestamp()));
  return out;
}

function respond(run: Run, psk: Uint8Array): Uint8Array {
  const out = new Uint8Array(48);
  assert(run.responder.writeResponse(out, run.responderEphemeral.secret, run.initiatorStatic.known, psk, NO_AD));
  return out;
}

/** Messages 2, 3, … of the vector alternate, the initiator's first, each direction counting from 0. */
function checkTransport(keys: [Uint8Array, Uint8Array]): void {
  for (let i = 2; i < vector.messages.length; i++) {
    const { payload, ciphertext } = vector.messages[i];
    const counter = (i - 2) >> 1;
    assert.equal(encodeHex(suite.seal(keys[i % 2], counter, bytes(payload), NO_AD)), ciphertext);
  }
}

function pair(fill: number): Pair {
  const secret = new Uint8Array(32).fill(fill);
  return { secret, known: suite.publicKey(secret) };
}

function dh(secret: Uint8Array, known: Uint8Array): Uint8Array {
  const result = suite.sharedSecret(secret, known);
  assert(result);
  return result;
}

function timestamp(): Uint8Array {
  return Uint8Array.of(0x40, 0, 0, 0, 0x65, 0x43, 0x21, 0, 0x12, 0, 0, 0);
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function bytes(hex: string): Uint8Array {
  const decoded = decodeHex(hex);
  assert(decoded, `not hex: ${hex}`);
  return decoded;
}
