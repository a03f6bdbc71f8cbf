/**
 * A leak test: sends probes, looks at what leaves the host behind all its filters, and judges each probe by what was
 * seen, not by what the rules should do.
 */
import { EACCES, EPERM, SyscallError } from "../ffi/errno.ts";
import { PacketTap, type TappedPacket } from "../ffi/packet_tap.ts";
import { ProbeSocket } from "../ffi/probe_socket.ts";
import { heldBackPackets } from "./firewall.ts";
import { askedNeighbour, isProbe, type ProbeMark } from "./leak_packet.ts";
import type { Probe } from "./leak_probes.ts";
import type { LeakScene } from "./leak_scene.ts";

/** A packet that was taken is on its way at once; a question for a neighbour is repeated after a second. */
const LEAST_WAIT = 200;
const LONGEST_WAIT = 1_500;
const LOOK_INTERVAL = 20;
const LOOPBACK = "lo";

/**
 * - `leaked`: it left by an interface that is no tunnel
 * - `tunnel`: it went into a tunnel
 * - `local`: it stayed on this host
 * - `blocked`: a filter held it back
 * - `untested`: it could not be sent, which proves nothing
 * - `unseen`: the kernel took it, and it was not seen to leave
 */
export type Outcome = "leaked" | "tunnel" | "local" | "blocked" | "untested" | "unseen";

export interface ProbeResult {
  readonly probe: Probe;
  readonly outcome: Outcome;
  /** Interfaces it left by. */
  readonly through: readonly string[];
  /** More about the outcome, "" if there is nothing to say. */
  readonly reason: string;
}

export interface LeakReport {
  readonly results: readonly ProbeResult[];
  /** Packets that the observer may have missed. */
  readonly losses: number;
  /** The kill switch's own count of what it held back meanwhile; null without kill switch. */
  readonly heldBack: number | null;
}

/** A probe that was sent, and what has been seen of it. */
interface Sent {
  readonly probe: Probe;
  readonly mark: ProbeMark;
  /** 0, or why the kernel did not take it. */
  readonly refusal: SyscallError | null;
  /** The kill switch counted something meanwhile. */
  readonly isCounted: boolean;
  readonly seenOn: Set<string>;
  /** Interfaces on which its next hop was asked for. */
  readonly askedOn: Set<string>;
}

/** Sends all probes. @throws {SyscallError} without the rights that it takes */
export async function tryToLeak(scene: LeakScene, probes: readonly Probe[]): Promise<LeakReport> {
  using tap = PacketTap.open();
  using sockets = new DisposableStack();
  const watch = new Watch(scene);
  const before = heldBackPackets();
  for (const probe of probes) {
    watch.add(send(probe, sockets));
    watch.look(tap.take());
  }
  await watch.settle(tap);
  const after = heldBackPackets();
  return {
    results: watch.results(),
    losses: tap.takeLosses(),
    heldBack: after === null ? null : after - (before ?? 0),
  };
}

/** @param sockets keeps open what must not end before the test does: a port is known to be ours as long as it is */
function send(probe: Probe, sockets: DisposableStack): Sent {
  const before = heldBackPackets();
  const { kind, payload } = probe;
  let port = 0;
  let refusal: SyscallError | null = null;
  try {
    const socket = new ProbeSocket(probe);
    if (kind === "tcp") sockets.use(socket);
    port = socket.port;
    const number = socket.send(payload.bytes);
    if (number !== 0) refusal = new SyscallError("send", number);
    if (kind !== "tcp") socket[Symbol.dispose]();
  } catch (error) {
    if (!(error instanceof SyscallError) || error.call.includes("SO_MARK")) throw error;
    refusal = error;
  }
  const isCounted = (heldBackPackets() ?? 0) > (before ?? 0);
  return {
    probe,
    mark: { kind, token: payload.token, port },
    refusal,
    isCounted,
    seenOn: new Set(),
    askedOn: new Set(),
  };
}

/** Who has been seen where. */
class Watch {
  readonly #scene: LeakScene;
  readonly #sent: Sent[] = [];

  constructor(scene: LeakScene) {
    this.#scene = scene;
  }

  add(sent: Sent): void {
    this.#sent.push(sent);
  }

  look(packets: readonly TappedPacket[]): void {
    for (const packet of packets) {
      const name = this.#scene.names.get(packet.index) ?? `interface ${packet.index}`;
      const asked = askedNeighbour(packet);
      for (const sent of this.#sent) {
        if (sent.refusal !== null) continue;
        if (asked !== null && this.#isNextHop(asked, packet.index, sent.probe)) sent.askedOn.add(name);
        else if (isProbe(packet, sent.mark)) sent.seenOn.add(name);
      }
    }
  }

  /** Looks on until every packet that was taken has been seen, or too much time has passed. */
  async settle(tap: PacketTap): Promise<void> {
    const start = performance.now();
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_INTERVAL));
      this.look(tap.take());
      const waited = performance.now() - start;
      if (waited >= LONGEST_WAIT) return;
      if (waited >= LEAST_WAIT && this.#sent.every((sent) => this.#judge(sent).outcome !== "unseen")) return;
    }
  }

  results(): ProbeResult[] {
    return this.#sent.map((sent) => this.#judge(sent));
  }

  /** Its destination, or a gateway by which it may go. */
  #isNextHop(address: Uint8Array, index: number, probe: Probe): boolean {
    if (`${address}` === `${probe.address}`) return true;
    const outside = this.#scene.outside.find((each) => each.index === index);
    return outside?.neighbours.some((each) => each.isGateway && `${each.address}` === `${address}`) ?? false;
  }

  #judge({ probe, refusal, isCounted, seenOn, askedOn }: Sent): ProbeResult {
    const result = (outcome: Outcome, through: Iterable<string> = [], reason = ""): ProbeResult => {
      return { probe, outcome, through: [...through], reason };
    };
    const { tunnels } = this.#scene;
    const outside = [...seenOn].filter((name) => name !== LOOPBACK && !tunnels.includes(name));
    if (outside.length > 0) return result("leaked", outside);
    const inside = [...seenOn].filter((name) => tunnels.includes(name));
    if (inside.length > 0) return result("tunnel", inside);
    if (seenOn.size > 0) return result("local", seenOn);
    if (refusal?.errno === EPERM || refusal?.errno === EACCES) return result("blocked");
    if (refusal !== null) return result("untested", [], refusal.message);
    if (isCounted) return result("blocked");
    if (askedOn.size > 0) return result("leaked", askedOn, "its next hop was asked for");
    return result("unseen");
  }
}
