/**
 * Internet addresses and the headers of inner packets: version, length, and where the addresses lie.
 *
 * ```
 * IPv4  version/IHL 1 | TOS 1 | total length u16 | …8 | source 4 @12 | destination 4 @16 | options
 * IPv6  version… 4 | payload length u16 @4 | next header 1 | hop limit 1 | source 16 @8 | destination 16 @24
 * ```
 *
 * Integers big-endian. Spec: RFC 791 §3.1, RFC 8200 §3.
 */

export const IPV4 = 4;
export const IPV4_TOTAL_LENGTH = 2;
export const IPV4_SOURCE = 12;
export const IPV4_DESTINATION = IPV4_SOURCE + 4;
export const IPV4_HEADER_BYTES = IPV4_DESTINATION + 4;

export const IPV6 = 6;
export const IPV6_PAYLOAD_LENGTH = 4;
export const IPV6_SOURCE = 8;
export const IPV6_DESTINATION = IPV6_SOURCE + 16;
export const IPV6_HEADER_BYTES = IPV6_DESTINATION + 16;

/** A network: an address and how many of its leading bits count. */
export interface Prefix {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly cidr: number;
}

/** The version field of the packet at `offset`, whatever it says: 0 … 15. */
export function ipVersion(bytes: Uint8Array, offset: number): number {
  return bytes[offset] >>> 4;
}

/**
 * Length of the packet at `offset` by its own header, without the padding behind it.
 *
 * @param available bytes that are there, padding included
 * @returns the length, at least a whole header and at most `available`; -1 if it is no IPv4 or IPv6 packet, or cut off
 */
export function innerPacketLength(bytes: Uint8Array, offset: number, available: number): number {
  if (available < IPV4_HEADER_BYTES) return -1;
  switch (ipVersion(bytes, offset)) {
    case IPV4: {
      const total = readUint16(bytes, offset + IPV4_TOTAL_LENGTH);
      return total >= IPV4_HEADER_BYTES && total <= available ? total : -1;
    }
    case IPV6: {
      const total = IPV6_HEADER_BYTES + readUint16(bytes, offset + IPV6_PAYLOAD_LENGTH);
      return total <= available ? total : -1;
    }
    default:
      return -1;
  }
}

/** Offset of the source address of the packet at `offset`, or -1 if it is neither IPv4 nor IPv6. */
export function sourceOffset(bytes: Uint8Array, offset: number): number {
  const version = ipVersion(bytes, offset);
  if (version === IPV4) return offset + IPV4_SOURCE;
  return version === IPV6 ? offset + IPV6_SOURCE : -1;
}

/** Offset of the destination address of the packet at `offset`, or -1 if it is neither IPv4 nor IPv6. */
export function destinationOffset(bytes: Uint8Array, offset: number): number {
  const version = ipVersion(bytes, offset);
  if (version === IPV4) return offset + IPV4_DESTINATION;
  return version === IPV6 ? offset + IPV6_DESTINATION : -1;
}

function readUint16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] << 8) | bytes[offset + 1];
}
