/**
 * `deno task demo [--carrier auto|batch|datagram]`: two machines on one, and a tunnel between them. Shows every step
 * as it happens, needs root and nothing else, and leaves nothing behind.
 *
 *     ┌─ left ───────────────────────────┐         ┌─────────────────────────── right ─┐
 *     │ culvert-left            cable    ├─────────┤ cable             culvert-right   │
 *     │ 10.99.0.1 ── culvert ── 192.0.2.1│         │ 192.0.2.2 ── culvert ── 10.99.0.2 │
 *     └──────────────────────────────────┘         └───────────────────────────────────┘
 */
import { getDevice, setDevice } from "../../control/uapi_client.ts";
import { isUapiServed, uapiSocketPath } from "../../control/uapi_socket.ts";
import type { SetStatement } from "../../control/uapi_request.ts";
import { encodeBase64 } from "../../crypto/encoding.ts";
import { publicKey } from "../../crypto/x25519.ts";
import { SyscallError } from "../../ffi/errno.ts";
import { geteuid } from "../../ffi/process.ts";
import { generatePrivateKey } from "../../host/keys.ts";
import { parseAddress } from "../../tunnel/address_text.ts";
import { endpointRecord } from "../../tunnel/endpoint.ts";
import { Capture } from "./capture.ts";
import { CABLE, Machine } from "./network.ts";
import { Pinger } from "./ping.ts";
import { describeInner, describeOuter, dump, fact, formatRate, isData, say, step } from "./story.ts";

const CARRIERS = ["auto", "batch", "datagram"];
const TRANSFER_SECONDS = 3;
const TRANSFER_PORT = 5001;
const PINGS = 10;
const START_TIMEOUT = 15_000;
const PING_TIMEOUT = 5_000;

/** Ends the demo with one line. */
class DemoError extends Error {}

/** One end of the tunnel. */
interface Side {
  readonly name: string;
  readonly machine: Machine;
  readonly outer: string;
  readonly inner: string;
  readonly port: number;
  readonly privateKey: Uint8Array;
}

Deno.exit(await main());

async function main(): Promise<number> {
  try {
    const carrier = parseArguments(Deno.args);
    if (geteuid() !== 0) throw new DemoError("needs root, for network namespaces and TUN devices; run it with sudo");
    await runDemo(carrier);
    return 0;
  } catch (error) {
    if (!(error instanceof DemoError || error instanceof SyscallError)) throw error;
    const hint = error instanceof SyscallError && error.code === "EPERM"
      ? "; CAP_NET_ADMIN and CAP_SYS_ADMIN are needed (in a container: --privileged)"
      : "";
    Deno.stderr.writeSync(new TextEncoder().encode(`demo: ${error.message}${hint}\n`));
    return 1;
  }
}

function parseArguments(args: readonly string[]): string {
  if (args.length === 0) return "auto";
  const carrier = args.length === 1 ? args[0].replace(/^--carrier=/, "") : args[1];
  if (!args[0].startsWith("--carrier") || args.length > 2 || !CARRIERS.includes(carrier)) {
    throw new DemoError(`the only option is --carrier ${CARRIERS.join("|")}`);
  }
  return carrier;
}

async function runDemo(carrier: string): Promise<void> {
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => say("\nCleaned up: nothing is left of it."));
  const interrupted = interruption(cleanup);

  step("Two network namespaces with a cable between them");
  const left = makeSide("culvert-left", "192.0.2.1", "10.99.0.1", 51_820, cleanup);
  const right = makeSide("culvert-right", "192.0.2.2", "10.99.0.2", 51_821, cleanup);
  left.machine.connect(right.machine);
  for (const side of [left, right]) side.machine.setAddress(CABLE, side.outer, 24);
  fact(`left ${left.outer} ── ${right.outer} right`);

  await Promise.race([interrupted, play(left, right, carrier, cleanup)]);
}

async function play(left: Side, right: Side, carrier: string, cleanup: AsyncDisposableStack): Promise<void> {
  step(`A culvert in each (${carrier} carrier)`);
  for (const side of [left, right]) await startCulvert(side, carrier, cleanup);

  step("Configured over their control sockets");
  await configure(left, right);
  await configure(right, left);
  for (const side of [left, right]) side.machine.setAddress(side.name, side.inner, 24);

  step("The first ping sets off the handshake");
  await firstPing(left, right, cleanup);

  step("More pings");
  await morePings(left, right, cleanup);

  step("TCP through the tunnel");
  fact(`left → right   ${await transfer(left, right, cleanup)}`);
  fact(`right → left   ${await transfer(right, left, cleanup)}`);

  step("What the interfaces say");
  for (const side of [left, right]) await report(side);
}

function makeSide(name: string, outer: string, inner: string, port: number, cleanup: AsyncDisposableStack): Side {
  const machine = new Machine();
  cleanup.defer(() => machine.close());
  return { name, machine, outer, inner, port, privateKey: generatePrivateKey() };
}

/** Rejects at ^C, so that the cleaning up goes its usual way. */
function interruption(cleanup: AsyncDisposableStack): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {});
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    const stop = (): void => reject(new DemoError("interrupted"));
    Deno.addSignalListener(signal, stop);
    cleanup.defer(() => Deno.removeSignalListener(signal, stop));
  }
  return promise;
}

