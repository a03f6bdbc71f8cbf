/** A helper that sends and receives as fast as it can, and writes down every counter it used and packet it delivered. */
import { receiveMessageOnPort } from "node:worker_threads";
import { ENGINE_BYTES } from "../../crypto/aead.ts";
import { createKernelAead } from "../../crypto/kernel_aead.ts";
import { endpointRecord } from "../../tunnel/endpoint.ts";
import { ENDPOINT_BYTES } from "../../tunnel/endpoint.ts";
import { DATA_COUNTER, DATA_RECEIVER, TYPE_DATA } from "../../tunnel/messages.ts";
import { DeviceTables } from "../../tunnel/tables.ts";
import { Helper } from "../../tunnel/threads/helper.ts";
import { MessageRing } from "../../tunnel/threads/message_ring.ts";
import { ThreadTables } from "../../tunnel/threads/thread_tables.ts";
import { CLOCK, DATAGRAM, Log, STOP, type StressCommands, type StressStart, writePacket } from "./stress_messages.ts";

const INPUT = 4096;
const OUTPUT = 131_072;
const PACKETS_PER_PASS = 32;

self.onmessage = ({ data }: MessageEvent<StressStart>): void => {
  try {
    run(data);
    self.postMessage("done");
  } catch (error) {
    self.postMessage(error instanceof Error ? error.stack : `${error}`);
  }
};

function run(start: StressStart): void {
  const state = new Int32Array(start.state);
  const tables = new DeviceTables(start.tables, start.capacity);
  const threads = new ThreadTables(start.threads, start.capacity, start.helpers);
  const incoming = new MessageRing(start.incoming, 0);
  const outgoing = new MessageRing(start.outgoing, 0);
  const sealed = new Log(start.sealed);
  const delivered = new Log(start.delivered);
  const memory = new WebAssembly.Memory({ initial: 4, maximum: 4 });
  const bytes = new Uint8Array(memory.buffer);
  const view = new DataView(memory.buffer);
  const endpoint = tables.capacity.peers + 8 * (start.number + 1);
  const helper = new Helper({
    number: start.number,
    memory,
    aead: createKernelAead(memory)!,
    scratch: ENGINE_BYTES,
    tables,
    threads,
    network: {
      reserve: () => OUTPUT,
      commit: (length, _endpoint, peer): void => {
        if (view.getUint32(OUTPUT, true) !== TYPE_DATA) throw new Error("A helper sent a handshake message");
        if (view.getUint32(OUTPUT + DATA_COUNTER + 4, true) !== 0) throw new Error("A counter is out of bounds");
        sealed.add(view.getUint32(OUTPUT + DATA_RECEIVER, true), view.getUint32(OUTPUT + DATA_COUNTER, true));
        outgoing.write(DATAGRAM, peer, 0, 0, undefined, bytes, OUTPUT, length);
      },
    },
    tunnel: { deliver: (at) => delivered.add(bytes[at + 15], view.getUint32(at + 20)) },
    wake: () => {},
  });
  self.postMessage("ready");
  let id = 0;
  while (Atomics.load(state, STOP) === 0) {
    for (;;) {
      const received = receiveMessageOnPort(start.commands as unknown as Parameters<typeof receiveMessageOnPort>[0]);
      if (received === undefined) break;
      for (const command of received.message as StressCommands) helper.apply(command);
    }
    const now = Atomics.load(state, CLOCK);
    helper.enter();
    for (const end = incoming.end; incoming.next(end);) {
      const { offset, length, a } = incoming;
      bytes.set(incoming.bytes.subarray(offset, offset + length), INPUT);
      tables.endpoints.set(endpointRecord(Uint8Array.of(127, 0, 0, a), 7), endpoint * ENDPOINT_BYTES);
      helper.receive(INPUT, length, endpoint, now);
    }
    for (let i = 0; i < PACKETS_PER_PASS && !sealed.isFull; i++) {
      const length = writePacket(bytes, INPUT, 1, 2 + id % start.hosts, id);
      id++;
      helper.send(INPUT, length, now);
    }
    helper.leave();
    // Let the other side keep up, so that most of it is looked at.
    while (!outgoing.isEmpty && Atomics.load(state, STOP) === 0) Atomics.wait(state, 2, 0, 1);
  }
}
