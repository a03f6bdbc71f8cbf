/**
 * What the loops of both carriers share: the device between its ports, the link that switches it on and off, and the
 * commands from the main thread.
 */
import { EADDRINUSE, SyscallError } from "../ffi/errno.ts";
import type { DeviceCommand, PlaneCommand } from "../tunnel/commands.ts";
import type { Device } from "../tunnel/device.ts";
import type { LinkWatch } from "./link_watch.ts";
import { LINK_SAMPLE_INTERVAL } from "./link_watch.ts";
import type { Readiness } from "./readiness.ts";
import type { TunPort } from "./tun_port.ts";
import type { PolledPort, UdpPort } from "./udp_port.ts";
import type { PlaneState } from "./worker_messages.ts";

/** Handshake messages of one pass: about a millisecond's work, so that a flood of them cannot starve the tunnels. */
const HANDSHAKES_PER_PASS = 4;

/**
 * Sockets that could not be opened are tried once more after this long before anybody hears of it: Deno has closed a
 * socket only some time after it was told to, and a link that goes down and up finds its own port in use.
 */
const OPEN_RETRY = 100;

/** The two calls that every packet takes; the device itself, or an observer in front of it. */
export type PacketPath = Pick<Device, "send" | "receive">;

/** What the plane tells the main thread. */
export interface PlaneReports {
  error(text: string): void;
  info(text: string): void;
  state(state: PlaneState): void;
}

export interface PlaneParts {
  readonly device: Device;
  readonly path: PacketPath;
  readonly tun: TunPort;
  readonly network: UdpPort;
  readonly link: LinkWatch;
  readonly readiness: Readiness;
  readonly reports: PlaneReports;
}

export class Plane {
  readonly device: Device;
  readonly path: PacketPath;
  readonly tun: TunPort;
  readonly network: UdpPort;
  readonly link: LinkWatch;
  readonly readiness: Readiness;
  readonly #reports: PlaneReports;
  readonly #reported = new Set<string>();
  /** How often the sockets could not be opened, one time after the other, and what was said about it. */
  #openFaults = 0;
  #openFault: string | null = null;

  /** As asked for; what the sockets are bound to, once they are. */
  #listenPort = 0;
  #mark = 0;
  #nextSample = 0;
  #handshakesLeft = 0;
  #state: PlaneState = { listenPort: 0, isUp: false, mtu: 0 };

  constructor(parts: PlaneParts) {
    this.device = parts.device;
    this.path = parts.path;
    this.tun = parts.tun;
    this.network = parts.network;
    this.link = parts.link;
    this.readiness = parts.readiness;
    this.#reports = parts.reports;
  }

  get state(): PlaneState {
    return this.#state;
  }

  // ── Commands ───────────────────────────────────────────────────────────────

  /**
   * Carries out a request: all of it or, when a plane command fails, nothing.
   *
   * @throws {SyscallError} from a plane command
   */
  apply(plane: readonly PlaneCommand[], device: Iterable<DeviceCommand>, now: number): void {
    this.#applyToSockets(plane, now);
    for (const command of device) this.device.apply(command, now);
    this.network.flush();
    this.#publish();
  }

  #applyToSockets(commands: readonly PlaneCommand[], now: number): void {
    let port = this.#listenPort;
    let mark = this.#mark;
    for (const command of commands) {
      if (command.op === "listen-port") port = command.port;
      else mark = command.mark;
    }
    const asksPort = commands.some(({ op }) => op === "listen-port");
    if (this.network.port !== 0) {
      if (asksPort && port !== this.network.port) this.#openSockets(port, mark);
      else if (mark !== this.#mark) this.network.setMark(mark);
    } else if (this.link.isUp && commands.length > 0) {
      this.#openSockets(port, mark);
      this.#opened();
      this.device.up(now);
    } else if (mark !== 0 && mark !== this.#mark) {
      this.#tryMark(mark);
    }
    this.#mark = mark;
    this.#listenPort = this.network.port === 0 ? port : this.network.port;
  }

