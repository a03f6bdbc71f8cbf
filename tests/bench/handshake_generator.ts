/**
 * Plays many peers at once against one daemon, run inside a namespace with a JSON `GeneratorTask` as its argument.
 *
 * - `initiate`: sends an initiation of each peer, all made beforehand, and counts the responses.
 * - `respond`: has the daemon initiate, by one packet to each peer sent from the daemon's own namespace; answers, and
 *   counts the transport messages that prove the daemon took the answer for good. What can be computed beforehand is,
 *   so that the daemon and not its opponent is measured.
 *
 * A window keeps the daemon busy without pushing it into the state where it demands cookies. The last line printed is
 * a JSON `GeneratorResult`.
 */
import process from "node:process";
import { decodeKeyBase64 } from "../../crypto/encoding.ts";
import { IDENTIFIER, NoiseState } from "../../crypto/noise.ts";
import { realSuite } from "../../crypto/real_suite.ts";
import type { CryptoSuite } from "../../crypto/suite.ts";
import { close } from "../../ffi/file.ts";
import { inNamespace, openNamespace } from "../../ffi/namespace.ts";
import { CookieGenerator } from "../../tunnel/cookie.ts";
import { KEY_BYTES, TIMESTAMP_BYTES } from "../../tunnel/limits.ts";
import {
  DATA_RECEIVER,
  INIT_BYTES,
  INIT_EPHEMERAL,
  INIT_MAC1,
  INIT_SENDER,
  RESP_BYTES,
  RESP_EPHEMERAL,
  RESP_MAC1,
  RESP_RECEIVER,
  RESP_SENDER,
  TYPE_DATA,
  TYPE_INITIATION,
  TYPE_RESPONSE,
} from "../../tunnel/messages.ts";
import { writeTai64n } from "../../tunnel/tai64n.ts";
import { FIRST_PORT, peerAddress, peerPrivateKey } from "./bench_peers.ts";

export interface GeneratorTask {
  readonly role: "initiate" | "respond";
  readonly count: number;
  /** The daemon's public key in base64, and where it listens. */
  readonly target: string;
  readonly targetAddress: string;
  readonly targetPort: number;
  readonly ownAddress: string;
  /** `respond`: the daemon's namespace. */
  readonly targetNamespace: string;
}

export interface GeneratorResult {
  readonly completed: number;
  readonly seconds: number;
  /** Processor time of the generator itself in that time, percent: near 100 it is the generator that was measured. */
  readonly busy: number;
}

/** Peers under way at a time; below a quarter of what wireguard-go calls load. */
const WINDOW = 24;
/** Milliseconds without progress after which what is under way counts as lost. */
const STALL = 300;
/** Stalls in a row after which the run ends. */
const MAX_STALLS = 5;

/** Answers to itself before the run, so that no compiler is measured. */
const WARM_UP = 500;

const PROLOGUE = new TextEncoder().encode(IDENTIFIER);
const NO_PSK = new Uint8Array(KEY_BYTES);
const DISCARD_PORT = 9;

/** Hands out the numbers 0 … count − 1, at most WINDOW of them at a time. */
class Progress {
  readonly #count: number;
  readonly #begin: (number: number) => void;
  readonly #completed = new Set<number>();
  #next = 0;
  #underWay = 0;
  #lastAt = 0;
  /** Microseconds of processor time when the last one was completed. */
  #usage = process.cpuUsage();

  constructor(count: number, begin: (number: number) => void) {
    this.#count = count;
    this.#begin = begin;
  }

