/**
 * Merges consecutive packets of a flow into one large packet for the TUN device, so that the kernel's stack runs once
 * for many. Several flows interleave; within a flow the order is kept, whatever cannot be merged included.
 *
 * A merged packet is one `writev`: the vnet header and the first packet, then the payloads of the others where they lie.
 * The kernel trusts the checksum of a merged packet, so every packet's own checksum is verified before it is merged.
 *
 * Spec: VIRTIO 1.2 §5.1.6; the merge rules are those of the Linux kernel's generic receive offload.
 */
import type { InternetSum } from "./checksum.ts";
import {
  GSO_TCP4,
  GSO_TCP6,
  GSO_UDP,
  VNET_BYTES,
  VNET_CHECKSUM_OFFSET,
  VNET_CHECKSUM_START,
  VNET_FLAGS,
  VNET_GSO_SIZE,
  VNET_GSO_TYPE,
  VNET_HEADER_LENGTH,
  VNET_NEEDS_CHECKSUM,
} from "./vnet_header.ts";

/** Flows that may wait for more packets at the same time. */
export const FLOW_SLOTS = 8;
/** Packets in one merged packet at most. */
export const MERGED_PACKETS = 64;

const MAX_TOTAL = 65_535;
const TCP = 6;
const UDP = 17;
const IPV6_BYTES = 40;
const UDP_BYTES = 8;
const TCP_FLAG_PSH = 0x08;
const TCP_FLAG_ACK = 0x10;
const DONT_FRAGMENT = 0x4000;

/** Where a flow's packets go: the pieces of one write, in order. */
export interface PieceWriter {
  /** Piece `index` of the write that slot `flow` is collecting lies at `offset`. */
  setPiece(flow: number, index: number, offset: number, length: number): void;
  /** Writes the first `count` pieces of slot `flow`; `packets` were merged in it. */
  write(flow: number, count: number, packets: number, peer: number): void;
}

export class Coalescer {
  readonly #view: DataView;
  readonly #sum: InternetSum;
  readonly #writer: PieceWriter;
  readonly #mergesTcp: boolean;
  readonly #mergesUdp: boolean;

  // What each slot holds. A length of 0 means free.
  readonly #packet = new Int32Array(FLOW_SLOTS);
  readonly #length = new Int32Array(FLOW_SLOTS);
  readonly #transport = new Int32Array(FLOW_SLOTS);
  readonly #headers = new Int32Array(FLOW_SLOTS);
  readonly #size = new Int32Array(FLOW_SLOTS);
  readonly #count = new Int32Array(FLOW_SLOTS);
  readonly #protocol = new Uint8Array(FLOW_SLOTS);
  readonly #nextSequence = new Uint32Array(FLOW_SLOTS);
  /** Nothing more may be merged: a shorter packet or PSH has ended it. */
  readonly #closed = new Uint8Array(FLOW_SLOTS);
  readonly #verified = new Uint8Array(FLOW_SLOTS);
  readonly #peer = new Int32Array(FLOW_SLOTS);
  #used = 0;
  #oldest = 0;

  // The packet at hand, as `#parse` found it.
  #parsedProtocol = 0;
  #parsedTransport = 0;
  #parsedHeaders = 0;

  /** Which protocols are merged: the kernel may not take merged UDP, or nobody wants merging. */
  constructor(view: DataView, sum: InternetSum, writer: PieceWriter, mergesTcp: boolean, mergesUdp: boolean) {
    this.#view = view;
    this.#sum = sum;
    this.#writer = writer;
    this.#mergesTcp = mergesTcp;
    this.#mergesUdp = mergesUdp;
  }

