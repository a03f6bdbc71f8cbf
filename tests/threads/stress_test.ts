/**
 * Real threads under load, with sessions that end, begin and change their owners all the time: every send counter and
 * every delivered packet is written down, and none may occur twice.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { ENGINE_BYTES } from "../../crypto/aead.ts";
import { createKernelAead } from "../../crypto/kernel_aead.ts";
import { realSuite } from "../../crypto/real_suite.ts";
import type { DeviceCommand } from "../../tunnel/commands.ts";
import { Device } from "../../tunnel/device.ts";
import { ENDPOINT_BYTES, endpointRecord } from "../../tunnel/endpoint.ts";
import { DATA_COUNTER, DATA_RECEIVER, TYPE_DATA } from "../../tunnel/messages.ts";
import { BAD_TAG, NOT_ALLOWED_SOURCE, REPLAYED } from "../../tunnel/reasons.ts";
import { DeviceTables } from "../../tunnel/tables.ts";
import { MessageRing, RING_BYTES } from "../../tunnel/threads/message_ring.ts";
import { ThreadTables } from "../../tunnel/threads/thread_tables.ts";
import { CLOCK, DATAGRAM, Log, LOG_WORDS, STOP, type StressStart, writePacket } from "./stress_messages.ts";
import { peerCommands } from "./team.ts";

const CAPACITY = { peers: 8, keypairs: 64 };
const INPUT = 4096;
const OUTPUT = 131_072;
const ROOM = 262_144;
const HOSTS = 3;
const SECONDS = Number(Deno.env.get("STRESS_SECONDS") ?? 3);
/** Virtual milliseconds that pass in each turn of the main loop. */
const TURN = 400;

/** The far end of one peer, in the main thread, or the owner of the team. */
class Node {
  readonly memory = new WebAssembly.Memory({ initial: 8, maximum: 8 });
  readonly bytes = new Uint8Array(this.memory.buffer);
  readonly view = new DataView(this.memory.buffer);
  readonly tables: DeviceTables = DeviceTables.create(CAPACITY);
  readonly privateKey = new Uint8Array(randomBytes(32));
  readonly publicKey = realSuite.publicKey(this.privateKey);
  readonly host: number;
  readonly datagrams: Uint8Array[] = [];
  readonly sealed = new Log(new SharedArrayBuffer(4 * LOG_WORDS));
  readonly delivered = new Log(new SharedArrayBuffer(4 * LOG_WORDS));
  readonly device: Device;
  packets = 0;
  misled = 0;
  #next = 0;

  constructor(host: number, threads: ThreadTables | null) {
    this.host = host;
    this.device = new Device({
      suite: realSuite,
      memory: this.memory,
      aead: createKernelAead(this.memory)!,
      scratch: ENGINE_BYTES,
      tables: this.tables,
      random: (out) => out.set(randomBytes(out.length)),
      wallClock: Date.now,
      network: {
        reserve: () => OUTPUT,
        commit: (length): void => {
          this.datagrams.push(this.bytes.slice(OUTPUT, OUTPUT + length));
          if (this.view.getUint32(OUTPUT, true) !== TYPE_DATA) return;
          const { view } = this;
          this.sealed.add(view.getUint32(OUTPUT + DATA_RECEIVER, true), view.getUint32(OUTPUT + DATA_COUNTER, true));
        },
      },
      tunnel: {
        deliver: (at): void => {
          this.packets++;
          if (this.bytes[at + 19] !== host) this.misled++;
          if (host === 1) this.delivered.add(this.bytes[at + 15], this.view.getUint32(at + 20));
        },
      },
      helpers: threads === null ? undefined : { tables: threads, room: ROOM },
    });
  }

  receive(datagram: Uint8Array, now: number): void {
    this.bytes.set(datagram, INPUT);
    const slot = this.tables.capacity.peers;
    this.tables.endpoints.set(endpointRecord(Uint8Array.of(127, 0, 0, 9), 7), slot * ENDPOINT_BYTES);
    this.device.receive(INPUT, datagram.length, slot, now);
  }