  #openSockets(port: number, mark: number): void {
    this.network.open(port, mark);
    this.#watchNetwork();
  }

  /** While the link is down there is nothing to mark, and yet a mark that cannot be set must be refused now. */
  #tryMark(mark: number): void {
    try {
      this.network.open(0, mark);
    } finally {
      this.network.close();
    }
  }

  // ── The link ───────────────────────────────────────────────────────────────

  /** Looks at the link, and follows what it finds; due at `nextWake` at the latest. */
  followLink(now: number): void {
    this.#nextSample = now + LINK_SAMPLE_INTERVAL;
    this.link.readEvents();
    this.link.sample();
    this.device.mtu = this.link.mtu;
    if (this.link.isUp && !this.device.isUp) this.#linkUp(now);
    else if (!this.link.isUp && this.device.isUp) this.#linkDown();
    this.readiness.watchLink(this.link.descriptor, this.link.isUp);
    this.#watchNetwork();
    this.#publish();
  }

  isSampleDue(now: number): boolean {
    return now >= this.#nextSample;
  }

  /** Closes what the plane opened; the device's secrets are erased. */
  close(): void {
    this.device.down();
    this.network.close();
    this.link.close();
    this.readiness.close();
  }

  #linkUp(now: number): void {
    try {
      this.network.open(this.#listenPort, this.#mark);
    } catch (error) {
      // The port may be free again later: the next sample tries anew.
      return this.#openFailed(error, now);
    }
    this.#listenPort = this.network.port;
    this.#opened();
    this.device.up(now);
  }

  #openFailed(error: unknown, now: number): void {
    if (!(error instanceof SyscallError)) return this.reportOnce(error);
    if (++this.#openFaults === 1) {
      this.#nextSample = now + OPEN_RETRY;
      return;
    }
    const isInUse = error.errno === EADDRINUSE;
    const remedy = isInUse ? "end that program, or choose another port: wg set INTERFACE listen-port PORT; " : "";
    const text = `${error.message}; ${remedy}trying again every second`;
    if (text !== this.#openFault) this.#reports.error(text);
    this.#openFault = text;
  }

  #opened(): void {
    if (this.#openFault !== null) this.#reports.info(`Listening on port ${this.network.port} now`);
    this.#openFault = null;
    this.#openFaults = 0;
  }

  #linkDown(): void {
    this.device.down();
    this.network.close();
  }

  #watchNetwork(): void {
    const port = this.network as Partial<PolledPort>;
    this.readiness.watchNetwork(port.descriptor4 ?? -1, port.descriptor6 ?? -1);
  }

  // ── A pass ─────────────────────────────────────────────────────────────────

  /** Sends what waits in the TUN device, as much as one pass may. */
  drainTunnel(now: number): void {
    const { tun, path } = this;
    tun.startPass();
    for (let length = tun.next(); length > 0; length = tun.next()) {
      try {
        path.send(tun.offset, length, now);
      } catch (error) {
        this.reportOnce(error);
      }
    }
    const fault = tun.takeReadFault();
    if (fault !== 0) this.#tunnelFault(fault, now);
  }

  /** Hands one datagram to the device. It does not throw for anything a stranger sends; should it, the next one counts. */
  receive(offset: number, length: number, endpoint: number, now: number): void {
    try {
      this.path.receive(offset, length, endpoint, now);
    } catch (error) {
      this.reportOnce(error);
    }
  }

  /** The rest of a pass: some handshakes, the timers, and what all that produced. */
  finishPass(now: number): void {
    const { device } = this;
    device.helpers?.serve(now);
    this.#handshakesLeft = device.processHandshakes(HANDSHAKES_PER_PASS, now);
    if (device.nextDeadline() <= now) device.tick(now);
    this.network.flush();
    if (this.tun.takeLinkFault()) this.followLink(now);
  }

  /** When the next pass is due although nothing arrived. */
  nextWake(now: number): number {
    return this.#handshakesLeft > 0 ? now : Math.min(this.device.nextDeadline(), this.#nextSample);
  }

  /** Before the wait that ends a pass. @returns until when it may last */
  rest(now: number): number {
    const wake = this.nextWake(now);
    return this.device.helpers?.rest() === false ? now : wake;
  }

  /** After it. */
  wake(): void {
    this.device.helpers?.wake();
  }

  /** Tells main of a fault, the first time it happens. */
  reportOnce(error: unknown): void {
    const text = error instanceof SyscallError
      ? error.message
      : error instanceof Error
      ? error.stack ?? error.message
      : `${error}`;
    if (this.#reported.has(text)) return;
    this.#reported.add(text);
    this.#reports.error(text);
  }

  /** A socket that cannot be read is left alone until the next look at the link. */
  networkFault(port: PolledPort, descriptor: number, fault: number): void {
    this.reportOnce(new SyscallError("read the UDP socket", fault));
    const { descriptor4, descriptor6 } = port;
    this.readiness.watchNetwork(
      descriptor4 === descriptor ? -1 : descriptor4,
      descriptor6 === descriptor ? -1 : descriptor6,
    );
  }

  #tunnelFault(fault: number, now: number): void {
    this.followLink(now);
    if (this.link.isGone || !this.link.isUp) return;
    this.reportOnce(new SyscallError("read the TUN device", fault));
    this.readiness.ignoreTunnel();
  }

  #publish(): void {
    const { isUp, mtu } = this.link;
    // While the link is up, a port that is asked for and not bound is none: asking for it again must try again.
    const listenPort = this.network.port !== 0 ? this.network.port : isUp ? 0 : this.#listenPort;
    const old = this.#state;
    if (old.listenPort === listenPort && old.isUp === isUp && old.mtu === mtu) return;
    this.#state = { listenPort, isUp, mtu };
    this.#reports.state(this.#state);
  }
}
