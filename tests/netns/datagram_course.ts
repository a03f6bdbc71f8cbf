/**
 * Numbered datagrams from one host to another, as many on the way as the receiver can hold: every one must arrive once
 * and unchanged. Sizes come single, in equal runs as coalescing likes them, as the kernel's own segments (UDP_SEGMENT),
 * and larger than the MTU, in fragments.
 *
 *     number u32 | length u32 | bytes that follow from both
 */

import { checked } from "../../ffi/errno.ts";
import { close } from "../../ffi/file.ts";
import { libc } from "../../ffi/libc.ts";
import { inNamespace, openNamespace } from "../../ffi/namespace.ts";
import { POLLIN, PollSet } from "../../ffi/poll.ts";
import {
  AF_INET,
  AF_INET6,
  createSocket,
  setOption,
  SO_RCVBUFFORCE,
  SOCK_DGRAM,
  SOCKADDR_FAMILY,
  SOCKADDR_IN6_ADDRESS,
  SOCKADDR_IN6_BYTES,
  SOCKADDR_IN_ADDRESS,
  SOCKADDR_IN_BYTES,
  SOCKADDR_PORT,
  SOL_SOCKET,
} from "../../ffi/socket.ts";
import { SOL_UDP, UDP_SEGMENT } from "../../ffi/udp.ts";
import { parseAddress } from "../../tunnel/address_text.ts";
import type { Host } from "./lab.ts";
import { sleep } from "./process.ts";

// Opened now: the leak check would blame the first test that needs it.
libc();

const PORT = 7_001;
const HEADER = 8;
const BUFFER_BYTES = 8 << 20;
/**
 * On the way at a time: what any queue between the sockets holds. The shortest is the receive buffer of a socket with
 * the system's default of 208 KiB, of which a packet takes up to 2.3 KiB, however small it is, and larger ones up to
 * twice their size.
 */
const WINDOW = 64;
const WINDOW_BYTES = 64 * 1024;
/** Milliseconds without an arrival after which what is on the way is lost. */
const PATIENCE = 3_000;
/** A blocked poll blocks the test's time limit too, so it is short. */
const POLL_TIME = 20;
/** One GSO send: the kernel's limits less headers. */
const MOST_SEGMENTS = 64;
const MOST_SEGMENT_BYTES = 60_000;
const LARGEST = 12_000;

export interface CourseResult {
  readonly sent: number;
  readonly received: number;
  /** Numbers that arrived again, that never arrived, and that arrived changed; at most ten of each. */
  readonly repeated: readonly number[];
  readonly lost: readonly number[];
  readonly changed: readonly number[];
}

/** Sends `count` datagrams from `from` to `address` on `to`, through a path of this MTU. */
export async function runCourse(
  from: Host,
  to: Host,
  address: string,
  count: number,
  mtu: number,
): Promise<CourseResult> {
  const course = new Course(from, to, address, mtu);
  try {
    return await course.run(count);
  } finally {
    course.close();
  }
}

class Course {
  readonly #sender: number;
  readonly #receiver: number;
  readonly #readable = new PollSet(1);
  readonly #destination: Uint8Array<ArrayBuffer>;
  readonly #fullSize: number;
  readonly #packet = new Uint8Array(1 << 16);
  readonly #arrived = new Uint8Array(1 << 16);
  readonly #onTheWay = new Map<number, number>();
  readonly #seen = new Set<number>();
  readonly #repeated: number[] = [];
  readonly #changed: number[] = [];
  #next = 0;
  #bytesOnTheWay = 0;
  #state = 0x2545f491;

