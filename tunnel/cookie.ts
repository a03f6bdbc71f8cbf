/**
 * MAC1, MAC2 and cookies: how a receiver under load makes senders prove their address before it works for them.
 *
 * ```
 * message      … body … | mac1 16 | mac2 16
 * mac1         MAC(HASH("mac1----" ‖ receiver's public key), body)
 * cookie       MAC(secret, source address ‖ source port)
 * mac2         MAC(cookie, body ‖ mac1)
 * cookie reply type u32 | receiver u32 | nonce 24 | XAEAD(HASH("cookie--" ‖ public key), nonce, cookie, mac1)
 * ```
 *
 * Spec: WireGuard paper §5.3, §5.4.4, §5.4.7.
 */
import { equalConstantTime, wipe } from "../crypto/bytes.ts";
import type { CryptoSuite } from "../crypto/suite.ts";
import { ENDPOINT_ADDRESS, ENDPOINT_FAMILY, ENDPOINT_PORT } from "./endpoint.ts";
import { COOKIE_NONCE_BYTES, COOKIE_REFRESH_TIME, KEY_BYTES, MAC_BYTES } from "./limits.ts";
import {
  COOKIE_COOKIE,
  COOKIE_NONCE,
  COOKIE_RECEIVER,
  COOKIE_REPLY_BYTES,
  COOKIE_TYPE,
  TYPE_COOKIE_REPLY,
} from "./messages.ts";

const LABEL_MAC1 = new TextEncoder().encode("mac1----");
const LABEL_COOKIE = new TextEncoder().encode("cookie--");
/** Both MACs at the end of a message. */
const MACS_BYTES = 2 * MAC_BYTES;

/** The receiver's side: checks MACs and hands out cookies. One per device. */
export class CookieChecker {
  readonly #suite: CryptoSuite;
  readonly #random: (out: Uint8Array) => void;
  #mac1Key: Uint8Array | null = null;
  #cookieKey: Uint8Array | null = null;
  /** What cookies are made from; never leaves the device. */
  readonly #secret: Uint8Array = new Uint8Array(KEY_BYTES);
  #secretMadeAt = -Infinity;

  /** @param random fills its argument with unpredictable bytes */
  constructor(suite: CryptoSuite, random: (out: Uint8Array) => void) {
    this.#suite = suite;
    this.#random = random;
  }

  /** Our own public key (32 bytes); null, as at first, lets no message pass. */
  setPublicKey(publicKey: Uint8Array | null): void {
    this.#mac1Key = publicKey === null ? null : this.#suite.hash(LABEL_MAC1, publicKey);
    this.#cookieKey = publicKey === null ? null : this.#suite.hash(LABEL_COOKIE, publicKey);
  }

