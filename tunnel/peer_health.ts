/** Whether peers answer, as their timers tell it; from any thread, since those lie in shared memory. */
import { KEEPALIVE_TIMEOUT, REKEY_TIMEOUT } from "./limits.ts";
import { type DeviceTables, TIMERS_PER_PEER } from "./tables.ts";
import { NEW_HANDSHAKE, RETRANSMIT_HANDSHAKE } from "./timers.ts";

/**
 * When the peer was sent data or an initiation that nothing has come in return for, in device milliseconds and up to a
 * third of a second late; Infinity if nothing is open.
 */
export function unansweredSince({ deadlines }: DeviceTables, peer: number): number {
  const data = deadlines[peer * TIMERS_PER_PEER + NEW_HANDSHAKE];
  const initiation = deadlines[peer * TIMERS_PER_PEER + RETRANSMIT_HANDSHAKE];
  return Math.min(data - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT, initiation - REKEY_TIMEOUT);
}

/** Whether an initiation waits for its response. */
export function isInitiating({ deadlines }: DeviceTables, peer: number): boolean {
  return deadlines[peer * TIMERS_PER_PEER + RETRANSMIT_HANDSHAKE] !== Infinity;
}
