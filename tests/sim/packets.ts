/**
 * Inner packets that can be recognised: IPv4 or IPv6, with a number behind the header and a filling that follows from
 * it, so that a changed, cut, mixed up or repeated packet shows.
 */
import assert from "node:assert/strict";

export const IPV4_HEADER = 20;
export const IPV6_HEADER = 40;
/** Packet number, then length, 4 bytes each. */
const LABEL = 8;
export const MIN_PACKET = IPV6_HEADER + LABEL;

export interface PacketRecord {
  readonly from: number;
  readonly to: number;
  readonly length: number;
  readonly version: 4 | 6;
  readonly sentAt: number;
  /** Virtual time of the delivery, -1 before it. */
  deliveredAt: number;
}

/** The address of host `n` inside the tunnel: 10.0.x.y or fd00::x:y. */
export function innerAddress(version: 4 | 6, host: number): Uint8Array {
  const address = new Uint8Array(version === 4 ? 4 : 16);
  writeInnerAddress(address, 0, address.length, host);
  return address;
}

/** Over zeros. */
function writeInnerAddress(bytes: Uint8Array, offset: number, length: number, host: number): void {
  bytes[offset] = length === 4 ? 10 : 0xfd;
  bytes[offset + length - 2] = host >> 8;
  bytes[offset + length - 1] = host & 255;
}

/** All packets of one simulation. */
export class PacketLedger {
  readonly records: PacketRecord[] = [];
  delivered = 0;
  readonly #expected = new Uint8Array(65_536);

  /** Writes a new packet to `bytes` at `offset` and returns its number. */
  write(
    bytes: Uint8Array,
    offset: number,
    from: number,
    to: number,
    length: number,
    version: 4 | 6,
    now: number,
  ): number {
    const size = Math.max(length, (version === 4 ? IPV4_HEADER : IPV6_HEADER) + LABEL);
    const id = this.records.length;
    this.records.push({ from, to, length: size, version, sentAt: now, deliveredAt: -1 });
    this.#render(bytes, offset, id);
    return id;
  }

  /**
   * Checks a delivered packet against what was sent, byte for byte, and that it comes for the first time.
   *
   * @returns its number
   */
  accept(bytes: Uint8Array, offset: number, length: number, from: number, to: number, now: number): number {
    const version = bytes[offset] >> 4;
    const label = offset + (version === 4 ? IPV4_HEADER : IPV6_HEADER);
    const id = new DataView(bytes.buffer, bytes.byteOffset).getUint32(label, true);
    const record = this.records[id];
    if (record === undefined) assert.fail(`delivered packet ${id} was never sent`);
    if (length !== record.length) assert.fail(`packet ${id} has ${length} bytes, not ${record.length}`);
    if (record.to !== to) assert.fail(`packet ${id} was delivered to the wrong host`);
    if (record.from !== from) assert.fail(`packet ${id} came from the wrong peer`);
    this.#render(this.#expected, 0, id);
    for (let i = 0; i < length; i++) {
      if (this.#expected[i] !== bytes[offset + i]) assert.fail(`packet ${id} was modified at byte ${i}`);
    }
    if (record.deliveredAt !== -1) assert.fail(`packet ${id} was delivered twice`);
    record.deliveredAt = now;
    this.delivered++;
    return id;
  }

  #render(bytes: Uint8Array, offset: number, id: number): void {
    const { from, to, length, version } = this.records[id];
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const header = version === 4 ? IPV4_HEADER : IPV6_HEADER;
    bytes.fill(0, offset, offset + header);
    if (version === 4) {
      bytes[offset] = 0x45;
      view.setUint16(offset + 2, length);
      bytes[offset + 8] = 64;
      bytes[offset + 9] = 17;
      writeInnerAddress(bytes, offset + 12, 4, from);
      writeInnerAddress(bytes, offset + 16, 4, to);
    } else {
      bytes[offset] = 0x60;
      view.setUint16(offset + 4, length - IPV6_HEADER);
      bytes[offset + 6] = 17;
      bytes[offset + 7] = 64;
      writeInnerAddress(bytes, offset + 8, 16, from);
      writeInnerAddress(bytes, offset + 24, 16, to);
    }
    view.setUint32(offset + header, id, true);
    view.setUint32(offset + header + 4, length, true);
    for (let i = header + LABEL; i < length; i++) bytes[offset + i] = (id * 31 + i * 7) & 255;
  }
}
