/**
 * Constants of the protocol, then constants of this implementation.
 *
 * Spec: WireGuard paper §6.1 (timers), §5.4 (messages), §5.4.6 (nonce reuse and replay).
 * All times in milliseconds, all sizes in bytes unless the name says otherwise.
 */

// ── From the paper ───────────────────────────────────────────────────────────

/** A sender starts a new handshake after this many messages under one key: 2^60. */
export const REKEY_AFTER_MESSAGES = 2 ** 60;
/** The initiator starts a new handshake when it sends under a key this old. */
export const REKEY_AFTER_TIME = 120_000;
/** A key this old neither sends nor receives. */
export const REJECT_AFTER_TIME = 180_000;
/** Handshake attempts to one peer stop after this long. */
export const REKEY_ATTEMPT_TIME = 90_000;
/** Spacing of handshake attempts; never two initiations to one peer within it. */
export const REKEY_TIMEOUT = 5_000;
/** Data received and nothing sent for this long: send an empty packet. */
export const KEEPALIVE_TIMEOUT = 10_000;
/** A cookie, and the secret it is made from, live this long. */
export const COOKIE_REFRESH_TIME = 120_000;

export const KEY_BYTES = 32;
export const TAG_BYTES = 16;
export const MAC_BYTES = 16;
export const COOKIE_BYTES = 16;
export const COOKIE_NONCE_BYTES = 24;
export const TIMESTAMP_BYTES = 12;

/** Transport data is padded with zeros to a multiple of this, never past the MTU. */
export const PADDING_MULTIPLE = 16;

// ── Of this implementation ───────────────────────────────────────────────────

/**
 * A key refuses to send beyond this counter.
 *
 * The paper's limit is 2^64 − 2^13 − 1. Send counters here are JavaScript numbers, exact below 2^53, so the limit is
 * 2^53 − 2^13: at ten million packets a second a key would reach it after 28 years, and it lives 180 seconds.
 * Received counters are compared over the full 64 bits.
 */
export const REJECT_AFTER_MESSAGES_SENT = 2 ** 53 - 2 ** 13;

/** Where several threads send, counters have 32 bits (threads/shared_send_counters.ts): the paper's limits, scaled. */
export const REKEY_AFTER_SHARED_MESSAGES = 2 ** 31;
export const REJECT_AFTER_SHARED_MESSAGES = 2 ** 32 - 2 ** 13;

/** A receiving initiator rekeys a key this old, once per session: 180 − 10 − 5 s. */
export const REKEY_ON_RECEIVE_TIME = REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT;
/** Random addition to every handshake retry, at most this. */
export const REKEY_TIMEOUT_JITTER = 333;
/** 90 s / 5 s attempts follow the first before giving up, so 20 initiations in all: counts 0 … 19. */
export const MAX_TIMER_HANDSHAKES = 90_000 / 5_000;
/** Without a new session for this long, all keys are erased. */
export const ZERO_KEYS_AFTER = REJECT_AFTER_TIME * 3;

/** Packets kept per peer while a handshake is under way; the oldest is dropped. */
export const MAX_STAGED_PACKETS = 128;
/** Handshake messages waiting for their turn, per device. */
export const HANDSHAKE_QUEUE_SIZE = 4096;
/** From this queue length on, and for a second after, the device is under load. */
export const UNDER_LOAD_QUEUE = HANDSHAKE_QUEUE_SIZE / 8;
export const UNDER_LOAD_AFTER = 1_000;
/** Initiations of one peer closer together than this are dropped: 1/50 s. */
export const INITIATIONS_SPACING = 20;

/** Bits of the replay window less one word: RFC 6479. */
export const REPLAY_WINDOW = 8192 - 64;

export const DEFAULT_MTU = 1420;
/** Largest inner packet: a 16-bit length. */
export const MAX_PACKET = 65_535;
