/** What the stress test and its workers share. */
import type { DeviceCommand } from "../../tunnel/commands.ts";
import type { Capacity } from "../../tunnel/tables.ts";

/** Kind of a datagram in a ring; a: the scratch endpoint's host. */
export const DATAGRAM = 1;

/** Words of `state`: virtual milliseconds, whether to stop. */
export const CLOCK = 0;
export const STOP = 1;

/** Words of a log: how many entries, then two words each. */
export const LOG_ENTRIES = 1_000_000;
export const LOG_WORDS: number = 2 + 2 * LOG_ENTRIES;

export interface StressStart {
  readonly number: number;
  readonly helpers: number;
  readonly capacity: Capacity;
  readonly tables: SharedArrayBuffer;
  readonly threads: SharedArrayBuffer;
  readonly state: SharedArrayBuffer;
  /** Rings of datagrams to and from the network. */
  readonly incoming: SharedArrayBuffer;
  readonly outgoing: SharedArrayBuffer;
  /** Receiver index and counter of every datagram sealed. */
  readonly sealed: SharedArrayBuffer;
  /** Sender and number of every packet delivered. */
  readonly delivered: SharedArrayBuffer;
  /** Hosts that packets are for. */
  readonly hosts: number;
  readonly commands: MessagePort;
}

export type StressCommands = DeviceCommand[];

/** A log in shared memory with one writer. */
export class Log {
  readonly #words: Uint32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Uint32Array(buffer);
  }

  get length(): number {
    return Atomics.load(this.#words, 0);
  }

  get isFull(): boolean {
    return this.length === LOG_ENTRIES;
  }

  add(a: number, b: number): void {
    const at = this.length;
    if (at === LOG_ENTRIES) throw new RangeError("The log is full");
    this.#words[2 + 2 * at] = a;
    this.#words[3 + 2 * at] = b;
    Atomics.store(this.#words, 0, at + 1);
  }

  /** Each entry as one number. */
  entries(): BigUint64Array {
    return new BigUint64Array(this.#words.buffer, 8, this.length);
  }
}

/** An inner packet: from and to hosts 10.0.0.x, numbered. */
export function writePacket(bytes: Uint8Array, at: number, source: number, destination: number, id: number): number {
  const length = 44;
  bytes.fill(0, at, at + length);
  bytes.set([0x45, 0, 0, length], at);
  bytes.set([10, 0, 0, source, 10, 0, 0, destination], at + 12);
  new DataView(bytes.buffer).setUint32(at + 20, id);
  return length;
}
