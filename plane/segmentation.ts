/**
 * Cuts a large packet from the TUN device into packets of the path's size, in place and without copying payload: each
 * segment's header is written directly before its payload, over the tail of the segment before, which has been sealed
 * elsewhere by then.
 *
 * ```
 * vnet | IP TCP | payload 0 | payload 1 | payload 2 |
 *        └ segment 0 ──────┘
 *                  └ header ┴ payload 1┘            segment 1, once segment 0 is sealed
 * ```
 *
 * Spec: VIRTIO 1.2 §5.1.6.2; RFC 9293 §3.1 (TCP), RFC 768 (UDP), RFC 791, RFC 8200.
 */
import { foldSum, type InternetSum } from "./checksum.ts";
import {
  GSO_ECN,
  GSO_NONE,
  GSO_TCP4,
  GSO_TCP6,
  GSO_UDP,
  VNET_BYTES,
  VNET_CHECKSUM_OFFSET,
  VNET_CHECKSUM_START,
  VNET_FLAGS,
  VNET_GSO_SIZE,
  VNET_GSO_TYPE,
  VNET_NEEDS_CHECKSUM,
} from "./vnet_header.ts";

/** Longest headers of one segment: IPv6 with extension headers and TCP options. */
export const TEMPLATE_BYTES = 256;

const TCP = 6;
const UDP = 17;
const IPV4_BYTES = 20;
const IPV6_BYTES = 40;
const TCP_BYTES = 20;
const UDP_BYTES = 8;
/** Where the checksum lies in either header. */
const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
const TCP_FLAG_FIN = 0x01;
const TCP_FLAG_PSH = 0x08;
const TCP_FLAG_CWR = 0x80;
/** Bytes behind a segment that its padding may overwrite. */
const PADDING_WORDS = 4;

