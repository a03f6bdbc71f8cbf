/**
 * The one memory of a data plane: every packet byte, key place and message header lies in it at a fixed offset, so that
 * system calls, the AEAD engine and the protocol work on offsets and nothing is allocated per packet.
 *
 * ```
 * engine 64 KiB | device scratch 128 | message headers | receive 8 × 64 KiB | TUN: room 16, packet, slack | send |
 * a packet from another thread
 * ```
 *
 * The memory never grows: growing would detach every view and invalidate every address given to the kernel.
 */
import { IOVEC_BYTES, MMSGHDR_BYTES } from "../ffi/socket.ts";
import { FLOW_SLOTS, MERGED_PACKETS } from "./coalescing.ts";
import { TEMPLATE_BYTES } from "./segmentation.ts";

const PAGE = 65_536;

/** The start of the memory belongs to the AEAD engine (static data, keystream). */
export const ENGINE_BYTES = PAGE;

/** Two key places of the device, see `DeviceOptions.scratch`. */
export const DEVICE_SCRATCH = ENGINE_BYTES;
export const DEVICE_SCRATCH_BYTES = 128;

/** Datagrams one receive call takes; with GRO each may carry 64 segments. */
export const RECEIVE_SLOTS = 8;
export const RECEIVE_SLOT_BYTES = 65_536;

/** Datagrams the send buffer collects before they must leave: the kernel's limit for one GSO call. */
export const SEND_SLOTS = 64;
export const SEND_BYTES = SEND_SLOTS * 2048;

/** Room for a sockaddr_in6, and for the control messages of one datagram (local address, segment size, TOS). */
export const NAME_BYTES = 32;
export const CONTROL_BYTES = 128;

const SLACK = 64;

// Message headers of the batch carrier, then one vector for a TUN write.
export const RECEIVE_MESSAGES = DEVICE_SCRATCH + DEVICE_SCRATCH_BYTES;
export const RECEIVE_VECTORS = RECEIVE_MESSAGES + RECEIVE_SLOTS * MMSGHDR_BYTES;
export const RECEIVE_NAMES = RECEIVE_VECTORS + RECEIVE_SLOTS * IOVEC_BYTES;
export const RECEIVE_CONTROLS = RECEIVE_NAMES + RECEIVE_SLOTS * NAME_BYTES;
export const SEND_MESSAGES = RECEIVE_CONTROLS + RECEIVE_SLOTS * CONTROL_BYTES;
export const SEND_VECTORS = SEND_MESSAGES + SEND_SLOTS * MMSGHDR_BYTES;
export const SEND_NAMES = SEND_VECTORS + SEND_SLOTS * IOVEC_BYTES;
export const SEND_CONTROLS = SEND_NAMES + SEND_SLOTS * NAME_BYTES;
/** Vectors of writes to the TUN: for each flow that is being merged, and one for packets that are not. */
export const TUN_VECTOR_SLOTS = (FLOW_SLOTS + 1) * MERGED_PACKETS;
export const TUN_VECTORS = SEND_CONTROLS + SEND_SLOTS * CONTROL_BYTES;
/** The headers of a packet that is being cut into segments. */
export const SEGMENT_TEMPLATE = TUN_VECTORS + TUN_VECTOR_SLOTS * IOVEC_BYTES;

export const RECEIVE = align(SEGMENT_TEMPLATE + TEMPLATE_BYTES);
const RECEIVE_END = RECEIVE + RECEIVE_SLOTS * RECEIVE_SLOT_BYTES + SLACK;

/** Where a vnet header may lie before the IP header of a packet from the TUN. */
export const TUN_HEADER_ROOM = 16;
/** The IP header of a packet from the TUN. */
export const TUN_PACKET = align(RECEIVE_END) + TUN_HEADER_ROOM;
export const TUN_PACKET_BYTES = 65_536;
const TUN_END = TUN_PACKET + TUN_PACKET_BYTES + SLACK;

export const SEND = align(TUN_END);
const SEND_END = SEND + SEND_BYTES + SLACK;

/** A packet that another thread passes on; only pages that are used exist. */
export const PASSED_PACKET = align(SEND_END);
const PASSED_END = PASSED_PACKET + TUN_PACKET_BYTES + SLACK;

export const ARENA_PAGES = Math.ceil(PASSED_END / PAGE);

export class Arena {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;

  constructor() {
    this.memory = new WebAssembly.Memory({ initial: ARENA_PAGES, maximum: ARENA_PAGES });
    // Not shared: the memory was not made so.
    const buffer = this.memory.buffer as ArrayBuffer;
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
  }
}

function align(offset: number): number {
  return Math.ceil(offset / 64) * 64;
}
