import assert from "node:assert/strict";
import { EADDRINUSE, EBADF, EPERM, SyscallError } from "../ffi/errno.ts";
import type { DeviceCommand } from "../tunnel/commands.ts";
import { Plane, type PlaneParts } from "./plane.ts";
import type { PlaneState } from "./worker_messages.ts";

const COMMAND: DeviceCommand = { op: "keepalive", peer: 0, seconds: 1 };

/** A plane whose surroundings write down what is asked of them. */
class Fixture {
  readonly calls: string[] = [];
  readonly states: PlaneState[] = [];
  readonly errors: string[] = [];
  readonly infos: string[] = [];
  readonly link = {
    isUp: false,
    isGone: false,
    mtu: 1420,
    descriptor: 9,
    readEvents: (): void => {},
    sample: (): void => {},
    close: (): void => {},
  };
  readonly network = {
    carrier: "batch" as const,
    port: 0,
    descriptor4: 4,
    descriptor6: 6,
    faults: null,
    /** Thrown by the next `open` or `setMark`. */
    failure: null as Error | null,
    open: (port: number, mark: number): void => {
      this.#failOrNote(`open ${port} ${mark}`);
      this.network.port = port === 0 ? 40_000 : port;
    },
    setMark: (mark: number): void => this.#failOrNote(`mark ${mark}`),
    close: (): void => {
      this.calls.push("close");
      this.network.port = 0;
    },
    flush: (): void => {},
    reserve: (): number => 0,
    commit: (): void => {},
  };
  readonly device = {
    isUp: false,
    mtu: 0,
    up: (): void => {
      this.calls.push("up");
      this.device.isUp = true;
    },
    down: (): void => {
      this.calls.push("down");
      this.device.isUp = false;
    },
    apply: ({ op }: DeviceCommand): void => void this.calls.push(op),
    send: (_offset: number, length: number): number => {
      if (length === 666) throw new Error("poison");
      this.calls.push(`send ${length}`);
      return 0;
    },
    receive: (): number => {
      throw new Error("poison");
    },
    processHandshakes: (limit: number): number => {
      this.calls.push(`handshakes ${limit}`);
      return this.handshakes;
    },
    nextDeadline: (): number => this.deadline,
    tick: (now: number): void => void this.calls.push(`tick ${now}`),
  };
  readonly tun = {
    offset: 0,
    lengths: [] as number[],
    readFault: 0,
    startPass: (): void => {},
    next: (): number => this.tun.lengths.shift() ?? 0,
    flush: (): void => {},
    takeReadFault: (): number => this.tun.readFault,
    takeLinkFault: (): boolean => false,
  };
  handshakes = 0;
  deadline = Infinity;
  readonly plane = new Plane({
    device: this.device,
    path: this.device,
    tun: this.tun,
    network: this.network,
    link: this.link,
    readiness: {
      watchLink: (descriptor: number, isUp: boolean): void => void this.calls.push(`watch ${descriptor} ${isUp}`),
      watchNetwork: (): void => {},
      ignoreTunnel: (): void => void this.calls.push("ignore tunnel"),
      close: (): void => {},
    },
    reports: {
      error: (text: string): void => void this.errors.push(text),
      info: (text: string): void => void this.infos.push(text),
      state: (state: PlaneState): void => void this.states.push(state),
    },
  } as unknown as PlaneParts);

  /** What was called since the last time, but for the watching. */
  take(): string[] {
    return this.calls.splice(0).filter((call) => !call.startsWith("watch"));
  }

  setLink(isUp: boolean): void {
    this.link.isUp = isUp;
    this.plane.followLink(0);
  }

  #failOrNote(call: string): void {
    const { failure } = this.network;
    this.network.failure = null;
    if (failure !== null) throw failure;
    this.calls.push(call);
  }
}

Deno.test("Plane stores a port while the link is down, and opens it when the link comes up", () => {
  const fixture = new Fixture();
  fixture.plane.apply([{ op: "listen-port", port: 7 }], [], 0);
  assert.deepEqual(fixture.take(), []);
  assert.equal(fixture.plane.state.listenPort, 7);
  fixture.setLink(true);
  assert.deepEqual(fixture.take(), ["open 7 0", "up"]);
  fixture.setLink(false);
  assert.deepEqual(fixture.take(), ["down", "close"]);
  assert.equal(fixture.plane.state.listenPort, 7);
});