export class Segmenter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #sum: InternetSum;
  readonly #template: number;
  readonly #saved = new Uint32Array(PADDING_WORDS);
  #savedAt = 0;

  #isTcp = false;
  #isIpv6 = false;
  #transport = 0;
  #headers = 0;
  /** Internet sums of what all segments have in common: the IPv4 header, and the transport's pseudo-header. */
  #headerSum = 0;
  #pseudoSum = 0;
  #payload = 0;
  #left = 0;
  #size = 0;
  #index = 0;
  #identification = 0;
  #sequence = 0;
  #flags = 0;
  #single = 0;

  /** The segment of the last `next`. */
  offset = 0;

  /** @param template offset of TEMPLATE_BYTES that are the segmenter's */
  constructor(bytes: Uint8Array, view: DataView, template: number, sum: InternetSum) {
    this.#bytes = bytes;
    this.#view = view;
    this.#template = template;
    this.#sum = sum;
  }

  /**
   * Starts on the packet whose vnet header lies at `header`.
   *
   * @param length of the packet without the vnet header
   * @returns false for a packet that makes no sense; there is nothing to take then
   */
  begin(header: number, length: number): boolean {
    const view = this.#view;
    const packet = header + VNET_BYTES;
    this.#single = 0;
    this.#left = 0;
    this.#savedAt = 0;
    const type = view.getUint8(header + VNET_GSO_TYPE) & ~GSO_ECN;
    if (type === GSO_NONE) {
      if ((view.getUint8(header + VNET_FLAGS) & VNET_NEEDS_CHECKSUM) !== 0) {
        if (!this.#finishChecksum(header, packet, length)) return false;
      }
      this.offset = packet;
      this.#single = length;
      return length > 0;
    }
    if (type !== GSO_TCP4 && type !== GSO_TCP6 && type !== GSO_UDP) return false;
    return this.#beginSegments(header, packet, length, type !== GSO_UDP);
  }

  /** The next segment, at `offset`. @returns its length, 0 when there is none */
  next(): number {
    if (this.#single > 0) {
      const length = this.#single;
      this.#single = 0;
      return length;
    }
    if (this.#savedAt !== 0) this.#restorePadding();
    if (this.#left === 0) return 0;
    return this.#nextSegment();
  }

  #finishChecksum(header: number, packet: number, length: number): boolean {
    const view = this.#view;
    const start = view.getUint16(header + VNET_CHECKSUM_START, true);
    const field = start + view.getUint16(header + VNET_CHECKSUM_OFFSET, true);
    if (field + 2 > length) return false;
    const sum = this.#sum(packet + start, length - start, 0);
    // UDP says "no checksum" with zero, so a computed zero is sent as its other form.
    view.setUint16(packet + field, (~sum & 0xffff) || 0xffff);
    return true;
  }

  #beginSegments(header: number, packet: number, length: number, isTcp: boolean): boolean {
    const view = this.#view;
    this.#isIpv6 = view.getUint8(packet) >> 4 === 6;
    this.#isTcp = isTcp;
    this.#transport = view.getUint16(header + VNET_CHECKSUM_START, true);
    if (this.#transport < (this.#isIpv6 ? IPV6_BYTES : IPV4_BYTES)) return false;
    if (this.#transport + (isTcp ? TCP_BYTES : UDP_BYTES) > length) return false;
    // The header length field is a hint of the sender's; the packet itself knows.
    const transportBytes = isTcp ? (view.getUint8(packet + this.#transport + 12) >> 4) * 4 : UDP_BYTES;
    this.#headers = this.#transport + transportBytes;
    this.#size = view.getUint16(header + VNET_GSO_SIZE, true);
    if (this.#headers > TEMPLATE_BYTES || this.#headers >= length || this.#size === 0) return false;
    if (isTcp && transportBytes < TCP_BYTES) return false;
    this.#identification = this.#isIpv6 ? 0 : view.getUint16(packet + 4);
    if (isTcp) {
      this.#sequence = view.getUint32(packet + this.#transport + 4);
      this.#flags = view.getUint8(packet + this.#transport + 13);
    }
    this.#makeTemplate(packet);
    this.#payload = packet + this.#headers;
    this.#left = length - this.#headers;
    this.#index = 0;
    return true;
  }

  /** The headers with zeros where segments differ, so that each one's checksums begin with what is known. */
  #makeTemplate(packet: number): void {
    const view = this.#view;
    const template = this.#template;
    this.#bytes.copyWithin(template, packet, packet + this.#headers);
    view.setUint16(template + this.#transport + (this.#isTcp ? TCP_CHECKSUM : UDP_CHECKSUM), 0);
    if (this.#isIpv6) {
      this.#pseudoSum = this.#sum(template + 8, 32, 0);
    } else {
      // Total length and identification, then the checksum.
      view.setUint32(template + 2, 0);
      view.setUint16(template + 10, 0);
      this.#headerSum = this.#sum(template, (view.getUint8(template) & 15) * 4, 0);
      this.#pseudoSum = this.#sum(template + 12, 8, 0);
    }
  }

  #nextSegment(): number {
    const view = this.#view;
    const template = this.#template;
    const payload = Math.min(this.#size, this.#left);
    const at = this.#payload - this.#headers;
    // All headers are whole words, and a call of copyWithin costs as much as fifteen of them.
    for (let i = 0; i < this.#headers; i += 4) view.setUint32(at + i, view.getUint32(template + i));
    this.#left -= payload;
    const total = this.#headers + payload;
    if (this.#isIpv6) {
      view.setUint16(at + 4, total - IPV6_BYTES);
    } else {
      const identification = (this.#identification + this.#index) & 0xffff;
      view.setUint16(at + 2, total);
      view.setUint16(at + 4, identification);
      view.setUint16(at + 10, ~foldSum(this.#headerSum + total + identification));
    }
    const transport = at + this.#transport;
    if (this.#isTcp) this.#writeTcp(transport);
    else view.setUint16(transport + 4, UDP_BYTES + payload);
    this.#writeChecksum(transport, total - this.#transport);
    this.#payload += payload;
    this.#index++;
    this.offset = at;
    this.#savePadding(at + total);
    return total;
  }

  #writeTcp(transport: number): void {
    const view = this.#view;
    view.setUint32(transport + 4, this.#sequence + this.#index * this.#size);
    let flags = this.#flags;
    if (this.#left > 0) flags &= ~(TCP_FLAG_FIN | TCP_FLAG_PSH);
    if (this.#index > 0) flags &= ~TCP_FLAG_CWR;
    view.setUint8(transport + 13, flags);
  }

  #writeChecksum(transport: number, length: number): void {
    const view = this.#view;
    const field = transport + (this.#isTcp ? TCP_CHECKSUM : UDP_CHECKSUM);
    const sum = this.#sum(transport, length, this.#pseudoSum + length + (this.#isTcp ? TCP : UDP));
    const checksum = ~sum & 0xffff;
    view.setUint16(field, this.#isTcp ? checksum : checksum || 0xffff);
  }

  /** The segment behind this one is still unsealed payload: what padding overwrites is put back. */
  #savePadding(end: number): void {
    if (this.#left === 0) return;
    this.#savedAt = end;
    for (let i = 0; i < PADDING_WORDS; i++) this.#saved[i] = this.#view.getUint32(end + 4 * i);
  }

  #restorePadding(): void {
    for (let i = 0; i < PADDING_WORDS; i++) this.#view.setUint32(this.#savedAt + 4 * i, this.#saved[i]);
    this.#savedAt = 0;
  }
}