  complete(number: number): void {
    if (number >= this.#next || this.#completed.has(number)) return;
    this.#completed.add(number);
    this.#lastAt = performance.now();
    if (this.#completed.size === this.#count) this.#usage = process.cpuUsage();
    this.#underWay = Math.max(this.#underWay - 1, 0);
    this.#fill();
  }

  async run(): Promise<GeneratorResult> {
    const started = performance.now();
    const before = process.cpuUsage();
    this.#lastAt = started;
    this.#fill();
    let stalls = 0;
    for (let seen = 0; this.#completed.size < this.#count && stalls < MAX_STALLS;) {
      await new Promise((resolve) => setTimeout(resolve, STALL));
      stalls = this.#completed.size === seen ? stalls + 1 : 0;
      seen = this.#completed.size;
      if (stalls > 0 && this.#next < this.#count) {
        this.#underWay = 0;
        this.#fill();
      }
    }
    const milliseconds = this.#lastAt - started;
    const { user, system } = this.#usage;
    const busy = (user + system - before.user - before.system) / 10 / milliseconds;
    return { completed: this.#completed.size, seconds: milliseconds / 1000, busy };
  }

  #fill(): void {
    while (this.#underWay < WINDOW && this.#next < this.#count) {
      this.#underWay++;
      this.#begin(this.#next++);
    }
  }
}

const task: GeneratorTask = JSON.parse(Deno.args[0]);
const target = decodeKeyBase64(task.target);
if (target === null) throw new TypeError("The target is not a key");
const endpoint: Deno.NetAddr = { transport: "udp", hostname: task.targetAddress, port: task.targetPort };
const result = await (task.role === "initiate" ? initiate(target) : respond(target));
await Deno.stdout.write(new TextEncoder().encode(`${JSON.stringify(result)}\n`));
Deno.exit(0);

async function initiate(target: Uint8Array): Promise<GeneratorResult> {
  const messages = Array.from({ length: task.count }, (_, number) => makeInitiation(number, number, target));
  const socket = Deno.listenDatagram({ transport: "udp", hostname: task.ownAddress, port: FIRST_PORT - 1 });
  const progress = new Progress(task.count, (number) => send(socket, messages[number], endpoint));
  receiveAll(socket, (message, view) => {
    const isResponse = message.length === RESP_BYTES && message[0] === TYPE_RESPONSE;
    if (isResponse) progress.complete(view.getUint32(RESP_RECEIVER, true));
  });
  return await progress.run();
}

/** What peer `number` says to the target, as its session `index`. */
function makeInitiation(number: number, index: number, target: Uint8Array): Uint8Array {
  const privateKey = peerPrivateKey(number);
  const staticStatic = realSuite.sharedSecret(privateKey, target);
  if (staticStatic === null) throw new RangeError("The target's key is a low-order point");
  const timestamp = new Uint8Array(TIMESTAMP_BYTES);
  writeTai64n(timestamp, 0, Date.now());
  const message = new Uint8Array(INIT_BYTES);
  message[0] = TYPE_INITIATION;
  new DataView(message.buffer).setUint32(INIT_SENDER, index, true);
  const body = message.subarray(INIT_EPHEMERAL, INIT_MAC1);
  const ephemeral = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  const noise = new NoiseState(realSuite, PROLOGUE, target);
  noise.writeInitiation(body, ephemeral, realSuite.publicKey(privateKey), target, staticStatic, timestamp);
  new CookieGenerator(realSuite, target).addMacs(message, 0);
  return message;
}

async function respond(target: Uint8Array): Promise<GeneratorResult> {
  const ephemeral = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  const suite = remembering(realSuite, ephemeral, target);
  const macs = new CookieGenerator(realSuite, target);
  const namespace = openNamespace(task.targetNamespace);
  const trigger = inNamespace(
    namespace,
    () => Deno.listenDatagram({ transport: "udp", hostname: "0.0.0.0", port: 0 }),
  );
  close(namespace);
  warmUp();
  const progress = new Progress(task.count, (number) => {
    send(trigger, new Uint8Array(1), { transport: "udp", hostname: peerAddress(number), port: DISCARD_PORT });
  });
  for (let number = 0; number < task.count; number++) {
    const socket = Deno.listenDatagram({ transport: "udp", hostname: task.ownAddress, port: FIRST_PORT + number });
    const answer = answering(number, target, suite, ephemeral, macs);
    receiveAll(socket, (message, view, from) => {
      if (message[0] === TYPE_INITIATION && message.length === INIT_BYTES) send(socket, answer(message, view), from);
      else if (message[0] === TYPE_DATA) progress.complete(view.getUint32(DATA_RECEIVER, true));
    });
  }
  return await progress.run();
}

/** Peer 1 answers peer 0, many times. */
function warmUp(): void {
  const initiator = realSuite.publicKey(peerPrivateKey(0));
  const responder = realSuite.publicKey(peerPrivateKey(1));
  const ephemeral = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  const suite = remembering(realSuite, ephemeral, initiator);
  const answer = answering(1, initiator, suite, ephemeral, new CookieGenerator(realSuite, initiator));
  const message = makeInitiation(0, 0, responder);
  const view = new DataView(message.buffer);
  for (let i = 0; i < WARM_UP; i++) answer(message, view);
}

/** What peer `number` says to an initiation. */
function answering(
  number: number,
  target: Uint8Array,
  suite: CryptoSuite,
  ephemeral: Uint8Array,
  macs: CookieGenerator,
): (message: Uint8Array, view: DataView) => Uint8Array {
  const privateKey = peerPrivateKey(number);
  const ownPublic = realSuite.publicKey(privateKey);
  const staticStatic = realSuite.sharedSecret(privateKey, target);
  if (staticStatic === null) throw new RangeError("The target's key is a low-order point");
  return (message, view) => {
    const noise = new NoiseState(suite, PROLOGUE, ownPublic);
    const body = message.subarray(INIT_EPHEMERAL, INIT_MAC1);
    if (noise.readInitiationStatic(body, privateKey) === null) throw new Error(`Initiation ${number} cannot be read`);
    if (noise.readInitiationPayload(body, staticStatic) === null) throw new Error(`Initiation ${number} is forged`);
    const response = new Uint8Array(RESP_BYTES);
    const responseView = new DataView(response.buffer);
    response[0] = TYPE_RESPONSE;
    responseView.setUint32(RESP_SENDER, number, true);
    responseView.setUint32(RESP_RECEIVER, view.getUint32(INIT_SENDER, true), true);
    const empty = new Uint8Array(0);
    noise.writeResponse(response.subarray(RESP_EPHEMERAL, RESP_MAC1), ephemeral, target, NO_PSK, empty);
    macs.addMacs(response, 0);
    return response;
  };
}

/** The same suite with the two results that every response of a fixed ephemeral key shares computed once. */
function remembering(suite: CryptoSuite, ephemeral: Uint8Array, target: Uint8Array): CryptoSuite {
  const ephemeralPublic = suite.publicKey(ephemeral);
  const shared = suite.sharedSecret(ephemeral, target);
  return {
    ...suite,
    publicKey: (key) => key === ephemeral ? ephemeralPublic.slice() : suite.publicKey(key),
    sharedSecret: (key, other) => {
      // A copy, for the handshake erases what it has used.
      if (key === ephemeral && other === target) return shared === null ? null : shared.slice();
      return suite.sharedSecret(key, other);
    },
  };
}

function send(socket: Deno.DatagramConn, message: Uint8Array, to: Deno.Addr): void {
  socket.send(message, to).catch((error) => {
    // A full queue loses the message as a full network would, and is counted as that.
    if (error.code !== "ENOBUFS" && error.code !== "EAGAIN") throw error;
  });
}

async function receiveAll(
  socket: Deno.DatagramConn,
  take: (message: Uint8Array, view: DataView, from: Deno.Addr) => void,
): Promise<void> {
  const buffer = new Uint8Array(2048);
  const view = new DataView(buffer.buffer);
  for (;;) {
    const [message, from] = await socket.receive(buffer);
    take(message, view, from);
  }
}
