/**
 * A look at what leaves this host: a packet socket that is handed every short packet on its way out of any interface of
 * the calling thread's network namespace, behind all filters, and without its link header.
 *
 * struct sockaddr_ll: family u16 | protocol u16 big-endian | interface i32 | hardware u16 | kind u8 | length u8 | address 8.
 * struct sock_filter: code u16 | jump if true u8 | jump if false u8 | value u32. Spec: packet(7), linux/filter.h.
 */
import { checked, EAGAIN, EINTR, SyscallError } from "./errno.ts";
import { close } from "./file.ts";
import { errno, libc } from "./libc.ts";
import { addressOf, writePointer } from "./memory.ts";
import { createSocket, SO_RCVBUF, SO_RCVBUFFORCE, SOCK_DGRAM, SOL_SOCKET, trySetOption } from "./socket.ts";

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_IPV6 = 0x86dd;

/** Longer packets are not looked at: what is looked for is short, and a busy tunnel's packets are not. */
export const LONGEST_TAPPED = 256;

const AF_PACKET = 17;
const ETH_P_ALL = 0x0003;
const SO_ATTACH_FILTER = 26;
const SOL_PACKET = 263;
const PACKET_STATISTICS = 6;
const BUFFER_BYTES = 4 * 1024 * 1024;

const SOCKADDR_LL_PROTOCOL = 2;
const SOCKADDR_LL_INDEX = 4;
const SOCKADDR_LL_BYTES = 20;
const STATISTICS_DROPS = 4;
const STATISTICS_BYTES = 8;

// Of the classic packet filter.
const LOAD_BYTE = 0x30;
const LOAD_LENGTH = 0x80;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER = 0x25;
const RETURN = 0x06;
const KIND_OF_PACKET = 0xffff_f000 + 4;
const PACKET_OUTGOING = 4;

/** Code, jump if true, jump if false, value: what goes out and is short is taken, and nothing else. */
const FILTER: readonly (readonly [number, number, number, number])[] = [
  [LOAD_BYTE, 0, 0, KIND_OF_PACKET],
  [JUMP_EQUAL, 0, 3, PACKET_OUTGOING],
  [LOAD_LENGTH, 0, 0, 0],
  [JUMP_GREATER, 1, 0, LONGEST_TAPPED],
  [RETURN, 0, 0, LONGEST_TAPPED],
  [RETURN, 0, 0, 0],
];
const INSTRUCTION_BYTES = 8;

/** A packet that left. */
export interface TappedPacket {
  /** Index of the interface. */
  readonly index: number;
  /** ETHERTYPE_… or another. */
  readonly protocol: number;
  /** From the IP header on, or the ARP message. */
  readonly bytes: Uint8Array;
}

export class PacketTap implements Disposable {
  readonly #fd: number;
  readonly #buffer = new Uint8Array(LONGEST_TAPPED);
  readonly #address = new Uint8Array(SOCKADDR_LL_BYTES);
  readonly #view = new DataView(this.#address.buffer);

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** @throws {SyscallError} EPERM without CAP_NET_RAW */
  static open(): PacketTap {
    // Protocol 0 hears nothing: the filter is in place before the first packet.
    const fd = createSocket(AF_PACKET, SOCK_DGRAM);
    try {
      if (!trySetOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)) {
        trySetOption(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
      }
      attachFilter(fd);
      const everything = new Uint8Array(SOCKADDR_LL_BYTES);
      const view = new DataView(everything.buffer);
      view.setUint16(0, AF_PACKET, true);
      view.setUint16(SOCKADDR_LL_PROTOCOL, ETH_P_ALL);
      checked("bind packet socket", libc().bind(fd, everything, everything.length));
      return new PacketTap(fd);
    } catch (error) {
      close(fd);
      throw error;
    }
  }

  /** All packets that wait. */
  take(): TappedPacket[] {
    const packets: TappedPacket[] = [];
    const addressLength = new Uint32Array(1);
    for (;;) {
      addressLength[0] = SOCKADDR_LL_BYTES;
      const length = libc().recvfrom(this.#fd, this.#buffer, LONGEST_TAPPED, 0, this.#address, addressLength);
      if (length < 0) {
        const number = errno();
        if (number === EINTR) continue;
        if (number === EAGAIN) return packets;
        throw new SyscallError("recv packet socket", number);
      }
      packets.push({
        index: this.#view.getInt32(SOCKADDR_LL_INDEX, true),
        protocol: this.#view.getUint16(SOCKADDR_LL_PROTOCOL),
        bytes: this.#buffer.slice(0, length),
      });
    }
  }

  /** How many packets were lost since the last time for want of room. */
  takeLosses(): number {
    const statistics = new Uint8Array(STATISTICS_BYTES);
    const length = new Uint32Array([statistics.length]);
    const result = libc().getsockopt(this.#fd, SOL_PACKET, PACKET_STATISTICS, statistics, length);
    checked("getsockopt PACKET_STATISTICS", result);
    return new DataView(statistics.buffer).getUint32(STATISTICS_DROPS, true);
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}

function attachFilter(fd: number): void {
  const program = new Uint8Array(FILTER.length * INSTRUCTION_BYTES);
  const view = new DataView(program.buffer);
  for (const [i, [code, ifTrue, ifFalse, value]] of FILTER.entries()) {
    const at = i * INSTRUCTION_BYTES;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, ifTrue);
    view.setUint8(at + 3, ifFalse);
    view.setUint32(at + 4, value, true);
  }
  // struct sock_fprog: length u16, then 6 of padding | pointer.
  const header = new Uint8Array(16);
  const headerView = new DataView(header.buffer);
  headerView.setUint16(0, FILTER.length, true);
  writePointer(headerView, 8, addressOf(program));
  const result = libc().setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, header, header.length);
  checked("setsockopt SO_ATTACH_FILTER", result);
}
