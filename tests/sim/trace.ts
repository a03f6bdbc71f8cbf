/** An eavesdropper on the simulated internet: what it saw as lines that a test compares literally. */
import assert from "node:assert/strict";
import { DATA_OVERHEAD } from "../../tunnel/messages.ts";
import type { Host } from "./host.ts";
import type { Network, Observer } from "./network.ts";

/** Names of the message types, indexed by the first byte. */
const TYPE_NAMES = ["?", "initiation", "response", "cookie", "data"];

export interface TraceEvent {
  readonly time: number;
  readonly host: string;
  /** `initiation`, `response`, `cookie`, `data`, `keepalive`, or `deliver` for an inner packet. */
  readonly event: string;
  /** Bytes of the datagram or of the inner packet. */
  readonly size: number;
}

/**
 * An expected event: when, where, what, size. The time may end in the range of a jitter: `[5000, 5333]`.
 */
export type Expected = readonly [time: number | readonly [number, number], host: string, event: string, size?: number];

/** Virtual times are rounded up to 1/1024 ms at every hop. */
export const ROUNDING = 0.1;

export class Trace implements Observer {
  readonly events: TraceEvent[] = [];
  /** The datagrams themselves, in the order of the events that are not deliveries. */
  readonly datagrams: Uint8Array[] = [];
  readonly #network: Network;

  constructor(network: Network) {
    this.#network = network;
    network.observers.push(this);
  }

  sent(host: Host, datagram: Uint8Array): void {
    this.datagrams.push(datagram);
    this.#add(host, messageName(datagram), datagram.length);
  }

  delivered(host: Host, id: number): void {
    this.#add(host, "deliver", this.#network.packets.records[id].length);
  }

  clear(): void {
    this.events.length = 0;
    this.datagrams.length = 0;
  }

  /** Times of all events of one kind, from one host or from all. */
  times(event: string, host?: Host): number[] {
    return this.events.filter((e) => e.event === event && (host === undefined || e.host === host.name)).map((e) =>
      e.time
    );
  }

  /** Fails unless exactly these events happened since the last `clear`, times relative to `origin`. */
  expect(expected: readonly Expected[], origin = 0): void {
    const seen = this.events.map((e) => `${(e.time - origin).toFixed(1)} ${e.host} ${e.event} ${e.size}`).join("\n");
    for (let i = 0; i < Math.max(expected.length, this.events.length); i++) {
      const event = this.events[i];
      const line = expected[i];
      assert.ok(event !== undefined, `event ${i + 1} (${line?.join(" ")}) is missing in:\n${seen}`);
      assert.ok(line !== undefined, `event ${i + 1} is not expected in:\n${seen}`);
      const [time, host, name, size] = line;
      const [earliest, latest] = typeof time === "number" ? [time, time] : time;
      const at = event.time - origin;
      const matches = at >= earliest - 0.001 && at <= latest + ROUNDING && event.host === host &&
        event.event === name && (size === undefined || event.size === size);
      assert.ok(matches, `event ${i + 1} should be ${line.join(" ")} in:\n${seen}`);
    }
    this.clear();
  }

  #add(host: Host, event: string, size: number): void {
    this.events.push({ time: this.#network.now, host: host.name, event, size });
  }
}

/** What a datagram is, to someone who only sees its type and size. */
export function messageName(datagram: Uint8Array): string {
  const name = TYPE_NAMES[datagram[0]] ?? "?";
  return name === "data" && datagram.length === DATA_OVERHEAD ? "keepalive" : name;
}
