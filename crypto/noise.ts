/**
 * The handshake Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s, one object for one run on one side.
 *
 * ```
 * ← s                                pre-message: the responder's static key is known
 * → e, es, s, ss, payload            ephemeral 32 | static 32+16 | payload n+16
 * ← e, ee, se, psk, payload          ephemeral 32 | payload n+16
 * ```
 *
 * The single letters are Noise's: e and s are the writer's own ephemeral and static key, re and rs the other side's;
 * C in the WireGuard paper is `chainingKey`, H is `hash`. Each function's lines follow the tokens above.
 *
 * Spec: Noise Protocol Framework (revision 34) §5, §7.5, §9; WireGuard paper §5.4.2, §5.4.3, §5.4.5.
 */
import { wipe } from "./bytes.ts";
import type { CryptoSuite } from "./suite.ts";

/** The Noise protocol name, hashed into the first chaining key. */
export const CONSTRUCTION = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
/** WireGuard's prologue. */
export const IDENTIFIER = "WireGuard v1 zx2c4 Jason@zx2c4.com";

const KEY_BYTES = 32;
const TAG_BYTES = 16;

/** Offsets in the first message. */
const INITIATION_EPHEMERAL = 0;
const INITIATION_STATIC = INITIATION_EPHEMERAL + KEY_BYTES;
const INITIATION_PAYLOAD = INITIATION_STATIC + KEY_BYTES + TAG_BYTES;

/** Offsets in the second message. */
const RESPONSE_EPHEMERAL = 0;
const RESPONSE_PAYLOAD = RESPONSE_EPHEMERAL + KEY_BYTES;

const NOTHING = new Uint8Array(0);

export class NoiseState {
  /** H: the transcript hash, 32 bytes, updated in place. */
  readonly hash: Uint8Array;
  /** C: the chaining key, 32 secret bytes, updated in place. */
  readonly chainingKey: Uint8Array;
  readonly #suite: CryptoSuite;
  /** e of the initiator, secret; zero on the responder's side. */
  readonly #ephemeralPrivate: Uint8Array = new Uint8Array(KEY_BYTES);
  /** re as the responder has read it. */
  readonly #remoteEphemeral: Uint8Array = new Uint8Array(KEY_BYTES);

  /**
   * Starts a handshake towards `responderStatic`; on the responder's side this is its own public key.
   *
   * @param prologue the bytes of IDENTIFIER for WireGuard
   * @param responderStatic 32 bytes, public
   */
  constructor(suite: CryptoSuite, prologue: Uint8Array, responderStatic: Uint8Array) {
    this.#suite = suite;
    this.chainingKey = suite.hash(new TextEncoder().encode(CONSTRUCTION));
    this.hash = suite.hash(this.chainingKey, prologue);
    this.#mixHash(responderStatic);
  }

