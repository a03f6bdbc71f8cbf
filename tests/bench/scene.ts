/**
 * Two namespaces per contestant, a veth link between them, and the contestant's tunnel over it. All contestants stand
 * ready at the same time, so that measurements can alternate between them within seconds.
 *
 *     client ── tunnel 192.168.200.1 ══ veth 10.S.0.1 ── 10.S.0.2 veth ══ 192.168.200.2 tunnel ── server
 */
import { makeKeys } from "../netns/daemon.ts";
import { type Host, type Lab, type Place, uniqueInterface } from "../netns/lab.ts";
import { type Background, exists, readText, sleep, waitFor } from "../netns/process.ts";
import { inner, PORTS, untilReachable } from "../netns/tunnel.ts";
import type { Contestant, Program } from "./contestants.ts";

const START_TIMEOUT = 20_000;

/** A WireGuard interface with whatever drives it. */
export interface Interface {
  readonly host: Host;
  readonly name: string;
  /** Its process; null for the kernel's. */
  readonly process: Background | null;
}

export interface BenchEnd extends Place {
  readonly interface: Interface | null;
  /** Inner address, or the outer one where there is no tunnel. */
  address(family: 4 | 6): string;
}

export interface BenchTunnel {
  readonly client: BenchEnd;
  readonly server: BenchEnd;
}

/** Starts a program and returns as soon as `wg` can reach it. */
export async function startInterface(host: Host, program: Program): Promise<Interface> {
  const name = uniqueInterface();
  if (program.kind === "kernel") {
    await host.must(["ip", "link", "add", name, "type", "wireguard"]);
    return { host, name, process: null };
  }
  const command = [...await program.implementation.command(), "-f", name];
  const process = host.spawn(command, { LOG_LEVEL: "error", WG_PROCESS_FOREGROUND: "1" });
  await waitFor(
    `the control socket of ${program.implementation.name}`,
    () => {
      if (process.exited) throw new Error(`${program.implementation.name} ended at its start: ${process.output()}`);
      return exists(`/var/run/wireguard/${name}.sock`);
    },
    START_TIMEOUT,
    2,
  );
  return { host, name, process };
}

/** Ends an interface and waits until it is gone. */
export async function stopInterface(end: Interface): Promise<void> {
  if (end.process === null) await end.host.must(["ip", "link", "delete", end.name]);
  else await end.process[Symbol.asyncDispose]();
}

/** Loads a whole configuration, as `wg setconf` takes it. @returns milliseconds it took */
export async function setConfiguration(end: Interface, text: string): Promise<number> {
  const file = await Deno.makeTempFile({ dir: end.host.lab.folder, suffix: ".conf" });
  await Deno.writeTextFile(file, text);
  const started = performance.now();
  await end.host.must(["wg", "setconf", end.name, file]);
  return performance.now() - started;
}

/** Inner addresses and MTU, up. */
export async function bringUp({ host, name }: Interface, side: 1 | 2, mtu = 1420): Promise<void> {
  await host.must(["ip", "address", "add", `${inner(side, 4)}/24`, "dev", name]);
  await host.must(["ip", "address", "add", `${inner(side, 6)}/64`, "dev", name, "nodad"]);
  await host.must(["ip", "link", "set", name, "mtu", `${mtu}`, "up"]);
}

/** The contestant's tunnel in namespaces of its own; one packet each way has passed. */
export async function openBenchTunnel(lab: Lab, contestant: Contestant): Promise<BenchTunnel> {
  const { link } = await lab.pair();
  const places: readonly [Place, Place] = [link.place(1), link.place(2)];
  if (contestant.ends === null) return { client: withoutTunnel(places[0]), server: withoutTunnel(places[1]) };
  const client = await startInterface(places[0].host, contestant.ends[0]);
  const server = await startInterface(places[1].host, contestant.ends[1]);
  await introduce([client, server], places);
  await bringUp(client, 1);
  await bringUp(server, 2);
  await untilReachable(client.host, inner(2));
  return { client: endOf(places[0], client, 1), server: endOf(places[1], server, 2) };
}