  send(to: number, now: number): void {
    this.device.send(INPUT, writePacket(this.bytes, INPUT, this.host, to, this.#next++), now);
  }

  turn(now: number): void {
    this.device.helpers?.serve(now);
    while (this.device.processHandshakes(8, now) > 0);
    if (this.device.nextDeadline() <= now) this.device.tick(now);
  }
}

class StressWorker {
  readonly worker = new Worker(new URL("./stress_worker.ts", import.meta.url), { type: "module" });
  readonly incoming = new SharedArrayBuffer(RING_BYTES);
  readonly outgoing = new SharedArrayBuffer(RING_BYTES);
  readonly toWorker = new MessageRing(this.incoming, 0);
  readonly fromWorker = new MessageRing(this.outgoing, 0);
  readonly sealed = new SharedArrayBuffer(4 * LOG_WORDS);
  readonly delivered = new SharedArrayBuffer(4 * LOG_WORDS);
  readonly channel = new MessageChannel();
  readonly started: Promise<void>;
  /** "done", or what went wrong. */
  readonly ended: Promise<string>;

  constructor(start: Pick<StressStart, "number" | "helpers" | "tables" | "threads" | "state">) {
    const { incoming, outgoing, sealed, delivered } = this;
    const commands = this.channel.port2;
    const started = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<string>();
    this.started = started.promise;
    this.ended = ended.promise;
    this.worker.onmessage = ({ data }): void => {
      started.resolve();
      if (data !== "ready") ended.resolve(data);
    };
    this.worker.postMessage({
      ...start,
      capacity: CAPACITY,
      hosts: HOSTS,
      incoming,
      outgoing,
      sealed,
      delivered,
      commands,
    }, [commands]);
  }
}

for (const helpers of [1, 3]) {
  Deno.test(`${helpers + 1} threads never use a counter twice nor accept a packet twice`, async () => {
    const stress = new Stress(helpers);
    try {
      await stress.run();
    } finally {
      await stress.end();
    }
    stress.check();
  });
}

class Stress {
  readonly #tables: ThreadTables;
  readonly #owner: Node;
  readonly #hosts: Node[] = [];
  readonly #workers: StressWorker[] = [];
  readonly #state = new SharedArrayBuffer(64);
  readonly #words = new Int32Array(this.#state);
  readonly #ends: string[] = [];
  #sessions = new Set<number>();
  #turns = 0;

  constructor(helpers: number) {
    this.#tables = ThreadTables.create(CAPACITY, helpers);
    this.#owner = new Node(1, this.#tables);
    Atomics.store(this.#words, CLOCK, 1000);
    for (let host = 2; host < 2 + HOSTS; host++) this.#hosts.push(new Node(host, null));
    for (let number = 0; number < helpers; number++) {
      const { buffer } = this.#owner.tables;
      const shared = { tables: buffer as SharedArrayBuffer, threads: this.#tables.buffer, state: this.#state };
      this.#workers.push(new StressWorker({ number, helpers, ...shared }));
    }
    this.#owner.device.apply({ op: "private-key", key: this.#owner.privateKey }, this.#now);
    this.#owner.device.up(this.#now);
    for (const [i, node] of this.#hosts.entries()) {
      node.device.apply({ op: "private-key", key: node.privateKey }, this.#now);
      node.device.up(this.#now);
      for (const command of peerCommands(0, this.#owner.publicKey, 1)) node.device.apply(command, this.#now);
      this.#configure(peerCommands(i, node.publicKey, node.host));
    }
  }

  get #now(): number {
    return Atomics.load(this.#words, CLOCK);
  }

  async run(): Promise<void> {
    for (const { started } of this.#workers) await started;
    const end = performance.now() + SECONDS * 1000;
    while (performance.now() < end) {
      this.#turn();
      // Workers start, and die, only while this thread is idle.
      if (this.#turns % 32 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  async end(): Promise<void> {
    Atomics.store(this.#words, STOP, 1);
    for (const { ended, worker, channel } of this.#workers) {
      this.#ends.push(await ended);
      worker.terminate();
      channel.port1.close();
    }
  }

  check(): void {
    assert.deepEqual(this.#ends, this.#workers.map(() => "done"));
    const nodes = [this.#owner, ...this.#hosts];
    const sealed = [this.#owner.sealed, ...this.#workers.map((worker) => new Log(worker.sealed))];
    const delivered = [this.#owner.delivered, ...this.#workers.map((worker) => new Log(worker.delivered))];
    const far = this.#hosts.reduce((sum, { packets }) => sum + packets, 0);
    const near = delivered.reduce((sum, { length }) => sum + length, 0);
    const summary = `${sealed.map(({ length }) => length)} sealed, ${this.#sessions.size} sessions, ${far} received ` +
      `there, ${delivered.map(({ length }) => length)} here, ${this.#owner.tables.deviceDrops[REPLAYED]} replays`;
    if (Deno.env.has("STRESS_SECONDS")) Deno.stderr.writeSync(new TextEncoder().encode(`\n${summary}\n`));
    assertUnique(sealed, "send counter");
    assertUnique(delivered, "packet");
    for (const { tables, misled } of nodes) {
      assert.equal(tables.deviceDrops[BAD_TAG], 0, "sealed under the wrong key");
      assert.equal(tables.deviceDrops[NOT_ALLOWED_SOURCE], 0);
      assert.equal(misled, 0, "a packet reached another peer");
    }
    // It was a test: many packets, many sessions, work for every thread, and replays to refuse.
    assert.ok(this.#sessions.size >= 10, summary);
    assert.ok(far > 1_000 && near > 1_000, summary);
    assert.ok(this.#owner.tables.deviceDrops[REPLAYED] > 500, summary);
    assert.ok(sealed.slice(1).every(({ length }) => length > 500), summary);
  }

  #turn(): void {
    this.#turns++;
    Atomics.add(this.#words, CLOCK, TURN);
    const now = this.#now;
    if (this.#turns % 500 === 0) this.#swapSlots();
    this.#owner.turn(now);
    this.#owner.send(2 + this.#turns % HOSTS, now);
    for (const node of this.#hosts) {
      for (let i = 0; i < 4; i++) node.send(1, now);
      node.turn(now);
    }
    this.#carryOut(now);
    this.#carryBack(now);
  }

  /** What the team sent, to all hosts: those that are not meant know neither key nor index. */
  #carryOut(now: number): void {
    const deliver = (datagram: Uint8Array): void => this.#hosts.forEach((node) => node.receive(datagram, now));
    this.#owner.datagrams.splice(0).forEach(deliver);
    for (const { fromWorker } of this.#workers) {
      for (const end = fromWorker.end; fromWorker.next(end);) {
        const { offset, length, bytes } = fromWorker;
        deliver(bytes.slice(offset, offset + length));
      }
    }
  }

  /** What the hosts sent, each datagram to two threads at once. */
  #carryBack(now: number): void {
    let turn = this.#turns;
    for (const node of this.#hosts) {
      for (const datagram of node.datagrams.splice(0)) {
        if (datagram[0] === TYPE_DATA) this.#sessions.add(new DataView(datagram.buffer).getUint32(4));
        for (let copy = 0; copy < 2; copy++) {
          const thread = turn++ % (this.#workers.length + 1);
          if (thread === 0) this.#owner.receive(datagram, now);
          else {this.#workers[thread - 1].toWorker.write(
              DATAGRAM,
              node.host,
              0,
              0,
              undefined,
              datagram,
              0,
              datagram.length,
            );}
        }
      }
    }
  }

  /** All peers leave, and come back in each other's slots. */
  #swapSlots(): void {
    const by = Math.floor(this.#turns / 500);
    this.#configure(this.#hosts.map((_, peer) => ({ op: "remove-peer", peer })));
    this.#configure(this.#hosts.flatMap((_, peer) => {
      const node = this.#hosts[(peer + by) % HOSTS];
      return peerCommands(peer, node.publicKey, node.host);
    }));
  }

  /** The owner at once, the workers when they find the time. */
  #configure(commands: DeviceCommand[]): void {
    for (const command of commands) this.#owner.device.apply(command, this.#now);
    for (const { channel } of this.#workers) channel.port1.postMessage(commands);
  }
}

function assertUnique(logs: readonly Log[], what: string): void {
  const all = BigUint64Array.from(logs.flatMap((log) => [...log.entries()])).sort();
  for (let i = 1; i < all.length; i++) {
    if (all[i] === all[i - 1]) assert.fail(`A ${what} occurred twice`);
  }
}
