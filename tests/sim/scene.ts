/** Ready-made scenes for timelines: a pair with an eavesdropper, before or after its first handshake. */
import { createPair, type Pair, type PairOptions } from "./host.ts";
import { Network } from "./network.ts";
import { Trace } from "./trace.ts";

export interface Scene extends Pair {
  readonly trace: Trace;
}

/** Two devices that have not spoken yet, 10 ms apart. */
export function strangers(seed: number, options: PairOptions = {}): Scene {
  const network = new Network(seed);
  const trace = new Trace(network);
  return { ...createPair(network, options), trace };
}

/**
 * The pair one second later: A has initiated at 0 and sent a packet, so its keypair dates from 20 and B's from 10. The
 * link is perfect and the trace empty. B's keepalive follows at 10,030 unless B sends before.
 */
export function acquaintances(seed: number, options: PairOptions = {}): Scene {
  const scene = strangers(seed, options);
  scene.a.send(scene.b, 100);
  scene.network.runUntil(1_000);
  scene.trace.expect([
    [0, "A", "initiation", 148],
    [10, "B", "response", 92],
    [20, "A", "data", 144],
    [30, "B", "deliver", 100],
  ]);
  return scene;
}
