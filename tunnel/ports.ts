/**
 * What the device hands its results to. The device is sans-I/O: these are memory operations of whoever drives it
 * (the data plane, a test, a simulation), called synchronously from `send`, `receive`, `tick` and `processHandshakes`.
 */

/** Datagrams on their way to the network. */
export interface DatagramSink {
  /**
   * Room for one datagram of at most `bytes` bytes.
   *
   * @returns the offset in the device's memory where the device will write it; never fails (a full sink flushes first)
   */
  reserve(bytes: number): number;

  /**
   * The datagram written at the last `reserve` is complete.
   *
   * @param length its real length, at most what was reserved
   * @param endpoint slot of the destination in `DeviceTables.endpoints`; read before the call returns
   * @param peer slot of the peer, or -1 for an answer to a stranger (cookie reply)
   */
  commit(length: number, endpoint: number, peer: number): void;
}

/** Inner packets on their way to the TUN device. */
export interface PacketSink {
  /**
   * One authenticated, checked inner packet lies at `offset`; it is the sink's until the driver reuses the buffer.
   */
  deliver(offset: number, length: number, peer: number): void;
}
