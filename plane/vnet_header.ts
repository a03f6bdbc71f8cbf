/**
 * The virtio-net header before every packet of a TUN opened with IFF_VNET_HDR, little-endian:
 *
 * ```
 * flags u8 | gso type u8 | header length u16 | gso size u16 | checksum start u16 | checksum offset u16
 * ```
 *
 * Offsets in it are relative to the IP header. Spec: VIRTIO 1.2 §5.1.6.
 */
export const VNET_FLAGS = 0;
export const VNET_GSO_TYPE = VNET_FLAGS + 1;
export const VNET_HEADER_LENGTH = VNET_GSO_TYPE + 1;
export const VNET_GSO_SIZE = VNET_HEADER_LENGTH + 2;
export const VNET_CHECKSUM_START = VNET_GSO_SIZE + 2;
export const VNET_CHECKSUM_OFFSET = VNET_CHECKSUM_START + 2;
export const VNET_BYTES = VNET_CHECKSUM_OFFSET + 2;

/** The checksum field holds the sum of the pseudo-header; the rest of the sum is missing. */
export const VNET_NEEDS_CHECKSUM = 1;

export const GSO_NONE = 0;
export const GSO_TCP4 = 1;
export const GSO_TCP6 = 4;
export const GSO_UDP = 5;
/** A flag beside the type: the first segment carries CWR. */
export const GSO_ECN = 0x80;