/** Starts a Deno program on a machine; it is ended with the demo. */
function start(
  machine: Machine,
  args: readonly string[],
  stdout: "null" | "piped",
  cleanup: AsyncDisposableStack,
): Deno.ChildProcess {
  const command = new Deno.Command(Deno.execPath(), { args: ["run", "-A", ...args], stdin: "null", stdout });
  const child = machine.run(() => command.spawn());
  cleanup.defer(async () => {
    try {
      child.kill("SIGTERM");
    } catch (error) {
      // It has ended already.
      if (!(error instanceof TypeError)) throw error;
    }
    await child.status;
  });
  return child;
}

async function startCulvert(side: Side, carrier: string, cleanup: AsyncDisposableStack): Promise<void> {
  const program = new URL("../../main.ts", import.meta.url).pathname;
  const started = performance.now();
  const child = start(side.machine, [program, "-f", "--carrier", carrier, side.name], "null", cleanup);
  let isOver = false;
  child.status.then(() => isOver = true);
  while (!isOver && performance.now() - started < START_TIMEOUT) {
    if (await isUapiServed(uapiSocketPath(side.name))) {
      fact(`${side.name} is up after ${(performance.now() - started).toFixed(0)} ms, process ${child.pid}`);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new DemoError(`${side.name} did not start`);
}

async function configure(side: Side, other: Side): Promise<void> {
  const key = publicKey(other.privateKey);
  const statements: SetStatement[] = [
    { key: "private_key", value: side.privateKey },
    { key: "listen_port", value: side.port },
    { key: "public_key", value: key },
    { key: "endpoint", value: endpointRecord(addressOf(other.outer), other.port) },
    { key: "allowed_ip", address: addressOf(other.inner), cidr: 32, remove: false },
  ];
  await setDevice(side.name, statements);
  fact(`${side.name}: peer ${encodeBase64(key)} at ${other.outer}:${other.port}, allowed ${other.inner}/32`);
}

async function firstPing(left: Side, right: Side, cleanup: AsyncDisposableStack): Promise<void> {
  const inside = new Capture(left.machine, left.name);
  cleanup.defer(() => inside.close());
  const outside = new Capture(left.machine, CABLE);
  cleanup.defer(() => outside.close());
  const milliseconds = await pingOnce(left, right, cleanup);
  const inner = inside.take();
  const outer = outside.take();
  for (const packet of outer.filter((packet) => !isData(packet))) {
    const words = describeOuter(packet);
    if (words !== null) fact(words);
  }
  fact(`answered after ${milliseconds.toFixed(2)} ms, handshake included`);
  // Before the ping's own message the initiator may confirm the session by an empty one.
  const sealed = outer.filter(isData).find((packet) => packet.length > inner[0].length);
  if (sealed === undefined) throw new DemoError("no sealed packet was seen on the cable");
  fact("");
  fact(`inner packet, as the tunnel interface saw it:  ${describeInner(inner[0])}`);
  dump(inner[0]);
  fact(`outer packet, as the cable saw it:  ${describeOuter(sealed)}`);
  dump(sealed);
}

async function pingOnce(from: Side, to: Side, cleanup: AsyncDisposableStack): Promise<number> {
  const pinger = new Pinger(from.machine, to.inner);
  cleanup.defer(() => pinger.close());
  const milliseconds = await pinger.ping(PING_TIMEOUT);
  if (milliseconds === null) throw new DemoError(`${to.inner} did not answer`);
  return milliseconds;
}

async function morePings(left: Side, right: Side, cleanup: AsyncDisposableStack): Promise<void> {
  const times: number[] = [];
  for (let i = 0; i < PINGS; i++) times.push(await pingOnce(left, right, cleanup));
  const average = times.reduce((sum, time) => sum + time, 0) / PINGS;
  const [least, most] = [Math.min(...times), Math.max(...times)];
  fact(`${PINGS} answered: min ${least.toFixed(2)}, avg ${average.toFixed(2)}, max ${most.toFixed(2)} ms`);
}

async function transfer(from: Side, to: Side, cleanup: AsyncDisposableStack): Promise<string> {
  const program = new URL("./transfer.ts", import.meta.url).pathname;
  const receiver = start(to.machine, [program, "receive", to.inner, `${TRANSFER_PORT}`], "piped", cleanup);
  const lines = receiver.stdout.pipeThrough(new TextDecoderStream()).getReader();
  if ((await lines.read()).value !== "ready\n") throw new DemoError("the receiver did not start");
  start(from.machine, [program, "send", to.inner, `${TRANSFER_PORT}`, `${TRANSFER_SECONDS}`], "null", cleanup);
  const { value } = await lines.read();
  if (value === undefined) throw new DemoError("the transfer broke off");
  const { bytes, seconds } = JSON.parse(value);
  await lines.cancel();
  return formatRate(bytes, seconds);
}

async function report(side: Side): Promise<void> {
  const { listenPort, peers } = await getDevice(side.name);
  for (const peer of peers) {
    const handshake = new Date(peer.lastHandshakeSeconds * 1000).toISOString();
    fact(`${side.name}, port ${listenPort}: peer at ${peer.endpoint}, handshake ${handshake}`);
    fact(`  ${(peer.rxBytes / 1e6).toFixed(1)} MB received, ${(peer.txBytes / 1e6).toFixed(1)} MB sent`);
  }
}

function addressOf(text: string): Uint8Array {
  const address = parseAddress(text);
  if (address === null) throw new RangeError(`Cannot read the address ${text}`);
  return address;
}
