/** The loop of the batch carrier: one thread, blocked in poll, that takes turns between the network and the TUN. */
import { bootMilliseconds } from "../ffi/clock.ts";
import { RECEIVE_SLOTS } from "./arena.ts";
import type { Control } from "./control.ts";
import type { Plane } from "./plane.ts";
import type { PolledPort } from "./udp_port.ts";

/** Receive calls of one pass, over both sockets: 64 messages. */
const FILLS_PER_PASS = 8;

/** Passes that fail one after the other before the worker gives up. */
export const MAX_FAILED_PASSES = 100;

/**
 * Runs until main asks to stop, or the TUN device is gone.
 *
 * @returns whether main asked
 * @throws what pass after pass has failed with
 */
export function runLoop(plane: Plane, port: PolledPort, control: Control): boolean {
  let failures = 0;
  control.announce(plane, bootMilliseconds());
  for (;;) {
    try {
      if (!pass(plane, port, control)) return control.isStopping;
      failures = 0;
    } catch (error) {
      plane.reportOnce(error);
      if (++failures === MAX_FAILED_PASSES) throw error;
    }
  }
}

/** @returns false when it was the last */
function pass(plane: Plane, port: PolledPort, control: Control): boolean {
  const { readiness } = plane;
  const before = bootMilliseconds();
  readiness.wait(plane.rest(before), before);
  plane.wake();
  const now = bootMilliseconds();
  if (readiness.hasControl && !control.serve(plane, now)) return false;
  if (readiness.hasLinkNews || readiness.hasTunnelNews || plane.isSampleDue(now)) plane.followLink(now);
  if (plane.link.isGone) return false;
  drainNetwork(plane, port, now);
  if (readiness.hasTunnel) plane.drainTunnel(now);
  plane.finishPass(now);
  return true;
}

/** Who takes datagrams: the plane of a device, or of a helper. */
export type DatagramTaker = Pick<Plane, "readiness" | "tun" | "receive" | "networkFault">;

/** The sockets take turns, so that a flood on one cannot starve the other. */
export function drainNetwork(plane: DatagramTaker, port: PolledPort, now: number): void {
  let has4 = plane.readiness.hasNetwork4;
  let has6 = plane.readiness.hasNetwork6;
  for (let fills = 0; fills < FILLS_PER_PASS && (has4 || has6); fills++) {
    if (has4 && (!has6 || fills % 2 === 0)) has4 = takeBatch(plane, port, port.descriptor4, now);
    else has6 = takeBatch(plane, port, port.descriptor6, now);
  }
}

/** @returns whether there may be more */
function takeBatch(plane: DatagramTaker, port: PolledPort, descriptor: number, now: number): boolean {
  const count = port.fill(descriptor);
  if (count < 0) plane.networkFault(port, descriptor, -count);
  if (count <= 0) return false;
  for (let length = port.next(); length >= 0; length = port.next()) {
    plane.receive(port.offset, length, port.endpoint, now);
  }
  plane.tun.flush();
  return count === RECEIVE_SLOTS;
}
