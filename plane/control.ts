/** The worker's end of its connection with the main thread. */
import { receiveMessageOnPort } from "node:worker_threads";
import { wipe } from "../crypto/bytes.ts";
import { SyscallError } from "../ffi/errno.ts";
import { drainEventfd } from "../ffi/eventfd.ts";
import { unpackCommands } from "../tunnel/command_list.ts";
import type { Plane } from "./plane.ts";
import type { ApplyMessage, Failure, WorkerMessage } from "./worker_messages.ts";

/** What `receiveMessageOnPort` wants: node's type of the same object. */
type NodePort = Parameters<typeof receiveMessageOnPort>[0];

/** Who carries out what main asks for. */
export type Commanded = Pick<Plane, "apply" | "state">;

export class Control {
  readonly #port: MessagePort;
  readonly #eventDescriptor: number;
  readonly #stopFlag: Int32Array;

  constructor(port: MessagePort, eventDescriptor: number, stopFlag: SharedArrayBuffer) {
    this.#port = port;
    this.#eventDescriptor = eventDescriptor;
    this.#stopFlag = new Int32Array(stopFlag);
  }

  get isStopping(): boolean {
    return Atomics.load(this.#stopFlag, 0) !== 0;
  }

  post(message: WorkerMessage): void {
    this.#port.postMessage(message);
  }

  /** Tells main that the plane takes commands now. */
  announce(plane: Plane, now: number): void {
    plane.followLink(now);
    this.post({ type: "ready", state: plane.state });
  }

  /** Does what main has asked for since the last time. @returns false if that is to stop */
  serve(plane: Commanded, now: number): boolean {
    drainEventfd(this.#eventDescriptor);
    for (;;) {
      if (this.isStopping) return false;
      const received = receiveMessageOnPort(this.#port as unknown as NodePort);
      if (received === undefined) return true;
      this.#apply(plane, received.message as ApplyMessage, now);
    }
  }

  #apply(plane: Commanded, { id, plane: planeCommands, device: packed }: ApplyMessage, now: number): void {
    const device = new Uint8Array(packed);
    try {
      plane.apply(planeCommands, unpackCommands(device), now);
      this.post({ type: "applied", id, state: plane.state });
    } catch (error) {
      this.post({ type: "refused", id, failure: failureOf(error) });
    } finally {
      // The device keeps copies. The memory goes at once: this thread seldom rests long enough for a collection.
      wipe(device);
      packed.transfer(0);
    }
  }
}

/** An error as plain data. */
export function failureOf(error: unknown): Failure {
  if (error instanceof SyscallError) return { call: error.call, errno: error.errno, message: error.message };
  return { call: "", errno: 0, message: error instanceof Error ? error.message : `${error}` };
}