  /** Whether the sender of a handshake message knows our public key. */
  checkMac1(message: Uint8Array): boolean {
    if (this.#mac1Key === null || message.length < MACS_BYTES) return false;
    const at = message.length - MACS_BYTES;
    const mac1 = this.#suite.mac(this.#mac1Key, message.subarray(0, at));
    return equalConstantTime(mac1, message.subarray(at, at + MAC_BYTES));
  }

  /**
   * Whether the sender holds the cookie of its address and port, and so receives what is sent there.
   *
   * @param endpoint the sender's 48-byte endpoint record
   * @param now milliseconds
   */
  checkMac2(message: Uint8Array, endpoint: Uint8Array, now: number): boolean {
    if (message.length < MACS_BYTES || this.#isSecretStale(now)) return false;
    const at = message.length - MAC_BYTES;
    const cookie = this.#cookie(endpoint);
    const mac2 = this.#suite.mac(cookie, message.subarray(0, at));
    wipe(cookie);
    return equalConstantTime(mac2, message.subarray(at));
  }

  /**
   * The cookie reply to a message whose MAC1 is valid.
   *
   * @param receiverIndex the sender index of that message
   * @returns 64 bytes
   * @throws RangeError if there is no public key: then no MAC1 was valid
   */
  createReply(message: Uint8Array, receiverIndex: number, endpoint: Uint8Array, now: number): Uint8Array {
    if (this.#cookieKey === null) throw new RangeError("Public key is not set");
    if (this.#isSecretStale(now)) {
      this.#random(this.#secret);
      this.#secretMadeAt = now;
    }
    const reply = new Uint8Array(COOKIE_REPLY_BYTES);
    const view = new DataView(reply.buffer);
    view.setUint32(COOKIE_TYPE, TYPE_COOKIE_REPLY, true);
    view.setUint32(COOKIE_RECEIVER, receiverIndex, true);
    const nonce = reply.subarray(COOKIE_NONCE, COOKIE_NONCE + COOKIE_NONCE_BYTES);
    this.#random(nonce);
    const mac1 = message.subarray(message.length - MACS_BYTES, message.length - MAC_BYTES);
    const cookie = this.#cookie(endpoint);
    reply.set(this.#suite.sealX(this.#cookieKey, nonce, cookie, mac1), COOKIE_COOKIE);
    wipe(cookie);
    return reply;
  }

  #isSecretStale(now: number): boolean {
    return now - this.#secretMadeAt >= COOKIE_REFRESH_TIME;
  }

  #cookie(endpoint: Uint8Array): Uint8Array {
    return this.#suite.mac(this.#secret, sourceBytes(endpoint));
  }
}

/** What generators remember, by slot. */
export class CookieMemory {
  /** MAC1 of the last message, where there is one that was not answered. */
  readonly lastMac1: Uint8Array;
  readonly hasLastMac1: Uint8Array;
  /** Secret, where there is one. */
  readonly cookies: Uint8Array;
  readonly hasCookie: Uint8Array;
  /** Milliseconds. */
  readonly cookieSince: Float64Array;

  constructor(slots: number) {
    this.lastMac1 = new Uint8Array(MAC_BYTES * slots);
    this.hasLastMac1 = new Uint8Array(slots);
    this.cookies = new Uint8Array(MAC_BYTES * slots);
    this.hasCookie = new Uint8Array(slots);
    this.cookieSince = new Float64Array(slots);
  }
}

/** The sender's side: puts MACs on messages to one peer and keeps its cookie, both in a memory that outlives it. */
export class CookieGenerator {
  readonly #suite: CryptoSuite;
  readonly #publicKey: Uint8Array;
  readonly #memory: CookieMemory;
  readonly #slot: number;

  /** @param peerPublicKey 32 bytes, not copied */
  constructor(
    suite: CryptoSuite,
    peerPublicKey: Uint8Array,
    memory: CookieMemory = new CookieMemory(1),
    slot: number = 0,
  ) {
    this.#suite = suite;
    this.#publicKey = peerPublicKey;
    this.#memory = memory;
    this.#slot = slot;
  }

  /**
   * Writes MAC1, and MAC2 if there is a fresh cookie, else zeros, into the last 32 bytes of a handshake message.
   *
   * @param now milliseconds
   */
  addMacs(message: Uint8Array, now: number): void {
    const mac1At = message.length - MACS_BYTES;
    const mac2At = message.length - MAC_BYTES;
    const { hasLastMac1, hasCookie, cookieSince } = this.#memory;
    this.#lastMac1.set(this.#suite.mac(this.#key(LABEL_MAC1), message.subarray(0, mac1At)));
    hasLastMac1[this.#slot] = 1;
    message.set(this.#lastMac1, mac1At);
    if (hasCookie[this.#slot] === 1 && now - cookieSince[this.#slot] < COOKIE_REFRESH_TIME) {
      message.set(this.#suite.mac(this.#cookie, message.subarray(0, mac2At)), mac2At);
    } else {
      message.fill(0, mac2At);
    }
  }

  /**
   * Takes the cookie from a reply to the last message, at most once for each message.
   *
   * @param reply the whole cookie reply
   * @param now milliseconds
   * @returns false if it is no answer to the last message; then nothing has changed
   */
  consumeReply(reply: Uint8Array, now: number): boolean {
    const { hasLastMac1, hasCookie, cookieSince } = this.#memory;
    if (hasLastMac1[this.#slot] === 0 || reply.length !== COOKIE_REPLY_BYTES) return false;
    const nonce = reply.subarray(COOKIE_NONCE, COOKIE_NONCE + COOKIE_NONCE_BYTES);
    const cookie = this.#suite.openX(this.#key(LABEL_COOKIE), nonce, reply.subarray(COOKIE_COOKIE), this.#lastMac1);
    if (cookie === null) return false;
    this.#cookie.set(cookie);
    wipe(cookie);
    hasCookie[this.#slot] = 1;
    cookieSince[this.#slot] = now;
    hasLastMac1[this.#slot] = 0;
    return true;
  }

  /** Forgets the cookie and the last message. */
  wipe(): void {
    wipe(this.#cookie);
    this.#memory.hasCookie[this.#slot] = 0;
    this.#memory.hasLastMac1[this.#slot] = 0;
  }

  get #lastMac1(): Uint8Array {
    return this.#memory.lastMac1.subarray(this.#slot * MAC_BYTES, (this.#slot + 1) * MAC_BYTES);
  }

  get #cookie(): Uint8Array {
    return this.#memory.cookies.subarray(this.#slot * MAC_BYTES, (this.#slot + 1) * MAC_BYTES);
  }

  /** Takes half a microsecond to make. */
  #key(label: Uint8Array): Uint8Array {
    return this.#suite.hash(label, this.#publicKey);
  }
}

/** What a cookie is bound to: 4 or 16 address bytes, then the port, big-endian. */
function sourceBytes(endpoint: Uint8Array): Uint8Array {
  const addressBytes = endpoint[ENDPOINT_FAMILY] === 4 ? 4 : 16;
  const source = new Uint8Array(addressBytes + 2);
  source.set(endpoint.subarray(ENDPOINT_ADDRESS, ENDPOINT_ADDRESS + addressBytes));
  source[addressBytes] = endpoint[ENDPOINT_PORT + 1];
  source[addressBytes + 1] = endpoint[ENDPOINT_PORT];
  return source;
}
