/**
 * The four messages on the wire, as chained offsets: the table is the layout. All integers little-endian.
 *
 * ```
 * initiation  type 0 0 0 | sender  | ephemeral 32 | static 32+16 | timestamp 12+16 | mac1 16 | mac2 16
 * response    type 0 0 0 | sender  | receiver | ephemeral 32 | empty 0+16 | mac1 16 | mac2 16
 * cookie      type 0 0 0 | receiver| nonce 24 | cookie 16+16
 * data        type 0 0 0 | receiver| counter 8 | packet n+16
 * ```
 *
 * Spec: WireGuard paper §5.4.
 */
import { COOKIE_BYTES, COOKIE_NONCE_BYTES, KEY_BYTES, MAC_BYTES, TAG_BYTES, TIMESTAMP_BYTES } from "./limits.ts";

/** First word of each message: the type byte and three zero bytes, read as one u32. */
export const TYPE_INITIATION = 1;
export const TYPE_RESPONSE = 2;
export const TYPE_COOKIE_REPLY = 3;
export const TYPE_DATA = 4;

/** Handshake initiation. Spec: §5.4.2. */
export const INIT_TYPE = 0;
export const INIT_SENDER = INIT_TYPE + 4;
export const INIT_EPHEMERAL = INIT_SENDER + 4;
export const INIT_STATIC = INIT_EPHEMERAL + KEY_BYTES;
export const INIT_TIMESTAMP = INIT_STATIC + KEY_BYTES + TAG_BYTES;
export const INIT_MAC1 = INIT_TIMESTAMP + TIMESTAMP_BYTES + TAG_BYTES;
export const INIT_MAC2 = INIT_MAC1 + MAC_BYTES;
export const INIT_BYTES = INIT_MAC2 + MAC_BYTES;

/** Handshake response. Spec: §5.4.3. */
export const RESP_TYPE = 0;
export const RESP_SENDER = RESP_TYPE + 4;
export const RESP_RECEIVER = RESP_SENDER + 4;
export const RESP_EPHEMERAL = RESP_RECEIVER + 4;
export const RESP_EMPTY = RESP_EPHEMERAL + KEY_BYTES;
export const RESP_MAC1 = RESP_EMPTY + TAG_BYTES;
export const RESP_MAC2 = RESP_MAC1 + MAC_BYTES;
export const RESP_BYTES = RESP_MAC2 + MAC_BYTES;

/** Cookie reply. Spec: §5.4.7. */
export const COOKIE_TYPE = 0;
export const COOKIE_RECEIVER = COOKIE_TYPE + 4;
export const COOKIE_NONCE = COOKIE_RECEIVER + 4;
export const COOKIE_COOKIE = COOKIE_NONCE + COOKIE_NONCE_BYTES;
export const COOKIE_REPLY_BYTES = COOKIE_COOKIE + COOKIE_BYTES + TAG_BYTES;

/** Transport data header; the sealed packet follows. Spec: §5.4.6. */
export const DATA_TYPE = 0;
export const DATA_RECEIVER = DATA_TYPE + 4;
export const DATA_COUNTER = DATA_RECEIVER + 4;
export const DATA_HEADER_BYTES = DATA_COUNTER + 8;
/** What a transport message adds to the padded packet; alone it is a keepalive. */
export const DATA_OVERHEAD = DATA_HEADER_BYTES + TAG_BYTES;
