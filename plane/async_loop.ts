/**
 * The loop of the datagram carrier. Datagrams come from Deno's own event loop, one at a time; the TUN device, netlink,
 * the wake-up and the clock are polled on another thread. Between two awaits everything is as in loop.ts.
 */
import { bootMilliseconds } from "../ffi/clock.ts";
import type { Control } from "./control.ts";
import type { DatagramPort } from "./datagram_port.ts";
import { MAX_FAILED_PASSES } from "./loop.ts";
import type { Plane } from "./plane.ts";

/**
 * Runs until main asks to stop, or the TUN device is gone.
 *
 * @returns whether main asked
 * @throws what pass after pass has failed with
 */
export async function runAsyncLoop(plane: Plane, port: DatagramPort, control: Control): Promise<boolean> {
  let failures = 0;
  port.onDatagram = (offset, length, endpoint) => takeDatagram(plane, offset, length, endpoint);
  control.announce(plane, bootMilliseconds());
  for (;;) {
    try {
      if (!await pass(plane, control)) return control.isStopping;
      failures = 0;
    } catch (error) {
      plane.reportOnce(error);
      if (++failures === MAX_FAILED_PASSES) throw error;
    }
  }
}

/** @returns false when it was the last */
async function pass(plane: Plane, control: Control): Promise<boolean> {
  const { readiness } = plane;
  const before = bootMilliseconds();
  await readiness.waitAsync(plane.nextWake(before), before);
  const now = bootMilliseconds();
  if (readiness.hasControl && !control.serve(plane, now)) return false;
  if (readiness.hasLinkNews || readiness.hasTunnelNews || plane.isSampleDue(now)) plane.followLink(now);
  if (plane.link.isGone) return false;
  if (readiness.hasTunnel) plane.drainTunnel(now);
  plane.finishPass(now);
  return true;
}

function takeDatagram(plane: Plane, offset: number, length: number, endpoint: number): void {
  const now = bootMilliseconds();
  plane.receive(offset, length, endpoint, now);
  plane.tun.flush();
  plane.finishPass(now);
  // The wait that goes on knows nothing of deadlines set, or handshakes queued, by this datagram.
  plane.readiness.arm(plane.nextWake(now), now);
}