  /**
   * Writes → e, es, s, ss, payload. A failure leaves the state useless: begin again with another one.
   *
   * @param out 96 + payload bytes, must not overlap an input
   * @param ephemeralPrivate 32 secret bytes, copied for the response
   * @param staticPublic 32 bytes, the initiator's
   * @param remoteStatic 32 bytes, the responder's
   * @param staticStatic DH(s, rs), 32 secret bytes
   * @param payload the timestamp for WireGuard
   * @returns false if `remoteStatic` is a low-order point
   */
  writeInitiation(
    out: Uint8Array,
    ephemeralPrivate: Uint8Array,
    staticPublic: Uint8Array,
    remoteStatic: Uint8Array,
    staticStatic: Uint8Array,
    payload: Uint8Array,
  ): boolean {
    requireLength(out, INITIATION_PAYLOAD + payload.length + TAG_BYTES);
    this.#ephemeralPrivate.set(ephemeralPrivate);
    const ephemeral = this.#suite.publicKey(ephemeralPrivate); // e
    out.set(ephemeral, INITIATION_EPHEMERAL);
    this.#mixEphemeral(ephemeral);
    const staticKey = this.#mixSharedKey(ephemeralPrivate, remoteStatic); // es
    if (staticKey === null) return false;
    out.set(this.#encryptAndHash(staticKey, staticPublic), INITIATION_STATIC); // s
    const payloadKey = this.#mixKey(staticStatic); // ss
    out.set(this.#encryptAndHash(payloadKey, payload), INITIATION_PAYLOAD);
    return true;
  }

  /**
   * Reads → e, es, s. A failure leaves the state useless.
   *
   * @param message the whole first message
   * @param staticPrivate the responder's 32 secret bytes
   * @returns the initiator's static public key, or null if it cannot be trusted to be one
   */
  readInitiationStatic(message: Uint8Array, staticPrivate: Uint8Array): Uint8Array | null {
    if (message.length < INITIATION_PAYLOAD + TAG_BYTES) return null;
    this.#remoteEphemeral.set(message.subarray(INITIATION_EPHEMERAL, INITIATION_STATIC)); // e
    this.#mixEphemeral(this.#remoteEphemeral);
    const staticKey = this.#mixSharedKey(staticPrivate, this.#remoteEphemeral); // es
    if (staticKey === null) return null;
    return this.#decryptAndHash(staticKey, message.slice(INITIATION_STATIC, INITIATION_PAYLOAD)); // s
  }

  /**
   * Reads → ss, payload, after `readInitiationStatic` of the same message. A failure leaves the state useless.
   *
   * @param staticStatic DH(s, rs), 32 secret bytes
   * @returns the payload, or null if it is not authentic
   */
  readInitiationPayload(message: Uint8Array, staticStatic: Uint8Array): Uint8Array | null {
    const payloadKey = this.#mixKey(staticStatic); // ss
    return this.#decryptAndHash(payloadKey, message.slice(INITIATION_PAYLOAD));
  }

  /**
   * Writes ← e, ee, se, psk, payload, after the first message was read. A failure leaves the state useless.
   *
   * @param out 48 + payload bytes, must not overlap an input
   * @param ephemeralPrivate the responder's, 32 secret bytes, not kept
   * @param remoteStatic the initiator's static public key
   * @param psk 32 secret bytes, zeros for none
   * @returns false if a key of the initiator is a low-order point
   */
  writeResponse(
    out: Uint8Array,
    ephemeralPrivate: Uint8Array,
    remoteStatic: Uint8Array,
    psk: Uint8Array,
    payload: Uint8Array,
  ): boolean {
    requireLength(out, RESPONSE_PAYLOAD + payload.length + TAG_BYTES);
    const ephemeral = this.#suite.publicKey(ephemeralPrivate); // e
    out.set(ephemeral, RESPONSE_EPHEMERAL);
    this.#mixEphemeral(ephemeral);
    if (!this.#mixShared(ephemeralPrivate, this.#remoteEphemeral)) return false; // ee
    if (!this.#mixShared(ephemeralPrivate, remoteStatic)) return false; // se
    const payloadKey = this.#mixKeyAndHash(psk); // psk
    out.set(this.#encryptAndHash(payloadKey, payload), RESPONSE_PAYLOAD);
    return true;
  }

  /**
   * Reads ← e, ee, se, psk, payload. A failure leaves the state as it was, so that a forged response cannot spoil the
   * handshake for the true one.
   *
   * @param message the whole second message
   * @param staticPrivate the initiator's 32 secret bytes
   * @param psk 32 secret bytes, zeros for none
   * @returns the payload, or null if it is not authentic
   */
  readResponse(message: Uint8Array, staticPrivate: Uint8Array, psk: Uint8Array): Uint8Array | null {
    if (message.length < RESPONSE_PAYLOAD + TAG_BYTES) return null;
    const chainingKey = this.chainingKey.slice();
    const hash = this.hash.slice();
    const payload = this.#readResponseTokens(message, staticPrivate, psk);
    if (payload === null) {
      this.chainingKey.set(chainingKey);
      this.hash.set(hash);
    }
    wipe(chainingKey, hash);
    return payload;
  }

  /**
   * The transport keys, after both messages: `[initiator → responder, responder → initiator]`, 32 secret bytes each.
   * The state is unchanged; wipe it next.
   */
  split(): [Uint8Array, Uint8Array] {
    const [forward, backward] = this.#suite.kdf(2, this.chainingKey, NOTHING);
    return [forward, backward];
  }

  /** Erases everything a later compromise of memory could use. */
  wipe(): void {
    wipe(this.chainingKey, this.hash, this.#ephemeralPrivate, this.#remoteEphemeral);
  }

  #readResponseTokens(message: Uint8Array, staticPrivate: Uint8Array, psk: Uint8Array): Uint8Array | null {
    const ephemeral = message.slice(RESPONSE_EPHEMERAL, RESPONSE_PAYLOAD); // e
    this.#mixEphemeral(ephemeral);
    if (!this.#mixShared(this.#ephemeralPrivate, ephemeral)) return null; // ee
    if (!this.#mixShared(staticPrivate, ephemeral)) return null; // se
    const payloadKey = this.#mixKeyAndHash(psk); // psk
    return this.#decryptAndHash(payloadKey, message.slice(RESPONSE_PAYLOAD));
  }

  #mixHash(data: Uint8Array): void {
    this.hash.set(this.#suite.hash(this.hash, data));
  }

  /** The token e: the key goes into the hash and, as in every psk pattern, into the chaining key. */
  #mixEphemeral(ephemeral: Uint8Array): void {
    this.#mixHash(ephemeral);
    this.#advance(this.#suite.kdf(1, this.chainingKey, ephemeral));
  }

  /** A DH token whose cipher key nobody uses; false on a low-order point. */
  #mixShared(privateKey: Uint8Array, publicKey: Uint8Array): boolean {
    const secret = this.#suite.sharedSecret(privateKey, publicKey);
    if (secret === null) return false;
    this.#advance(this.#suite.kdf(1, this.chainingKey, secret));
    wipe(secret);
    return true;
  }

  /** A DH token followed by encryption: the new cipher key, or null on a low-order point. */
  #mixSharedKey(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | null {
    const secret = this.#suite.sharedSecret(privateKey, publicKey);
    if (secret === null) return null;
    const key = this.#mixKey(secret);
    wipe(secret);
    return key;
  }

  #mixKey(input: Uint8Array): Uint8Array {
    const outputs = this.#suite.kdf(2, this.chainingKey, input);
    this.#advance(outputs);
    return outputs[1];
  }

  /** The token psk. */
  #mixKeyAndHash(psk: Uint8Array): Uint8Array {
    const outputs = this.#suite.kdf(3, this.chainingKey, psk);
    this.#advance(outputs);
    this.#mixHash(outputs[1]);
    wipe(outputs[1]);
    return outputs[2];
  }

  /** Takes over the first output of a KDF and erases that copy. */
  #advance(outputs: Uint8Array[]): void {
    this.chainingKey.set(outputs[0]);
    wipe(outputs[0]);
  }

  /** Every cipher key of a handshake seals once, with counter 0, and is erased here. */
  #encryptAndHash(key: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const sealed = this.#suite.seal(key, 0, plaintext, this.hash);
    wipe(key);
    this.#mixHash(sealed);
    return sealed;
  }

  #decryptAndHash(key: Uint8Array, sealed: Uint8Array): Uint8Array | null {
    const plaintext = this.#suite.open(key, 0, sealed, this.hash);
    wipe(key);
    if (plaintext === null) return null;
    this.#mixHash(sealed);
    return plaintext;
  }
}

/** A wrong size is a fault of the caller, never of the network. */
function requireLength(out: Uint8Array, bytes: number): void {
  if (out.length !== bytes) throw new RangeError(`Cannot write a handshake message of ${bytes} bytes to ${out.length}`);
}
