/**
 * Endpoint records: where a peer is, and from which of our addresses it is reached, as 48 bytes.
 *
 * ```
 * family u16 | port u16 | scope u32 | address 16 | source ifindex u32 | source 16 | 4 spare
 * ```
 *
 * family is 0 (none), 4 or 6; integers little-endian; an IPv4 address lies in the first four address bytes and the
 * rest is zero. An IPv4-mapped IPv6 address never appears: carriers normalise it. A source ifindex of 0 with a zero
 * source means that the kernel chooses the source.
 */

export const ENDPOINT_FAMILY = 0;
export const ENDPOINT_PORT = ENDPOINT_FAMILY + 2;
export const ENDPOINT_SCOPE = ENDPOINT_PORT + 2;
export const ENDPOINT_ADDRESS = ENDPOINT_SCOPE + 4;
export const ENDPOINT_SOURCE_IFINDEX = ENDPOINT_ADDRESS + 16;
export const ENDPOINT_SOURCE = ENDPOINT_SOURCE_IFINDEX + 4;
export const ENDPOINT_BYTES = ENDPOINT_SOURCE + 16 + 4;

/** The address in a record, 4 or 16 bytes; null if there is none. A copy. */
export function endpointAddress(record: Uint8Array): Uint8Array | null {
  return addressIn(record, ENDPOINT_ADDRESS);
}

/** From where the peer is reached, null if the kernel chooses. A copy. */
export function endpointSource(record: Uint8Array): { index: number; address: Uint8Array } | null {
  const address = addressIn(record, ENDPOINT_SOURCE);
  if (address === null || address.every((byte) => byte === 0)) return null;
  const index = new DataView(record.buffer, record.byteOffset).getUint32(ENDPOINT_SOURCE_IFINDEX, true);
  return { index, address };
}

function addressIn(record: Uint8Array, at: number): Uint8Array | null {
  if (record[ENDPOINT_FAMILY] === 0) return null;
  return record.slice(at, at + (record[ENDPOINT_FAMILY] === 4 ? 4 : 16));
}

/** A new record without a source. `address` has 4 or 16 bytes. */
export function endpointRecord(address: Uint8Array, port: number, scope = 0): Uint8Array {
  if (address.length !== 4 && address.length !== 16) throw new RangeError("Address must have 4 or 16 bytes");
  const record = new Uint8Array(ENDPOINT_BYTES);
  const view = new DataView(record.buffer);
  view.setUint16(ENDPOINT_FAMILY, address.length === 4 ? 4 : 6, true);
  view.setUint16(ENDPOINT_PORT, port, true);
  view.setUint32(ENDPOINT_SCOPE, scope, true);
  record.set(address, ENDPOINT_ADDRESS);
  return record;
}
