/** A peer's cold state: what handshakes need. Hot state lies in DeviceTables under the same slot. */
import { wipe } from "../crypto/bytes.ts";
import type { NoiseState } from "../crypto/noise.ts";
import type { CryptoSuite } from "../crypto/suite.ts";
import { CookieGenerator } from "./cookie.ts";
import { KEY_BYTES, TIMESTAMP_BYTES } from "./limits.ts";
import { Staging } from "./staging.ts";

/** What we are: a static key pair. */
export interface Identity {
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

export class Peer {
  readonly slot: number;
  readonly publicKey: Uint8Array;
  readonly presharedKey: Uint8Array = new Uint8Array(KEY_BYTES);
  readonly cookies: CookieGenerator;
  readonly staged: Staging = new Staging();

  /** Persistent keepalive was switched on: the first one is due at the end of the block that brings the endpoint. */
  firstKeepaliveDue = false;

  /** Our initiation that waits for a response, and the index it was sent under. */
  handshake: NoiseState | null = null;
  handshakeIndex = 0;

  /** Timestamp of the newest initiation accepted from the peer: greatest wins, older ones are replays. */
  readonly latestTimestamp: Uint8Array = new Uint8Array(TIMESTAMP_BYTES);
  lastInitiationReceived = -Infinity;
  /** Unix milliseconds in our newest initiation. */
  lastTimestampSent = -Infinity;
  /** When we last sent an initiation or a response. */
  lastHandshakeSent = -Infinity;

  readonly #suite: CryptoSuite;
  /** DH(our static, theirs); undefined until it is needed, null if their key is a low-order point. */
  #staticStatic: Uint8Array | null | undefined = undefined;

  constructor(slot: number, publicKey: Uint8Array, suite: CryptoSuite) {
    this.slot = slot;
    this.publicKey = publicKey.slice();
    this.#suite = suite;
    this.cookies = new CookieGenerator(suite, this.publicKey);
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
  }

  /** Erases every secret of the peer. */
  wipe(): void {
    this.wipeHandshake();
    this.forgetIdentity();
    wipe(this.presharedKey);
    this.cookies.wipe();
    this.staged.clear();
  }
}
