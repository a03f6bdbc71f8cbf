/** The batch carrier: one libc socket per family, read and written many datagrams a call, joined and cut by the kernel. */
import { Address } from "../ffi/memory.ts";
import { closeUdpPair, enableGro, openUdpPair, setMark, type UdpPair } from "../ffi/udp.ts";
import type { DeviceTables } from "../tunnel/tables.ts";
import type { Arena } from "./arena.ts";
import { BatchReceiver } from "./batch_receiver.ts";
import { BatchSender } from "./batch_sender.ts";
import type { PolledPort, SendFaults } from "./udp_port.ts";

const CLOSED: UdpPair = { fd4: -1, fd6: -1, port: 0 };

export class BatchPort implements PolledPort {
  readonly carrier = "batch";
  readonly #receiver: BatchReceiver;
  readonly #sender: BatchSender;
  readonly #usesOffload: boolean;
  #sockets = CLOSED;
  #mark = 0;

  /**
   * @param tables whose scratch endpoints 0 … RECEIVE_SLOTS − 1 this port fills
   * @param usesOffload let the kernel join and cut datagrams (GRO, GSO)
   */
  constructor(arena: Arena, tables: DeviceTables, usesOffload: boolean) {
    const address = new Address(arena.bytes);
    this.#receiver = new BatchReceiver(arena, tables, address);
    this.#sender = new BatchSender(arena, tables, address, usesOffload);
    this.#usesOffload = usesOffload;
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
    const sockets = openUdpPair(port, { mark });
    this.close();
    if (this.#usesOffload) {
      if (sockets.fd4 >= 0) enableGro(sockets.fd4);
      if (sockets.fd6 >= 0) enableGro(sockets.fd6);
    }
    this.#use(sockets);
    this.#mark = mark;
  }

  setMark(mark: number): void {
    const { fd4, fd6 } = this.#sockets;
    if (fd4 >= 0) setMark(fd4, mark);
    try {
      if (fd6 >= 0) setMark(fd6, mark);
    } catch (error) {
      if (fd4 >= 0) setMark(fd4, this.#mark);
      throw error;
    }
    this.#mark = mark;
  }

  close(): void {
    this.flush();
    closeUdpPair(this.#sockets);
    this.#use(CLOSED);
    this.#receiver.reset();
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

  #use(sockets: UdpPair): void {
    this.#sockets = sockets;
    this.#sender.descriptor4 = sockets.fd4;
    this.#sender.descriptor6 = sockets.fd6;
    this.#sender.forgetPaths();
  }
}
