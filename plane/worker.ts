/**
 * The data-plane worker: one per device, or one with the device and helpers (helper_plane.ts). It builds the device between its ports, runs the loop until main asks to stop
 * or the TUN device is gone, and closes what it opened. Everything it says goes through the port it was given.
 */
import type { Aead } from "../crypto/aead.ts";
import { realSuiteOver } from "../crypto/real_suite.ts";
import { wallMilliseconds } from "../ffi/clock.ts";
import { signalEventfd } from "../ffi/eventfd.ts";
import { setThreadName } from "../ffi/process.ts";
import { Device } from "../tunnel/device.ts";
import { DEFAULT_MTU } from "../tunnel/limits.ts";
import type { DatagramSink, PacketSink } from "../tunnel/ports.ts";
import { DeviceTables } from "../tunnel/tables.ts";
import { Helper } from "../tunnel/threads/helper.ts";
import { ThreadTables } from "../tunnel/threads/thread_tables.ts";
import { Arena, DEVICE_SCRATCH, PASSED_PACKET } from "./arena.ts";
import { runAsyncLoop } from "./async_loop.ts";
import { BatchPort } from "./batch_port.ts";
import { Control, failureOf } from "./control.ts";
import { Crew, CrewMember, CrewSockets } from "./crew.ts";
import { DatagramPort } from "./datagram_port.ts";
import { createEngine } from "./engines.ts";
import { HelperPlane } from "./helper_plane.ts";
import { keyLogLines } from "./key_log.ts";
import { LinkWatch } from "./link_watch.ts";
import { runLoop } from "./loop.ts";
import { chooseX25519 } from "./native_x25519.ts";
import { PacketObserver } from "./packet_observer.ts";
import { Plane } from "./plane.ts";
import { Readiness } from "./readiness.ts";
import { openTunPort } from "./open_tun_port.ts";
import type { UdpPort } from "./udp_port.ts";
import { OwnSockets } from "./udp_sockets.ts";
import type { CrewShare, StartMessage } from "./worker_messages.ts";

self.onmessage = (event: MessageEvent<StartMessage>): Promise<void> => run(event.data);

async function run(start: StartMessage): Promise<void> {
  setThreadName(`packets/${start.crew?.thread ?? 0}`);
  const control = new Control(start.port, start.eventDescriptor, start.stopFlag);
  try {
    const isAsked = await runCarrier(start, control);
    if (!isAsked) control.post({ type: "tunnel-gone" });
  } catch (error) {
    control.post({ type: "failed", failure: failureOf(error) });
  }
  control.post({ type: "stopped" });
}

function runCarrier(start: StartMessage, control: Control): boolean | Promise<boolean> {
  if (start.carrier === "datagram") return runDatagram(start, control);
  return start.crew !== null && start.crew.thread > 0
    ? runHelper(start, start.crew, control)
    : runBatch(start, control);
}

/** A helper ends only when it is asked to. */
function runHelper(start: StartMessage, crew: CrewShare, control: Control): true {
  const member = new CrewMember(crew.words, crew.thread - 1);
  try {
    const plane = buildHelper(start, crew, control, member);
    try {
      plane.run(control);
    } finally {
      plane.close();
    }
    return true;
  } finally {
    member.end();
  }
}

function runBatch(start: StartMessage, control: Control): boolean {
  const arena = new Arena();
  const tables = new DeviceTables(start.tables, start.capacity);
  const { crew, usesOffload } = start;
  const sockets = crew === null
    ? new OwnSockets(usesOffload)
    : new CrewSockets(new Crew(crew.words, crew.eventDescriptors.slice(1)), usesOffload);
  const port = new BatchPort(arena, tables, usesOffload, sockets, 0);
  const plane = build(start, control, arena, tables, port);
  try {
    return runLoop(plane, port, control);
  } finally {
    plane.close();
  }
}

async function runDatagram(start: StartMessage, control: Control): Promise<boolean> {
  const arena = new Arena();
  const tables = new DeviceTables(start.tables, start.capacity);
  const port = new DatagramPort(arena, tables, (error) => plane.reportOnce(error));
  const plane = build(start, control, arena, tables, port);
  try {
    return await runAsyncLoop(plane, port, control);
  } finally {
    plane.close();
    await port.settled();
  }
}

