/** What helpers tell the owner through their rings, besides the events of peer_events.ts. */

/** A handshake message for the owner's queue; its sender's 48-byte record stands before it. */
export const HANDSHAKE = 1;
/** A packet from the TUN that a session is missing for. */
export const PACKET = 2;
/** a: peer, b: keypair, c: its local index. The first packet under the peer's next keypair has come. */
export const CONFIRM = 3;
/** a: peer, b: generation of its slot. */
export const WANT = 4;
/** The same, once per session. */
export const WANT_LAST_MINUTE = 5;
/** a: peer, which has events now. The only message that can wait. */
export const EVENTS = 6;
