/**
 * Why something was dropped: small integers, counted per device and, where a peer is known, per peer.
 * Network input never throws; functions return `-reason`.
 */

export const MALFORMED = 1;
export const BAD_MAC1 = 2;
export const UNDER_LOAD = 3;
export const RATE_LIMITED = 4;
export const HANDSHAKE_QUEUE_FULL = 5;
export const UNKNOWN_INDEX = 6;
export const UNKNOWN_PEER = 7;
export const BAD_HANDSHAKE = 8;
export const OLD_TIMESTAMP = 9;
export const INITIATION_FLOOD = 10;
export const BAD_COOKIE_REPLY = 11;
export const KEYPAIR_EXPIRED = 12;
export const COUNTER_EXHAUSTED = 13;
export const BAD_TAG = 14;
export const REPLAYED = 15;
export const BAD_INNER_PACKET = 16;
export const NOT_ALLOWED_SOURCE = 17;
export const NO_PEER_FOR_DESTINATION = 18;
export const NO_ENDPOINT = 19;
export const STAGING_FULL = 20;
export const STAGING_EXPIRED = 21;
export const NO_PRIVATE_KEY = 22;
export const DEVICE_DOWN = 23;
export const TABLE_FULL = 24;
export const SEND_FAILED = 25;
export const TUNNEL_WRITE_FAILED = 26;
export const TOO_LARGE = 27;

/** Names as the operator sees them, indexed by reason. */
export const REASON_NAMES: readonly string[] = [
  "none",
  "malformed",
  "bad-mac1",
  "under-load",
  "rate-limited",
  "handshake-queue-full",
  "unknown-index",
  "unknown-peer",
  "bad-handshake",
  "old-timestamp",
  "initiation-flood",
  "bad-cookie-reply",
  "keypair-expired",
  "counter-exhausted",
  "bad-tag",
  "replayed",
  "bad-inner-packet",
  "not-allowed-source",
  "no-peer-for-destination",
  "no-endpoint",
  "staging-full",
  "staging-expired",
  "no-private-key",
  "device-down",
  "table-full",
  "send-failed",
  "tunnel-write-failed",
  "too-large",
];

/** Counters kept per device and per peer; a power of two with room for new reasons. */
export const REASON_SLOTS = 32;