function build(start: StartMessage, control: Control, arena: Arena, tables: DeviceTables, network: UdpPort): Plane {
  const { tunDescriptor, hasVnetHeader, usesOffload } = start;
  const tun = openTunPort(arena, tunDescriptor, hasVnetHeader, usesOffload, start.crew?.tunDescriptors);
  const observer = start.observe > 0
    ? new PacketObserver(start.observe, arena.bytes, tables, (summary) => control.post({ type: "packet", summary }))
    : null;
  const device = createDevice(
    start,
    control,
    arena,
    tables,
    observer?.watchNetwork(network) ?? network,
    observer?.watchTunnel(tun) ?? tun,
  );
  network.faults = device;
  if (network instanceof BatchPort) network.beforeSend = (): void => device.completeSeals();
  tun.faults = device;
  const report = (level: "error" | "info") => (text: string): void => control.post({ type: "log", level, text });
  const readiness = new Readiness(tunDescriptor, start.eventDescriptor);
  return new Plane({
    device,
    path: observer?.watchPath(device, network) ?? device,
    tun,
    network,
    link: new LinkWatch(start.tunDescriptor, DEFAULT_MTU, report("info")),
    readiness,
    reports: {
      error: report("error"),
      info: report("info"),
      state: (state) => control.post({ type: "state", state }),
    },
  });
}

function buildHelper(start: StartMessage, crew: CrewShare, control: Control, member: CrewMember): HelperPlane {
  const { thread, eventDescriptors } = crew;
  const arena = new Arena();
  const tables = new DeviceTables(start.tables, start.capacity);
  const port = new BatchPort(arena, tables, start.usesOffload, new OwnSockets(start.usesOffload), thread);
  const { tunDescriptor, hasVnetHeader, usesOffload } = start;
  const tun = openTunPort(arena, tunDescriptor, hasVnetHeader, usesOffload, crew.tunDescriptors);
  const helper = new Helper({
    number: thread - 1,
    memory: arena.memory,
    aead: engineOf(start, control, arena),
    sealsLate: true,
    scratch: DEVICE_SCRATCH,
    tables,
    threads: threadTables(start, crew),
    network: port,
    tunnel: tun,
    wake: () => signalEventfd(eventDescriptors[0]),
  });
  port.faults = helper;
  port.beforeSend = (): void => helper.completeSeals();
  tun.faults = helper;
  const readiness = new Readiness(tunDescriptor, start.eventDescriptor);
  const error = (text: string): void => control.post({ type: "log", level: "error", text });
  return new HelperPlane({ helper, tun, port, member, readiness, error });
}

function threadTables(start: StartMessage, { threads, eventDescriptors }: CrewShare): ThreadTables {
  return new ThreadTables(threads, start.capacity, eventDescriptors.length - 1);
}

/** An engine that is not fit for use is an error of the runtime's, but none that stops anything. */
function engineOf(start: StartMessage, control: Control, arena: Arena): Aead {
  return createEngine(start.engine, arena.memory, (text) => control.post({ type: "log", level: "error", text }));
}

function createDevice(
  start: StartMessage,
  control: Control,
  arena: Arena,
  tables: DeviceTables,
  network: DatagramSink,
  tunnel: PacketSink,
): Device {
  return new Device({
    suite: realSuiteOver(chooseX25519()),
    memory: arena.memory,
    aead: engineOf(start, control, arena),
    sealsLate: start.carrier === "batch",
    scratch: DEVICE_SCRATCH,
    tables,
    random: (out) => void crypto.getRandomValues(out as Uint8Array<ArrayBuffer>),
    wallClock: wallMilliseconds,
    helpers: start.crew === null ? undefined : { tables: threadTables(start, start.crew), room: PASSED_PACKET },
    network,
    tunnel,
    log: start.debug ? { debug: (peer, event): void => control.post({ type: "peer-event", peer, event }) } : undefined,
    onHandshakeSecrets: start.keyLog
      ? (secrets): void => control.post({ type: "key-log", lines: keyLogLines(secrets) })
      : undefined,
  });
}
