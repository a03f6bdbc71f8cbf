/** One ICMP echo at a time, without the ping program. Spec: RFC 792. */
import { checked } from "../../ffi/errno.ts";
import { close } from "../../ffi/file.ts";
import { libc } from "../../ffi/libc.ts";
import { POLLIN, PollSet } from "../../ffi/poll.ts";
import { AF_INET, createSocket, SOCK_RAW, SOCKADDR_IN_ADDRESS, SOCKADDR_IN_BYTES } from "../../ffi/socket.ts";
import { parseAddress } from "../../tunnel/address_text.ts";
import type { Machine } from "./network.ts";

const IPPROTO_ICMP = 1;
const ECHO_REQUEST = 8;
const ECHO_REPLY = 0;
const IPV4_BYTES = 20;
/** type u8 | code u8 | checksum u16 | identifier u16 | sequence u16 | payload. */
const ICMP_CHECKSUM = 2;
const ICMP_IDENTIFIER = 4;
const ICMP_SEQUENCE = 6;
const ICMP_PAYLOAD = 8;
const PAYLOAD_BYTES = 56;
/** A poll blocks this thread, so it is short. */
const POLL_TIMEOUT = 20;

export class Pinger {
  readonly #fd: number;
  readonly #address = new Uint8Array(SOCKADDR_IN_BYTES);
  readonly #readable = new PollSet(1);
  #sequence = 0;

  constructor(machine: Machine, destination: string) {
    this.#fd = machine.run(() => createSocket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    this.#readable.add(this.#fd, POLLIN);
    new DataView(this.#address.buffer).setUint16(0, AF_INET, true);
    this.#address.set(parseAddress(destination) ?? [], SOCKADDR_IN_ADDRESS);
  }

  /** @returns milliseconds to the answer and back, or null if none came in time */
  async ping(timeout: number): Promise<number | null> {
    const sequence = ++this.#sequence;
    const request = echoRequest(sequence);
    const start = performance.now();
    checked("send ping", libc().sendto(this.#fd, request, request.length, 0, this.#address, this.#address.length));
    while (performance.now() - start < timeout) {
      this.#readable.wait(POLL_TIMEOUT);
      if (this.#takeReply(sequence)) return performance.now() - start;
      // Lets signals and the other processes' output through.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return null;
  }

  close(): void {
    close(this.#fd);
  }

  #takeReply(sequence: number): boolean {
    const packet = new Uint8Array(2048);
    const view = new DataView(packet.buffer);
    while (libc().recv(this.#fd, packet, packet.length, 0) > 0) {
      const isOurs = view.getUint16(IPV4_BYTES + ICMP_IDENTIFIER) === (Deno.pid & 0xffff);
      const isReply = packet[IPV4_BYTES] === ECHO_REPLY && view.getUint16(IPV4_BYTES + ICMP_SEQUENCE) === sequence;
      if (isOurs && isReply) return true;
    }
    return false;
  }
}

function echoRequest(sequence: number): Uint8Array<ArrayBuffer> {
  const packet = new Uint8Array(ICMP_PAYLOAD + PAYLOAD_BYTES);
  const view = new DataView(packet.buffer);
  packet[0] = ECHO_REQUEST;
  view.setUint16(ICMP_IDENTIFIER, Deno.pid & 0xffff);
  view.setUint16(ICMP_SEQUENCE, sequence);
  for (let i = ICMP_PAYLOAD; i < packet.length; i++) packet[i] = i;
  let sum = 0;
  for (let i = 0; i < packet.length; i += 2) sum += view.getUint16(i);
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(ICMP_CHECKSUM, ~(sum + (sum >>> 16)) & 0xffff);
  return packet;
}
