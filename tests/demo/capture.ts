/** Looking at the packets of an interface as they come and go, through an AF_PACKET socket. */
import { checked } from "../../ffi/errno.ts";
import { close } from "../../ffi/file.ts";
import { libc } from "../../ffi/libc.ts";
import { createSocket, SOCK_DGRAM } from "../../ffi/socket.ts";
import type { Machine } from "./network.ts";

const AF_PACKET = 17;
/** Big-endian, as the call wants it. */
const ETH_P_ALL = 0x0300;
/** struct sockaddr_ll: family u16 | protocol u16 | index i32 | … 20 bytes in all. */
const SOCKADDR_LL_PROTOCOL = 2;
const SOCKADDR_LL_INDEX = 4;
const SOCKADDR_LL_BYTES = 20;

/** Collects IPv4 packets of one interface, both directions, from its making on. */
export class Capture {
  readonly #fd: number;
  readonly #buffer = new Uint8Array(65_536);

  constructor(machine: Machine, interfaceName: string) {
    const index = machine.interfaceIndex(interfaceName);
    this.#fd = machine.run(() => createSocket(AF_PACKET, SOCK_DGRAM, ETH_P_ALL));
    const address = new Uint8Array(SOCKADDR_LL_BYTES);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_PACKET, true);
    view.setUint16(SOCKADDR_LL_PROTOCOL, ETH_P_ALL, true);
    view.setUint32(SOCKADDR_LL_INDEX, index, true);
    checked("bind packet socket", libc().bind(this.#fd, address, address.length));
  }

  /** What was seen since the last call, oldest first. */
  take(): Uint8Array[] {
    const packets: Uint8Array[] = [];
    for (;;) {
      const length = libc().recv(this.#fd, this.#buffer, this.#buffer.length, 0);
      if (length < 0) return packets;
      if (this.#buffer[0] >> 4 === 4) packets.push(this.#buffer.slice(0, length));
    }
  }

  close(): void {
    close(this.#fd);
  }
}
