/**
 * What the main thread and the data-plane worker tell each other. `StartMessage` goes to the new worker itself; all
 * else goes over the MessagePort it carries. The worker sleeps in poll, so main writes the eventfd after every message.
 */
import type { PlaneCommand } from "../tunnel/commands.ts";
import type { Capacity } from "../tunnel/tables.ts";

export interface StartMessage {
  readonly port: MessagePort;
  /** One Int32: not 0 tells the worker to stop. */
  readonly stopFlag: SharedArrayBuffer;
  readonly eventDescriptor: number;
  readonly tunDescriptor: number;
  /** The descriptor speaks with vnet headers: the TUN device's offloads can be used. */
  readonly hasVnetHeader: boolean;
  readonly carrier: "batch" | "datagram";
  /** Let the kernel join and cut packets and datagrams. */
  readonly usesOffload: boolean;
  readonly engine: string;
  readonly tables: SharedArrayBuffer;
  readonly capacity: Capacity;
  /** Post the secrets of every handshake. */
  readonly keyLog: boolean;
  /** Post the device's debug events. */
  readonly debug: boolean;
  /** Post summaries of this many packets. */
  readonly observe: number;
  /** Null for a device whose packets all pass through one worker. */
  readonly crew: CrewShare | null;
}

/** What the workers of one device share, and which of them this one is. */
export interface CrewShare {
  /** 0 is the owner, which has the device; the others are its helpers. */
  readonly thread: number;
  /** See ThreadTables. */
  readonly threads: SharedArrayBuffer;
  /** See crew.ts. */
  readonly words: SharedArrayBuffer;
  /** The device's queues, by thread. */
  readonly tunDescriptors: readonly number[];
  /** Eventfds of all, by thread. */
  readonly eventDescriptors: readonly number[];
}

export interface ApplyMessage {
  readonly id: number;
  readonly plane: readonly PlaneCommand[];
  /**
   * Device commands as command_list.ts packs them. Not a typed array: `receiveMessageOnPort` looks at all keys of what it
   * returns, and each byte of an array is one (32 bytes of garbage for it).
   */
  readonly device: ArrayBuffer;
}

/** What main mirrors of the worker. */
export interface PlaneState {
  /** The bound port, or the one asked for while the link is down; 0 for none yet. */
  readonly listenPort: number;
  readonly isUp: boolean;
  readonly mtu: number;
}

/** A failed system call as plain data; `errno` is 0 for a fault of another kind. */
export interface Failure {
  readonly call: string;
  readonly errno: number;
  readonly message: string;
}

/** One packet as the observer saw it. Addresses are text; an empty one is not known. */
export interface PacketSummary {
  readonly direction: "in" | "out";
  /** The inner packet; null for handshake messages, keepalives, and packets that waited for a handshake. */
  readonly inner: { readonly source: string; readonly destination: string; readonly length: number } | null;
  /** The message type of the datagram, 1 … 4. */
  readonly type: number;
  readonly outer: { readonly source: string; readonly destination: string; readonly length: number };
}

export type WorkerMessage =
  | { readonly type: "ready"; readonly state: PlaneState }
  /** It could not start or, after "ready", broke down; "stopped" follows. */
  | { readonly type: "failed"; readonly failure: Failure }
  | { readonly type: "applied"; readonly id: number; readonly state: PlaneState }
  | { readonly type: "refused"; readonly id: number; readonly failure: Failure }
  | { readonly type: "state"; readonly state: PlaneState }
  | { readonly type: "log"; readonly level: "error" | "info"; readonly text: string }
  /** A device's debug event about a peer, -1 for none. */
  | { readonly type: "peer-event"; readonly peer: number; readonly event: string }
  | { readonly type: "key-log"; readonly lines: string[] }
  | { readonly type: "packet"; readonly summary: PacketSummary }
  /** The TUN device is gone; "stopped" follows. */
  | { readonly type: "tunnel-gone" }
  /** The last message: every descriptor the worker opened is closed. */
  | { readonly type: "stopped" };
