/** The batch carrier: one libc socket per family, read and written many datagrams a call, joined and cut by the kernel. */
import { Address } from "../ffi/memory.ts";
import type { UdpPair } from "../ffi/udp.ts";
import type { DeviceTables } from "../tunnel/tables.ts";
import { type Arena, RECEIVE_SLOTS } from "./arena.ts";
import { BatchReceiver } from "./batch_receiver.ts";
import { BatchSender } from "./batch_sender.ts";
import type { PolledPort, SendFaults } from "./udp_port.ts";
import { CLOSED, OwnSockets, type UdpSockets } from "./udp_sockets.ts";

export class BatchPort implements PolledPort {
  readonly carrier = "batch";
  readonly #receiver: BatchReceiver;
  readonly #sender: BatchSender;
  readonly #source: UdpSockets;
  #sockets = CLOSED;

  /**
   * @param usesOffload let the kernel join and cut datagrams (GRO, GSO)
   * @param source opens the sockets
   * @param thread whose scratch endpoints of the tables this port fills: RECEIVE_SLOTS for each
   */
  constructor(
    arena: Arena,
    tables: DeviceTables,
    usesOffload: boolean,
    source: UdpSockets = new OwnSockets(usesOffload),
    thread = 0,
  ) {
    const address = new Address(arena.bytes);
    const firstEndpoint = tables.capacity.peers + thread * RECEIVE_SLOTS;
    this.#receiver = new BatchReceiver(arena, tables, address, firstEndpoint);
    this.#sender = new BatchSender(arena, tables, address, usesOffload);
    this.#source = source;
  }

  get faults(): SendFaults | null {
    return this.#sender.faults;
  }

  set faults(faults: SendFaults | null) {
    this.#sender.faults = faults;
  }

  set beforeSend(complete: (() => void) | null) {
    this.#sender.beforeSend = complete;
  }

  get port(): number {
    return this.#sockets.port;
  }

  get descriptor4(): number {
    return this.#sockets.fd4;
  }

  get descriptor6(): number {
    return this.#sockets.fd6;
  }

  open(port: number, mark: number): void {
    this.#source.open(port, mark, (sockets) => this.use(sockets));
  }

  setMark(mark: number): void {
    this.#source.setMark(mark);
  }

  close(): void {
    this.#source.close((sockets) => this.use(sockets));
  }

  /** Sends what it has, then reads and writes these sockets, which stay their opener's. */
  use(sockets: UdpPair): void {
    this.flush();
    this.#receiver.reset();
    this.#sockets = sockets;
    this.#sender.descriptor4 = sockets.fd4;
    this.#sender.descriptor6 = sockets.fd6;
    this.#sender.forgetPaths();
  }

  fill(descriptor: number): number {
    return this.#receiver.fill(descriptor);
  }

  next(): number {
    return this.#receiver.next();
  }

  get offset(): number {
    return this.#receiver.offset;
  }

  get endpoint(): number {
    return this.#receiver.endpoint;
  }

  reserve(bytes: number): number {
    return this.#sender.reserve(bytes);
  }

  commit(length: number, endpoint: number, peer: number): void {
    this.#sender.commit(length, endpoint, peer);
  }

  flush(): void {
    this.#sender.flush();
  }
}
