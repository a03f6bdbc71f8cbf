/**
 * The data-plane worker: one per device. It builds the device between its ports, runs the loop until main asks to stop
 * or the TUN device is gone, and closes what it opened. Everything it says goes through the port it was given.
 */
import { realSuite } from "../crypto/real_suite.ts";
import { wallMilliseconds } from "../ffi/clock.ts";
import { Device } from "../tunnel/device.ts";
import { DEFAULT_MTU } from "../tunnel/limits.ts";
import type { DatagramSink, PacketSink } from "../tunnel/ports.ts";
import { DeviceTables } from "../tunnel/tables.ts";
import { Arena, DEVICE_SCRATCH } from "./arena.ts";
import { runAsyncLoop } from "./async_loop.ts";
import { BatchPort } from "./batch_port.ts";
import { Control, failureOf } from "./control.ts";
import { DatagramPort } from "./datagram_port.ts";
import { createEngine } from "./engines.ts";
import { keyLogLines } from "./key_log.ts";
import { LinkWatch } from "./link_watch.ts";
import { runLoop } from "./loop.ts";
import { PacketObserver } from "./packet_observer.ts";
import { Plane } from "./plane.ts";
import { Readiness } from "./readiness.ts";
import { openTunPort } from "./open_tun_port.ts";
import type { UdpPort } from "./udp_port.ts";
import type { StartMessage } from "./worker_messages.ts";

self.onmessage = (event: MessageEvent<StartMessage>): Promise<void> => run(event.data);

async function run(start: StartMessage): Promise<void> {
  const control = new Control(start.port, start.eventDescriptor, start.stopFlag);
  try {
    const isAsked = await (start.carrier === "batch" ? runBatch(start, control) : runDatagram(start, control));
    if (!isAsked) control.post({ type: "tunnel-gone" });
  } catch (error) {
    control.post({ type: "failed", failure: failureOf(error) });
  }
  control.post({ type: "stopped" });
}

function runBatch(start: StartMessage, control: Control): boolean {
  const arena = new Arena();
  const tables = new DeviceTables(start.tables, start.capacity);
  const port = new BatchPort(arena, tables, start.usesOffload);
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
  const tun = openTunPort(arena, start.tunDescriptor, start.hasVnetHeader, start.usesOffload);
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
  const readiness = new Readiness(start.tunDescriptor, start.eventDescriptor);
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

function createDevice(
  start: StartMessage,
  control: Control,
  arena: Arena,
  tables: DeviceTables,
  network: DatagramSink,
  tunnel: PacketSink,
): Device {
  return new Device({
    suite: realSuite,
    memory: arena.memory,
    aead: createEngine(start.engine, arena.memory),
    sealsLate: start.carrier === "batch",
    scratch: DEVICE_SCRATCH,
    tables,
    random: (out) => void crypto.getRandomValues(out as Uint8Array<ArrayBuffer>),
    wallClock: wallMilliseconds,
    network,
    tunnel,
    log: start.debug ? { debug: (peer, event): void => control.post({ type: "peer-event", peer, event }) } : undefined,
    onHandshakeSecrets: start.keyLog
      ? (secrets): void => control.post({ type: "key-log", lines: keyLogLines(secrets) })
      : undefined,
  });
}