/** Keys, ports and each other's endpoint. @param more further peers for each, as configuration text */
export async function introduce(
  interfaces: readonly [Interface, Interface],
  places: readonly [Place, Place],
  more = "",
): Promise<[number, number]> {
  const keys = [await makeKeys(), await makeKeys()];
  const times: [number, number] = [0, 0];
  for (const i of [0, 1]) {
    const far = 1 - i;
    const side = far === 0 ? 1 : 2;
    const text = `[Interface]\nPrivateKey = ${keys[i].privateKey}\nListenPort = ${PORTS[i]}\n` +
      `[Peer]\nPublicKey = ${keys[far].publicKey}\nEndpoint = ${places[far].outer(4)}:${PORTS[far]}\n` +
      `AllowedIPs = ${inner(side, 4)}/32, ${inner(side, 6)}/128\n${more}`;
    times[i] = await setConfiguration(interfaces[i], text);
  }
  return times;
}

/** Moves the outer side of a tunnel to the other family. */
export async function setOuterFamily(tunnel: BenchTunnel, family: 4 | 6): Promise<void> {
  for (const [end, far, port] of [[tunnel.client, tunnel.server, PORTS[1]], [tunnel.server, tunnel.client, PORTS[0]]]) {
    const { interface: own, host } = end as BenchEnd;
    if (own === null) continue;
    const address = (far as BenchEnd).outer(family);
    const endpoint = family === 4 ? `${address}:${port}` : `[${address}]:${port}`;
    const peer = (await host.must(["wg", "show", own.name, "peers"])).trim();
    await host.must(["wg", "set", own.name, "peer", peer, "endpoint", endpoint]);
  }
  await untilReachable(tunnel.client.host, tunnel.server.address(4));
}

// ── What processes use ───────────────────────────────────────────────────────

/** Processor time in milliseconds, in the program and in the kernel on its behalf. */
export interface ProcessorTime {
  readonly user: number;
  readonly system: number;
}

/** Processor time of both ends so far; null if one has no process. */
export function processorTime({ client, server }: BenchTunnel): ProcessorTime | null {
  const [a, b] = [processTime(client.interface), processTime(server.interface)];
  return a === null || b === null ? null : { user: a.user + b.user, system: a.system + b.system };
}

/** Resident memory in bytes; null for the kernel. */
export function residentBytes(end: Interface | null): number | null {
  if (end === null || end.process === null) return null;
  const kibibytes = readText(`/proc/${end.process.pid}/status`).match(/^VmRSS:\s+(\d+) kB$/m)?.[1];
  if (kibibytes === undefined) throw new Error(`${end.name} has ended: ${end.process.output()}`);
  return Number(kibibytes) * 1024;
}

/** Resident memory once it has come to rest: two readings half a second apart that agree within 1 %. */
export async function settledBytes(end: Interface): Promise<number | null> {
  let last = residentBytes(end);
  for (let tries = 0; last !== null && tries < 10; tries++) {
    await sleep(500);
    const next = residentBytes(end);
    if (next !== null && Math.abs(next - last) < last / 100) return next;
    last = next;
  }
  return last;
}

/** /proc counts processor time in hundredths of a second, on every architecture Linux knows. */
const MILLISECONDS_PER_TICK = 10;

/** utime and stime of /proc/PID/stat, fields 14 and 15; the second is the name, in parentheses. */
function processTime(end: Interface | null): ProcessorTime | null {
  if (end === null || end.process === null) return null;
  const text = readText(`/proc/${end.process.pid}/stat`);
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  if (fields.length < 13) throw new Error(`${end.name} has ended: ${end.process.output()}`);
  const [user, system] = fields.slice(11, 13).map((field) => Number(field) * MILLISECONDS_PER_TICK);
  return { user, system };
}

function endOf(place: Place, end: Interface, side: 1 | 2): BenchEnd {
  return { ...place, interface: end, address: (family) => inner(side, family) };
}

function withoutTunnel(place: Place): BenchEnd {
  return { ...place, interface: null, address: (family) => place.outer(family) };
}
