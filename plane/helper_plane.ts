/**
 * A helper thread of the data plane: one queue of the TUN device and one pair of sockets, between which it moves packets
 * as loop.ts does. The link, handshakes and timers are the owner's; when it has no sockets it waits for them.
 */
import { bootMilliseconds } from "../ffi/clock.ts";
import { SyscallError } from "../ffi/errno.ts";
import type { DeviceCommand, PlaneCommand } from "../tunnel/commands.ts";
import type { Helper } from "../tunnel/threads/helper.ts";
import type { BatchPort } from "./batch_port.ts";
import type { Commanded, Control } from "./control.ts";
import type { CrewMember } from "./crew.ts";
import { type DatagramTaker, drainNetwork, MAX_FAILED_PASSES } from "./loop.ts";
import type { Readiness } from "./readiness.ts";
import type { TunPort } from "./tun_port.ts";
import type { PolledPort } from "./udp_port.ts";
import type { PlaneState } from "./worker_messages.ts";

export interface HelperPlaneParts {
  readonly helper: Helper;
  readonly tun: TunPort;
  readonly port: BatchPort;
  readonly member: CrewMember;
  readonly readiness: Readiness;
  readonly error: (text: string) => void;
}

export class HelperPlane implements DatagramTaker, Commanded {
  readonly tun: TunPort;
  readonly readiness: Readiness;
  /** The owner's is what counts. */
  readonly state: PlaneState = { listenPort: 0, isUp: false, mtu: 0 };
  readonly #parts: HelperPlaneParts;
  readonly #reported = new Set<string>();

  constructor(parts: HelperPlaneParts) {
    this.#parts = parts;
    this.tun = parts.tun;
    this.readiness = parts.readiness;
    this.readiness.ignoreTunnel();
  }

  /** Runs until main asks to stop. @throws what pass after pass has failed with */
  run(control: Control): void {
    let failures = 0;
    control.post({ type: "ready", state: this.state });
    for (;;) {
      try {
        if (!this.#pass(control)) return;
        failures = 0;
      } catch (error) {
        this.#reportOnce(error);
        if (++failures === MAX_FAILED_PASSES) throw error;
      }
    }
  }

  apply(_plane: readonly PlaneCommand[], commands: Iterable<DeviceCommand>): void {
    for (const command of commands) this.#parts.helper.apply(command);
  }

  receive(offset: number, length: number, endpoint: number, now: number): void {
    try {
      this.#parts.helper.receive(offset, length, endpoint, now);
    } catch (error) {
      this.#reportOnce(error);
    }
  }

  /** A socket that cannot be read is left alone until there are others. */
  networkFault(port: PolledPort, descriptor: number, fault: number): void {
    this.#reportOnce(new SyscallError("read the UDP socket", fault));
    const { descriptor4, descriptor6 } = port;
    this.readiness.watchNetwork(
      descriptor4 === descriptor ? -1 : descriptor4,
      descriptor6 === descriptor ? -1 : descriptor6,
    );
  }

  close(): void {
    this.readiness.close();
  }

  /** @returns false when it was the last */
  #pass(control: Control): boolean {
    const { readiness, helper, port } = this.#parts;
    readiness.wait(Infinity, 0);
    const now = bootMilliseconds();
    if (readiness.hasControl) {
      if (!control.serve(this, now)) return false;
      this.#followOrders();
    }
    helper.enter();
    try {
      drainNetwork(this, port, now);
      // A queue that has more to say than packets is that of a device that is gone.
      if (readiness.hasTunnelNews) readiness.ignoreTunnel();
      else if (readiness.hasTunnel) this.#drainTunnel(now);
      port.flush();
    } finally {
      helper.leave();
    }
    return true;
  }

  #followOrders(): void {
    const { member, port, readiness } = this.#parts;
    member.follow((sockets) => {
      port.use(sockets);
      readiness.watchNetwork(sockets.fd4, sockets.fd6);
      if (sockets.fd4 < 0 && sockets.fd6 < 0) readiness.ignoreTunnel();
      else readiness.watchLink(-1, true);
    });
  }

  #drainTunnel(now: number): void {
    const { tun, helper, readiness } = this.#parts;
    tun.startPass();
    for (let length = tun.next(); length > 0; length = tun.next()) {
      try {
        helper.send(tun.offset, length, now);
      } catch (error) {
        this.#reportOnce(error);
      }
    }
    if (tun.takeReadFault() !== 0) readiness.ignoreTunnel();
  }

  #reportOnce(error: unknown): void {
    const text = error instanceof Error ? error.stack ?? error.message : `${error}`;
    if (this.#reported.has(text)) return;
    this.#reported.add(text);
    this.#parts.error(text);
  }
}
