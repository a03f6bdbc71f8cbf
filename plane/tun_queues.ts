/**
 * Which queue of the TUN device a packet is written to. The kernel hands what a flow sends to the queue that the flow's
 * packets were last written to. All packets of a peer arrive at one thread, so writing them to that thread's own queue
 * would draw all its flows there; spread by flow they come back to all threads.
 */
import { IPV4, IPV4_SOURCE, IPV6_HEADER_BYTES, IPV6_SOURCE } from "../tunnel/ip.ts";

const TCP = 6;
const UDP = 17;
const IPV4_FRAGMENT = 6;
/** More fragments, or a fragment's place. */
const FRAGMENT_BITS = 0x3fff;
const IPV4_PROTOCOL = 9;
const IPV6_NEXT_HEADER = 6;

/** Odd factors of MurmurHash3's last step, which lets every bit change every other. */
const FACTOR_1 = 0x85ebca6b;
const FACTOR_2 = 0xc2b2ae35;

export class TunQueues {
  readonly #descriptors: readonly number[];
  readonly #view: DataView;

  /** @param descriptors one for each thread @param view of the memory that the packets lie in */
  constructor(descriptors: readonly number[], view: DataView) {
    this.#descriptors = descriptors;
    this.#view = view;
  }

  /** The descriptor for an IP packet: the same for all of one flow. */
  of(packet: number): number {
    return this.#descriptors[mixed(this.#flow(packet)) % this.#descriptors.length];
  }

  /** Addresses and, where they are to be had, ports. */
  #flow(packet: number): number {
    const view = this.#view;
    const firstByte = view.getUint8(packet);
    if (firstByte >>> 4 === IPV4) {
      const addresses = view.getInt32(packet + IPV4_SOURCE) ^ view.getInt32(packet + IPV4_SOURCE + 4);
      const hasPorts = hasPortsOf(view.getUint8(packet + IPV4_PROTOCOL)) &&
        (view.getUint16(packet + IPV4_FRAGMENT) & FRAGMENT_BITS) === 0;
      return hasPorts ? addresses ^ view.getInt32(packet + 4 * (firstByte & 15)) : addresses;
    }
    let flow = 0;
    for (let at = IPV6_SOURCE; at < IPV6_HEADER_BYTES; at += 4) flow ^= view.getInt32(packet + at);
    const hasPorts = hasPortsOf(view.getUint8(packet + IPV6_NEXT_HEADER));
    return hasPorts ? flow ^ view.getInt32(packet + IPV6_HEADER_BYTES) : flow;
  }
}

/** @returns a u32 */
function mixed(value: number): number {
  value = Math.imul(value ^ (value >>> 16), FACTOR_1);
  value = Math.imul(value ^ (value >>> 13), FACTOR_2);
  return (value ^ (value >>> 16)) >>> 0;
}

function hasPortsOf(protocol: number): boolean {
  return protocol === TCP || protocol === UDP;
}
