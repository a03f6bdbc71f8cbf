/**
 * Packets to and from the TUN device. `next` hands out one packet at a time, valid until the following `next`, so that
 * a large packet can be cut into segments in place between two calls; `deliver` may keep packets until `flush`, so that
 * those of one flow can be merged into one write. Here neither is done: a read is a packet, a packet is a write.
 * offload_tun_port.ts does both.
 */
import { EAGAIN, EBADFD, EINTR, EIO } from "../ffi/errno.ts";
import { errno, libc } from "../ffi/libc.ts";
import { Address } from "../ffi/memory.ts";
import { IOVEC_BASE, IOVEC_BYTES, IOVEC_LENGTH } from "../ffi/socket.ts";
import type { PacketSink } from "../tunnel/ports.ts";
import { TUNNEL_WRITE_FAILED } from "../tunnel/reasons.ts";
import { type Arena, TUN_PACKET, TUN_PACKET_BYTES, TUN_VECTORS } from "./arena.ts";
import type { TunQueues } from "./tun_queues.ts";

/** Reads of one pass of the loop; the network gets its turn in between. */
export const TUN_READS_PER_PASS = 32;

/** Whom a port tells about packets it could not read or write; the device. */
export interface PacketFaults {
  /** @param peer slot, or -1 for none */
  countDrop(reason: number, peer: number): void;
}

export interface TunPort extends PacketSink {
  /** Set once, before anything is delivered. */
  faults: PacketFaults | null;

  /** Where in the arena the packet of the last `next` lies; the 15 bytes behind it may be overwritten. */
  readonly offset: number;

  /** Grants `next` another TUN_READS_PER_PASS reads. */
  startPass(): void;

  /** The next packet. @returns its length, or 0 when there is none, the reads of this pass are used up, or one failed */
  next(): number;

  /** Writes what `deliver` kept back; called after every batch of datagrams, before their buffers are reused. */
  flush(): void;

  /** errno of a failed read since the last call, 0 for none. */
  takeReadFault(): number;

  /** Whether a write failed since the last call in a way that speaks of the link: down, or gone. */
  takeLinkFault(): boolean;
}

/** A write's errno that speaks of the link. */
export function isLinkFault(fault: number): boolean {
  return fault === EIO || fault === EBADFD;
}

export class PlainTunPort implements TunPort {
  readonly #arena: Arena;
  readonly #address: Address;
  readonly #descriptor: number;
  readonly #queues: TunQueues | null;
  /** The places of the one packet read and of the one vector written, as the calls want them. */
  readonly #packet: Uint8Array<ArrayBuffer>;
  readonly #vector: Uint8Array<ArrayBuffer>;
  #readsLeft = 0;
  #readFault = 0;
  #writeFault = 0;

  faults: PacketFaults | null = null;

  /**
   * @param descriptor non-blocking; stays the caller's
   * @param queues where packets are written; null for the same descriptor
   */
  constructor(arena: Arena, descriptor: number, queues: TunQueues | null = null) {
    this.#arena = arena;
    this.#address = new Address(arena.bytes);
    this.#descriptor = descriptor;
    this.#queues = queues;
    this.#packet = arena.bytes.subarray(TUN_PACKET, TUN_PACKET + TUN_PACKET_BYTES);
    this.#vector = arena.bytes.subarray(TUN_VECTORS, TUN_VECTORS + IOVEC_BYTES);
  }

  get offset(): number {
    return TUN_PACKET;
  }

  startPass(): void {
    this.#readsLeft = TUN_READS_PER_PASS;
  }

  next(): number {
    if (this.#readsLeft === 0) return 0;
    this.#readsLeft--;
    const length = libc().read(this.#descriptor, this.#packet, TUN_PACKET_BYTES);
    if (length > 0) return length;
    this.#readsLeft = 0;
    if (length < 0) {
      const fault = errno();
      if (fault !== EAGAIN && fault !== EINTR) this.#readFault = fault;
    }
    return 0;
  }

  deliver(offset: number, length: number, peer: number): void {
    const { view } = this.#arena;
    this.#address.write(view, TUN_VECTORS + IOVEC_BASE, offset);
    view.setUint32(TUN_VECTORS + IOVEC_LENGTH, length, true);
    const descriptor = this.#queues === null ? this.#descriptor : this.#queues.of(offset);
    if (libc().writev(descriptor, this.#vector, 1) >= 0) return;
    this.#writeFault = errno();
    this.faults?.countDrop(TUNNEL_WRITE_FAILED, peer);
  }

  flush(): void {}

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
}