  constructor(from: Host, to: Host, address: string, mtu: number) {
    const bytes = parseAddress(address);
    if (bytes === null) throw new RangeError(`Cannot read the address ${address}`);
    this.#destination = socketAddress(bytes);
    this.#fullSize = mtu - (bytes.length === 4 ? 28 : 48);
    const family = bytes.length === 4 ? AF_INET : AF_INET6;
    this.#sender = socketOn(from, family);
    this.#receiver = socketOn(to, family);
    setOption("SO_RCVBUFFORCE", this.#receiver, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES);
    checked("bind", libc().bind(this.#receiver, this.#destination, this.#destination.length));
    this.#readable.add(this.#receiver, POLLIN);
  }

  async run(count: number): Promise<CourseResult> {
    let lastArrival = performance.now();
    while (this.#seen.size < count && performance.now() - lastArrival < PATIENCE) {
      for (let room = this.#room(count); room > 0; room = this.#room(count)) this.#sendSome(room);
      this.#readable.wait(POLL_TIME);
      if (this.#receiveAll()) lastArrival = performance.now();
      else await sleep(0);
    }
    // What comes twice may come late.
    await sleep(100);
    this.#receiveAll();
    return {
      sent: this.#next,
      received: this.#seen.size,
      repeated: this.#repeated.slice(0, 10),
      lost: [...this.#onTheWay.keys()].slice(0, 10),
      changed: this.#changed.slice(0, 10),
    };
  }

  close(): void {
    close(this.#sender);
    close(this.#receiver);
  }

  /** Datagrams of up to the full size that may be sent now. */
  #room(count: number): number {
    const bytes = Math.floor((WINDOW_BYTES - this.#bytesOnTheWay) / this.#fullSize);
    return Math.min(count - this.#next, WINDOW - this.#onTheWay.size, bytes);
  }

  #sendSome(most: number): void {
    const kind = this.#random(100);
    if (kind < 3) return this.#send(this.#fullSize + this.#random(LARGEST - this.#fullSize), 1);
    if (kind < 40) return this.#send(HEADER + this.#random(this.#fullSize - HEADER + 1), 1);
    const size = kind < 60 ? this.#fullSize : HEADER + this.#random(this.#fullSize - HEADER + 1);
    const run = 1 + this.#random(Math.min(most, 24));
    if (kind < 80) { for (let i = 0; i < run; i++) this.#send(size, 1); }
    else this.#send(size, Math.min(most, MOST_SEGMENTS, Math.floor(MOST_SEGMENT_BYTES / size)));
  }

  /** Sends `count` datagrams of one size as one message that the kernel is to cut; the last may be shorter. */
  #send(size: number, count: number): void {
    let length = 0;
    for (let i = 0; i < count; i++) {
      const own = i === count - 1 && count > 1 ? HEADER + this.#random(size - HEADER + 1) : size;
      write(this.#packet, length, own, this.#next);
      this.#onTheWay.set(this.#next++, own);
      this.#bytesOnTheWay += own;
      length += own;
    }
    setOption("UDP_SEGMENT", this.#sender, SOL_UDP, UDP_SEGMENT, count > 1 ? size : 0);
    const { length: addressLength } = this.#destination;
    const sent = libc().sendto(this.#sender, this.#packet, length, 0, this.#destination, addressLength);
    if (checked("sendto", sent) !== length) throw new Error(`${sent} of ${length} bytes were sent`);
  }

  /** @returns whether anything was there */
  #receiveAll(): boolean {
    let any = false;
    for (;;) {
      const length = libc().recv(this.#receiver, this.#arrived, this.#arrived.length, 0);
      if (length < 0) return any;
      any = true;
      this.#take(length);
    }
  }

  #take(length: number): void {
    const number = new DataView(this.#arrived.buffer).getUint32(0);
    const size = this.#onTheWay.get(number);
    if (length < HEADER || !isIntact(this.#arrived, length, number)) this.#changed.push(number);
    else if (this.#seen.has(number)) this.#repeated.push(number);
    else if (size !== length) this.#changed.push(number);
    else {
      this.#seen.add(number);
      this.#onTheWay.delete(number);
      this.#bytesOnTheWay -= length;
    }
  }

  /** From 0 to `limit` − 1, by xorshift32. */
  #random(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }
}

function socketOn(host: Host, family: number): number {
  const namespace = openNamespace(`/var/run/netns/${host.name}`);
  try {
    return inNamespace(namespace, () => createSocket(family, SOCK_DGRAM));
  } finally {
    close(namespace);
  }
}

function socketAddress(address: Uint8Array): Uint8Array<ArrayBuffer> {
  const isV4 = address.length === 4;
  const bytes = new Uint8Array(isV4 ? SOCKADDR_IN_BYTES : SOCKADDR_IN6_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(SOCKADDR_FAMILY, isV4 ? AF_INET : AF_INET6, true);
  view.setUint16(SOCKADDR_PORT, PORT);
  bytes.set(address, isV4 ? SOCKADDR_IN_ADDRESS : SOCKADDR_IN6_ADDRESS);
  return bytes;
}

function write(packet: Uint8Array<ArrayBuffer>, offset: number, length: number, number: number): void {
  const view = new DataView(packet.buffer, offset);
  view.setUint32(0, number);
  view.setUint32(4, length);
  for (let i = HEADER; i < length; i++) packet[offset + i] = byteOf(number, i);
}

function isIntact(packet: Uint8Array<ArrayBuffer>, length: number, number: number): boolean {
  if (new DataView(packet.buffer).getUint32(4) !== length) return false;
  for (let i = HEADER; i < length; i++) if (packet[i] !== byteOf(number, i)) return false;
  return true;
}

/** Different at every place of every datagram that could be taken for it. */
function byteOf(number: number, index: number): number {
  return (Math.imul(number, 0x9e3779b1) + Math.imul(index, 0x85ebca6b)) >>> 24;
}
