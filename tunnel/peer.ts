/** A peer's cold state: what handshakes need. Hot state lies in DeviceTables under the same slot. */
import { wipe } from "../crypto/bytes.ts";
import type { NoiseState } from "../crypto/noise.ts";
import type { CryptoSuite } from "../crypto/suite.ts";
import type { Candidates } from "./candidates.ts";
import { CookieGenerator } from "./cookie.ts";
import { KEY_BYTES, TIMESTAMP_BYTES } from "./limits.ts";
import { publicKeyOf, publicKeyText } from "./public_key_text.ts";
import { Staging } from "./staging.ts";

const NO_KEY = new Uint8Array(KEY_BYTES);

/** What we are: a static key pair. */
export interface Identity {
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

export class Peer {
  readonly slot: number;
  /** The public key, as maps want it. */
  readonly name: string;
  readonly staged: Staging = new Staging();
  /** Where else it may be; null for a peer without names. */
  candidates: Candidates | null = null;

  /** Persistent keepalive was switched on: the first one is due at the end of the block that brings the endpoint. */
  firstKeepaliveDue = false;

  /** Our initiation that waits for a response, and the index it was sent under. */
  handshake: NoiseState | null = null;
  handshakeIndex = 0;

  /** Timestamp of the newest initiation accepted from the peer: greatest wins, older ones are replays. */
  get latestTimestamp(): Uint8Array {
    return this.#latestTimestamp ??= new Uint8Array(TIMESTAMP_BYTES);
  }
  lastInitiationReceived = -Infinity;
  /** Unix milliseconds in our newest initiation. */
  lastTimestampSent = -Infinity;
  /** When we last sent an initiation or a response. */
  lastHandshakeSent = -Infinity;

  readonly #suite: CryptoSuite;
  #cookies: CookieGenerator | null = null;
  #latestTimestamp: Uint8Array | null = null;
  #presharedKey: Uint8Array | null = null;
  /** DH(our static, theirs); undefined until it is needed, null if their key is a low-order point. */
  #staticStatic: Uint8Array | null | undefined = undefined;

  constructor(slot: number, publicKey: Uint8Array, suite: CryptoSuite) {
    this.slot = slot;
    this.name = publicKeyText(publicKey);
    this.#suite = suite;
  }

  /** Made at the first handshake. */
  get cookies(): CookieGenerator {
    return this.#cookies ??= new CookieGenerator(this.#suite, this.publicKey);
  }

  /** A copy of the public key. */
  get publicKey(): Uint8Array {
    return publicKeyOf(this.name);
  }

  /** Not to be written; zeros stand for none. */
  get presharedKey(): Uint8Array {
    return this.#presharedKey ?? NO_KEY;
  }

  /** Keeps a copy. @param key 32 secret bytes, null for none */
  setPresharedKey(key: Uint8Array | null): void {
    if (this.#presharedKey !== null) wipe(this.#presharedKey);
    this.#presharedKey = key === null ? null : key.slice();
  }

  /** DH of both static keys, computed at the first handshake and kept; null for a low-order public key. */
  staticStatic(identity: Identity): Uint8Array | null {
    if (this.#staticStatic === undefined) {
      this.#staticStatic = this.#suite.sharedSecret(identity.privateKey, this.publicKey);
    }
    return this.#staticStatic;
  }

  /** Our static key has changed: what was derived from the old one goes. */
  forgetIdentity(): void {
    if (this.#staticStatic) wipe(this.#staticStatic);
    this.#staticStatic = undefined;
  }

  /** Erases the ephemeral state of an unanswered initiation. The caller releases its index. */
  wipeHandshake(): void {
    this.handshake?.wipe();
    this.handshake = null;
    this.candidates?.forgetInitiation();
  }

  /** Erases every secret of the peer. */
  wipe(): void {
    this.wipeHandshake();
    this.forgetIdentity();
    this.setPresharedKey(null);
    this.#cookies?.wipe();
    this.staged.clear();
  }
}