  /**
   * Takes a packet; it must stay where it is until `flush`, and the VNET_BYTES before it are the coalescer's.
   */
  push(packet: number, length: number, peer: number): void {
    const known = this.#parse(packet, length);
    // What cannot be told apart by flow must not overtake what waits: a fragment, say.
    if (!known && this.#used > 0) this.flush();
    const flow = known ? this.#find(packet) : -1;
    if (flow >= 0) {
      if (this.#fits(flow, packet, length)) return this.#merge(flow, packet, length);
      this.#flushSlot(flow);
    }
    if (known && this.#canStart(packet, length)) return this.#start(packet, length, peer);
    this.#writeSingle(packet, length, peer);
  }

  /** Writes everything that waits. */
  flush(): void {
    for (let flow = 0; this.#used > 0 && flow < FLOW_SLOTS; flow++) {
      if (this.#length[flow] > 0) this.#flushSlot(flow);
    }
  }

  // ── Reading ────────────────────────────────────────────────────────────────

  /** Whether this is whole TCP or UDP without IP options; fills the `#parsed…` fields. */
  #parse(packet: number, length: number): boolean {
    const view = this.#view;
    const version = view.getUint8(packet) >> 4;
    let protocol: number;
    if (version === 4) {
      if (view.getUint8(packet) !== 0x45 || (view.getUint16(packet + 6) & ~DONT_FRAGMENT) !== 0) return false;
      protocol = view.getUint8(packet + 9);
      this.#parsedTransport = 20;
    } else {
      protocol = view.getUint8(packet + 6);
      this.#parsedTransport = IPV6_BYTES;
    }
    this.#parsedProtocol = protocol;
    if (protocol === TCP) {
      if (!this.#mergesTcp || length < this.#parsedTransport + 20) return false;
      const transportBytes = (view.getUint8(packet + this.#parsedTransport + 12) >> 4) * 4;
      this.#parsedHeaders = this.#parsedTransport + transportBytes;
      return transportBytes >= 20 && length >= this.#parsedHeaders;
    }
    if (protocol !== UDP || !this.#mergesUdp) return false;
    this.#parsedHeaders = this.#parsedTransport + UDP_BYTES;
    return length >= this.#parsedHeaders &&
      view.getUint16(packet + this.#parsedTransport + 4) === length - this.#parsedTransport;
  }

  /** The slot of the flow the parsed packet belongs to, or -1. */
  #find(packet: number): number {
    for (let flow = 0; this.#used > 0 && flow < FLOW_SLOTS; flow++) {
      if (
        this.#length[flow] > 0 && this.#protocol[flow] === this.#parsedProtocol &&
        this.#transport[flow] === this.#parsedTransport && this.#sameFlow(this.#packet[flow], packet)
      ) return flow;
    }
    return -1;
  }

  /** Same addresses and ports. */
  #sameFlow(a: number, b: number): boolean {
    const view = this.#view;
    const transport = this.#parsedTransport;
    if (view.getUint32(a + transport) !== view.getUint32(b + transport)) return false;
    for (let at = transport === IPV6_BYTES ? 8 : 12; at < transport; at += 4) {
      if (view.getUint32(a + at) !== view.getUint32(b + at)) return false;
    }
    return true;
  }

  /** Whether the parsed packet may begin a merged one: content, and for TCP no flag but ACK (and PSH). */
  #canStart(packet: number, length: number): boolean {
    if (length === this.#parsedHeaders) return false;
    if (this.#parsedProtocol === UDP) return this.#view.getUint16(packet + this.#parsedTransport + 6) !== 0;
    return (this.#view.getUint8(packet + this.#parsedTransport + 13) & ~TCP_FLAG_PSH) === TCP_FLAG_ACK;
  }

  /** Whether the parsed packet continues what the slot holds. */
  #fits(flow: number, packet: number, length: number): boolean {
    const payload = length - this.#parsedHeaders;
    if (
      this.#closed[flow] === 1 || this.#parsedHeaders !== this.#headers[flow] || payload > this.#size[flow] ||
      this.#length[flow] + payload > MAX_TOTAL || this.#count[flow] >= MERGED_PACKETS
    ) return false;
    if (!this.#canStart(packet, length) || !this.#sameHeaders(this.#packet[flow], packet)) return false;
    if (this.#parsedProtocol === TCP && !this.#continuesTcp(flow, packet)) return false;
    if (this.#verified[flow] === 0) {
      if (!this.#verify(this.#packet[flow], this.#length[flow])) {
        // A broken first packet goes to the kernel alone, to be counted there.
        this.#closed[flow] = 1;
        return false;
      }
      this.#verified[flow] = 1;
    }
    return this.#verify(packet, length);
  }

  /** Same TOS, TTL and DF, or traffic class, flow label and hop limit. */
  #sameHeaders(a: number, b: number): boolean {
    const view = this.#view;
    if (this.#parsedTransport === IPV6_BYTES) {
      return view.getUint32(a) === view.getUint32(b) && view.getUint8(a + 7) === view.getUint8(b + 7);
    }
    return view.getUint8(a + 1) === view.getUint8(b + 1) && view.getUint8(a + 8) === view.getUint8(b + 8) &&
      view.getUint16(a + 6) === view.getUint16(b + 6);
  }

  /** Contiguous, with the same acknowledgement, reserved bits, window and options. */
  #continuesTcp(flow: number, packet: number): boolean {
    const view = this.#view;
    const a = this.#packet[flow] + this.#parsedTransport;
    const b = packet + this.#parsedTransport;
    if (view.getUint32(b + 4) !== this.#nextSequence[flow] || view.getUint32(a + 8) !== view.getUint32(b + 8)) {
      return false;
    }
    // The reserved bits stand beside the header length; one of them is a flag of accurate ECN.
    if (view.getUint8(a + 12) !== view.getUint8(b + 12)) return false;
    if (view.getUint16(a + 14) !== view.getUint16(b + 14)) return false;
    const end = this.#parsedHeaders - this.#parsedTransport;
    for (let at = 20; at < end; at += 4) {
      if (view.getUint32(a + at) !== view.getUint32(b + at)) return false;
    }
    return true;
  }

  /** Whether both checksums of a packet laid out like the parsed one are right. */
  #verify(packet: number, length: number): boolean {
    const transport = this.#parsedTransport;
    if (transport !== IPV6_BYTES && this.#sum(packet, transport, 0) !== 0xffff) return false;
    const pseudo = this.#pseudoHeader(packet, length - transport, transport, this.#parsedProtocol);
    return this.#sum(packet + transport, length - transport, pseudo) === 0xffff;
  }

  #pseudoHeader(packet: number, length: number, transport: number, protocol: number): number {
    const addresses = transport === IPV6_BYTES ? this.#sum(packet + 8, 32, 0) : this.#sum(packet + 12, 8, 0);
    return addresses + length + protocol;
  }

  // ── Collecting ─────────────────────────────────────────────────────────────

  #start(packet: number, length: number, peer: number): void {
    const flow = this.#freeSlot();
    this.#used++;
    this.#packet[flow] = packet;
    this.#length[flow] = length;
    this.#transport[flow] = this.#parsedTransport;
    this.#headers[flow] = this.#parsedHeaders;
    this.#size[flow] = length - this.#parsedHeaders;
    this.#count[flow] = 1;
    this.#protocol[flow] = this.#parsedProtocol;
    this.#verified[flow] = 0;
    this.#peer[flow] = peer;
    this.#closed[flow] = 0;
    if (this.#parsedProtocol === TCP) this.#followTcp(flow, packet, this.#size[flow]);
    this.#writer.setPiece(flow, 0, packet - VNET_BYTES, VNET_BYTES + length);
  }

  #merge(flow: number, packet: number, length: number): void {
    const payload = length - this.#parsedHeaders;
    this.#writer.setPiece(flow, this.#count[flow]++, packet + this.#parsedHeaders, payload);
    this.#length[flow] += payload;
    if (payload < this.#size[flow]) this.#closed[flow] = 1;
    if (this.#parsedProtocol === TCP) this.#followTcp(flow, packet, payload);
  }

  #followTcp(flow: number, packet: number, payload: number): void {
    const view = this.#view;
    const tcp = packet + this.#parsedTransport;
    this.#nextSequence[flow] = view.getUint32(tcp + 4) + payload;
    if ((view.getUint8(tcp + 13) & TCP_FLAG_PSH) === 0) return;
    this.#closed[flow] = 1;
    if (packet === this.#packet[flow]) return;
    const first = this.#packet[flow] + this.#parsedTransport + 13;
    view.setUint8(first, view.getUint8(first) | TCP_FLAG_PSH);
  }

  /** A free slot; the one filled longest ago is written if there is none. */
  #freeSlot(): number {
    for (let flow = 0; flow < FLOW_SLOTS; flow++) if (this.#length[flow] === 0) return flow;
    const flow = this.#oldest;
    this.#oldest = (flow + 1) % FLOW_SLOTS;
    this.#flushSlot(flow);
    return flow;
  }

  // ── Writing ────────────────────────────────────────────────────────────────

  #flushSlot(flow: number): void {
    const packet = this.#packet[flow];
    const count = this.#count[flow];
    if (count === 1) this.#writePlainHeader(packet);
    else this.#writeMergedHeaders(flow, packet);
    this.#length[flow] = 0;
    this.#used--;
    this.#writer.write(flow, count, count, this.#peer[flow]);
  }

  /** A packet that waits for nothing: through a slot's pieces beyond the flows'. */
  #writeSingle(packet: number, length: number, peer: number): void {
    this.#writePlainHeader(packet);
    this.#writer.setPiece(FLOW_SLOTS, 0, packet - VNET_BYTES, VNET_BYTES + length);
    this.#writer.write(FLOW_SLOTS, 1, 1, peer);
  }

  #writePlainHeader(packet: number): void {
    const header = packet - VNET_BYTES;
    for (let at = 0; at < VNET_BYTES; at += 2) this.#view.setUint16(header + at, 0);
  }

  #writeMergedHeaders(flow: number, packet: number): void {
    const view = this.#view;
    const total = this.#length[flow];
    const transport = this.#transport[flow];
    const isTcp = this.#protocol[flow] === TCP;
    const isIpv6 = transport === IPV6_BYTES;
    if (isIpv6) {
      view.setUint16(packet + 4, total - IPV6_BYTES);
    } else {
      view.setUint16(packet + 2, total);
      view.setUint16(packet + 10, 0);
      view.setUint16(packet + 10, ~this.#sum(packet, transport, 0));
    }
    if (!isTcp) view.setUint16(packet + transport + 4, total - transport);
    const field = isTcp ? 16 : 6;
    const pseudo = this.#pseudoHeader(packet, total - transport, transport, this.#protocol[flow]);
    view.setUint16(packet + transport + field, this.#sum(packet, 0, pseudo));
    const header = packet - VNET_BYTES;
    view.setUint8(header + VNET_FLAGS, VNET_NEEDS_CHECKSUM);
    view.setUint8(header + VNET_GSO_TYPE, isTcp ? (isIpv6 ? GSO_TCP6 : GSO_TCP4) : GSO_UDP);
    view.setUint16(header + VNET_HEADER_LENGTH, this.#headers[flow], true);
    view.setUint16(header + VNET_GSO_SIZE, this.#size[flow], true);
    view.setUint16(header + VNET_CHECKSUM_START, transport, true);
    view.setUint16(header + VNET_CHECKSUM_OFFSET, field, true);
  }
}
