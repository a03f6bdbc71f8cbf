/**
 * The TUN device with its offloads: a read may bring a packet of up to 64 KiB, which is cut into segments in place, and
 * packets of one flow leave in one write. Every packet on the descriptor has a vnet header.
 */
import { EAGAIN, EINTR } from "../ffi/errno.ts";
import { errno, libc } from "../ffi/libc.ts";
import { Address } from "../ffi/memory.ts";
import { IOVEC_BASE, IOVEC_BYTES, IOVEC_LENGTH } from "../ffi/socket.ts";
import { BAD_INNER_PACKET, TUNNEL_WRITE_FAILED } from "../tunnel/reasons.ts";
import { NONE } from "../tunnel/tables.ts";
import { type Arena, SEGMENT_TEMPLATE, TUN_PACKET, TUN_PACKET_BYTES, TUN_VECTORS } from "./arena.ts";
import type { InternetSum } from "./checksum.ts";
import { Coalescer, FLOW_SLOTS, MERGED_PACKETS, type PieceWriter } from "./coalescing.ts";
import { Segmenter } from "./segmentation.ts";
import { isLinkFault, type PacketFaults, TUN_READS_PER_PASS, type TunPort } from "./tun_port.ts";
import type { TunQueues } from "./tun_queues.ts";
import { VNET_BYTES } from "./vnet_header.ts";

export class OffloadTunPort implements TunPort, PieceWriter {
  readonly #arena: Arena;
  readonly #address: Address;
  readonly #descriptor: number;
  readonly #queues: TunQueues | null;
  /** The first packet of each flow's write. */
  readonly #packets = new Int32Array(FLOW_SLOTS + 1);
  readonly #segmenter: Segmenter;
  readonly #coalescer: Coalescer;
  /** Where a read goes: the vnet header, then the packet at TUN_PACKET. */
  readonly #read: Uint8Array<ArrayBuffer>;
  /** The vectors of each flow's write, as the call wants them. */
  readonly #vectors: Uint8Array<ArrayBuffer>[] = [];
  #readsLeft = 0;
  #readFault = 0;
  #writeFault = 0;

  faults: PacketFaults | null = null;

  /**
   * @param descriptor non-blocking; stays the caller's
   * @param sum over the arena
   * @param mergesTcp whether packets of a flow may be merged at all
   * @param mergesUdp whether the kernel takes merged UDP
   * @param queues where packets are written; null for the same descriptor
   */
  constructor(
    arena: Arena,
    descriptor: number,
    sum: InternetSum,
    mergesTcp: boolean,
    mergesUdp: boolean,
    queues: TunQueues | null = null,
  ) {
    this.#arena = arena;
    this.#address = new Address(arena.bytes);
    this.#descriptor = descriptor;
    this.#queues = queues;
    this.#segmenter = new Segmenter(arena.bytes, arena.view, SEGMENT_TEMPLATE, sum);
    this.#coalescer = new Coalescer(arena.view, sum, this, mergesTcp, mergesUdp);
    this.#read = arena.bytes.subarray(TUN_PACKET - VNET_BYTES, TUN_PACKET + TUN_PACKET_BYTES);
    for (let flow = 0; flow <= FLOW_SLOTS; flow++) {
      this.#vectors.push(arena.bytes.subarray(vectorAt(flow, 0), vectorAt(flow + 1, 0)));
    }
  }

  get offset(): number {
    return this.#segmenter.offset;
  }

  startPass(): void {
    this.#readsLeft = TUN_READS_PER_PASS;
  }

  next(): number {
    for (;;) {
      const length = this.#segmenter.next();
      if (length > 0) return length;
      const read = this.#readPacket();
      if (read === 0) return 0;
      if (!this.#segmenter.begin(TUN_PACKET - VNET_BYTES, read - VNET_BYTES)) {
        this.faults?.countDrop(BAD_INNER_PACKET, NONE);
      }
    }
  }

  deliver(offset: number, length: number, peer: number): void {
    this.#coalescer.push(offset, length, peer);
  }

  flush(): void {
    this.#coalescer.flush();
  }

  takeReadFault(): number {
    const fault = this.#readFault;
    this.#readFault = 0;
    return fault;
  }

  takeLinkFault(): boolean {
    const fault = this.#writeFault;
    this.#writeFault = 0;
    return isLinkFault(fault);
  }

  setPiece(flow: number, index: number, offset: number, length: number): void {
    const { view } = this.#arena;
    const vector = vectorAt(flow, index);
    this.#address.write(view, vector + IOVEC_BASE, offset);
    view.setUint32(vector + IOVEC_LENGTH, length, true);
    if (index === 0) this.#packets[flow] = offset + VNET_BYTES;
  }

  write(flow: number, count: number, packets: number, peer: number): void {
    const descriptor = this.#queues === null ? this.#descriptor : this.#queues.of(this.#packets[flow]);
    if (libc().writev(descriptor, this.#vectors[flow], count) >= 0) return;
    this.#writeFault = errno();
    for (let i = 0; i < packets; i++) this.faults?.countDrop(TUNNEL_WRITE_FAILED, peer);
  }

  /** @returns bytes with the vnet header, 0 for none */
  #readPacket(): number {
    if (this.#readsLeft === 0) return 0;
    this.#readsLeft--;
    const length = libc().read(this.#descriptor, this.#read, this.#read.length);
    if (length > VNET_BYTES) return length;
    this.#readsLeft = 0;
    if (length < 0) {
      const fault = errno();
      if (fault !== EAGAIN && fault !== EINTR) this.#readFault = fault;
    }
    return 0;
  }
}

function vectorAt(flow: number, index: number): number {
  return TUN_VECTORS + (flow * MERGED_PACKETS + index) * IOVEC_BYTES;
}