Deno.test("Plane keeps the random port it got over a time without a link", () => {
  const fixture = new Fixture();
  fixture.setLink(true);
  assert.equal(fixture.plane.state.listenPort, 40_000);
  fixture.setLink(false);
  fixture.setLink(true);
  assert.deepEqual(fixture.take(), ["open 0 0", "up", "down", "close", "open 40000 0", "up"]);
});

Deno.test("Plane opens the sockets anew only for another port, and for 0 always", () => {
  const fixture = new Fixture();
  fixture.setLink(true);
  fixture.take();
  for (const port of [40_000, 7, 7, 0]) fixture.plane.apply([{ op: "listen-port", port }], [], 0);
  assert.deepEqual(fixture.take(), ["open 7 0", "open 0 0"]);
});

Deno.test("Plane marks open sockets in place, and new ones from the start", () => {
  const fixture = new Fixture();
  fixture.setLink(true);
  fixture.take();
  fixture.plane.apply([{ op: "fwmark", mark: 5 }], [], 0);
  fixture.plane.apply([{ op: "fwmark", mark: 6 }, { op: "listen-port", port: 7 }], [], 0);
  fixture.plane.apply([{ op: "fwmark", mark: 6 }], [], 0);
  assert.deepEqual(fixture.take(), ["mark 5", "open 7 6"]);
});

Deno.test("Plane tries a mark while the link is down, so that it can refuse it", () => {
  const fixture = new Fixture();
  fixture.network.failure = new SyscallError("setsockopt SO_MARK", EPERM);
  assert.throws(() => fixture.plane.apply([{ op: "fwmark", mark: 5 }], [COMMAND], 0), /EPERM/);
  assert.deepEqual(fixture.take(), ["close"]);
  fixture.plane.apply([{ op: "fwmark", mark: 6 }], [COMMAND], 0);
  assert.deepEqual(fixture.take(), ["open 0 6", "close", "keepalive"]);
  fixture.setLink(true);
  assert.deepEqual(fixture.take(), ["open 0 6", "up"]);
});

Deno.test("Plane applies nothing of a request whose port is in use", () => {
  const fixture = new Fixture();
  fixture.setLink(true);
  const before = fixture.plane.state;
  fixture.take();
  fixture.network.failure = new SyscallError("bind", EADDRINUSE);
  const request = (): void =>
    fixture.plane.apply([{ op: "fwmark", mark: 5 }, { op: "listen-port", port: 7 }], [COMMAND], 0);
  assert.throws(request, /EADDRINUSE/);
  assert.deepEqual(fixture.take(), []);
  assert.deepEqual(fixture.plane.state, before);
  // Neither number was kept.
  fixture.setLink(false);
  fixture.setLink(true);
  assert.deepEqual(fixture.take(), ["down", "close", "open 40000 0", "up"]);
});

Deno.test("Plane tries again when the sockets could not be opened as the link came up, and reports it once", () => {
  const fixture = new Fixture();
  for (let i = 0; i < 3; i++) {
    fixture.network.failure = new SyscallError("bind port 7", EADDRINUSE);
    fixture.setLink(true);
  }
  assert.equal(fixture.errors.length, 1);
  assert.deepEqual(fixture.take(), []);
  fixture.setLink(true);
  assert.deepEqual(fixture.take(), ["open 0 0", "up"]);
});

Deno.test("Plane tells no port while the link is up and its own is in use, names the remedy, and says when it is over", () => {
  const fixture = new Fixture();
  fixture.plane.apply([{ op: "listen-port", port: 7 }], [], 0);
  const states: number[] = [];
  for (const isFree of [false, false, true, false, false]) {
    if (!isFree) fixture.network.failure = new SyscallError("bind port 7", EADDRINUSE);
    fixture.setLink(true);
    states.push(fixture.plane.state.listenPort);
    if (isFree) fixture.setLink(false);
  }
  assert.deepEqual(states, [0, 0, 7, 0, 0]);
  assert.equal(fixture.errors.length, 2);
  assert.match(fixture.errors[0], /bind port 7: .*EADDRINUSE.*; end that program.* listen-port/);
  assert.deepEqual(fixture.infos, ["Listening on port 7 now"]);
  fixture.setLink(false);
  assert.equal(fixture.plane.state.listenPort, 7);
});

