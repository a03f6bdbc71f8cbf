/**
 * What a carrier of datagrams offers the data plane. Two implementations: batch_port.ts (libc sockets) and
 * datagram_port.ts (`Deno.listenDatagram`).
 *
 * A port is closed while the link is down. Sending through a closed port drops and counts.
 */
import type { DatagramSink } from "../tunnel/ports.ts";

/** Whom a port tells about datagrams it could not send; the device. */
export interface SendFaults {
  /** Forgets the source address a peer is reached from: a send failed, perhaps because that address is gone. */
  clearSource(peer: number): void;
  /** Counts a datagram that was committed and could not be sent. @param peer slot, or -1 for a stranger */
  countUnsent(length: number, peer: number): void;
}

export interface UdpPort extends DatagramSink {
  readonly carrier: "batch" | "datagram";

  /** The bound port, the same for both families; 0 while closed. */
  readonly port: number;

  /** Set once, before anything is sent. */
  faults: SendFaults | null;

  /**
   * Opens sockets on `port` (0: a random one) carrying `mark` (0: none), and only then closes those open before, so
   * that a failure changes nothing.
   *
   * @throws SyscallError EADDRINUSE, EPERM for the mark, …
   */
  open(port: number, mark: number): void;

  /**
   * Marks the open sockets; all of them or none.
   *
   * @throws SyscallError
   */
  setMark(mark: number): void;

  /** Idempotent. */
  close(): void;

  /** Sends what was committed. Datagrams that cannot be sent are dropped and counted; never throws, never waits long. */
  flush(): void;
}

/** A port that is read by polling descriptors and taking datagrams in batches. */
export interface PolledPort extends UdpPort {
  /** Descriptors to poll for input, -1 for a family the host or the moment does not have. */
  readonly descriptor4: number;
  readonly descriptor6: number;

  /**
   * Takes what has arrived on one socket, up to a batch. What the last batch held is overwritten.
   *
   * @param descriptor one of this port's
   * @returns the number of messages, 0 when drained, -errno when the call failed
   */
  fill(descriptor: number): number;

  /**
   * The next datagram of the batch: `offset` and `endpoint` then tell where it is and who sent it.
   *
   * @returns its length; 0 for one to ignore; -1 when the batch is used up
   */
  next(): number;

  /** Offset in the arena. */
  readonly offset: number;

  /** Scratch slot of `DeviceTables.endpoints` with the sender's record. */
  readonly endpoint: number;
}