Deno.test("Plane tries again soon, and in silence, when the sockets could not be opened once", () => {
  const fixture = new Fixture();
  fixture.network.failure = new SyscallError("bind port 7", EADDRINUSE);
  fixture.setLink(true);
  assert.deepEqual([99, 100].map((now) => fixture.plane.isSampleDue(now)), [false, true]);
  fixture.setLink(true);
  assert.equal(fixture.plane.isSampleDue(100), false);
  assert.equal(fixture.device.isUp, true);
  assert.deepEqual([fixture.errors, fixture.infos], [[], []]);
});

Deno.test("Plane opens a port that a command brings where none could be opened", () => {
  const fixture = new Fixture();
  fixture.network.failure = new SyscallError("bind", EADDRINUSE);
  fixture.setLink(true);
  fixture.plane.apply([{ op: "listen-port", port: 8 }], [COMMAND], 0);
  assert.deepEqual(fixture.take(), ["open 8 0", "up", "keepalive"]);
});

Deno.test("Plane reports its state when it changes and only then", () => {
  const fixture = new Fixture();
  fixture.setLink(true);
  fixture.setLink(true);
  fixture.link.mtu = 1280;
  fixture.setLink(true);
  assert.deepEqual(fixture.states, [
    { listenPort: 40_000, isUp: true, mtu: 1420 },
    { listenPort: 40_000, isUp: true, mtu: 1280 },
  ]);
  assert.equal(fixture.device.mtu, 1280);
});

Deno.test("Plane.finishPass() bounds the handshakes, ticks when due, and asks for another pass while some are left", () => {
  const fixture = new Fixture();
  fixture.setLink(true);
  fixture.take();
  fixture.plane.finishPass(100);
  assert.deepEqual(fixture.take(), ["handshakes 4"]);
  assert.equal(fixture.plane.nextWake(100), 1_000);
  fixture.handshakes = 3;
  fixture.deadline = 150;
  fixture.plane.finishPass(100);
  assert.equal(fixture.plane.nextWake(100), 100);
  fixture.handshakes = 0;
  fixture.plane.finishPass(120);
  assert.equal(fixture.plane.nextWake(120), 150);
  fixture.take();
  fixture.plane.finishPass(150);
  assert.deepEqual(fixture.take(), ["handshakes 4", "tick 150"]);
});

Deno.test("Plane goes on after a packet that throws, and reports it once", () => {
  const fixture = new Fixture();
  fixture.tun.lengths = [10, 666, 666, 20];
  fixture.plane.drainTunnel(0);
  assert.deepEqual(fixture.take(), ["send 10", "send 20"]);
  for (let i = 0; i < 3; i++) fixture.plane.receive(0, 1, 0, 0);
  assert.equal(fixture.errors.length, 2);
});

Deno.test("Plane leaves a TUN device alone that cannot be read, until the next look at the link", () => {
  const fixture = new Fixture();
  fixture.setLink(true);
  fixture.calls.length = 0;
  fixture.tun.readFault = EBADF;
  fixture.plane.drainTunnel(0);
  fixture.plane.drainTunnel(0);
  assert.deepEqual(fixture.calls, ["watch 9 true", "ignore tunnel", "watch 9 true", "ignore tunnel"]);
  assert.equal(fixture.errors.length, 1);
});

Deno.test("Plane does not report a read that failed because the link went down", () => {
  const fixture = new Fixture();
  fixture.setLink(true);
  fixture.link.isUp = false;
  fixture.tun.readFault = EBADF;
  fixture.plane.drainTunnel(0);
  assert.deepEqual(fixture.errors, []);
  assert.equal(fixture.device.isUp, false);
});
