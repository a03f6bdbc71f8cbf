/**
 * The datagram carrier: `Deno.listenDatagram`, dual-stack on `::`, IPv4 alone on a host without IPv6.
 *
 * What it cannot do: choose the source address, GSO and GRO, answer a link-local stranger (Deno does not tell the scope
 * of a sender). A mark, and leaving DF clear, it sets on its descriptor (datagram_options.ts); where that fails, a mark
 * is an error and not ignored.
 */
import { EADDRINUSE, EINVAL, EIO, EPERM, SyscallError } from "../ffi/errno.ts";
import { formatAddress, parseAddress } from "../tunnel/address_text.ts";
import {
  ENDPOINT_ADDRESS,
  ENDPOINT_BYTES,
  ENDPOINT_FAMILY,
  ENDPOINT_PORT,
  ENDPOINT_SCOPE,
  ENDPOINT_SOURCE_IFINDEX,
} from "../tunnel/endpoint.ts";
import type { DeviceTables } from "../tunnel/tables.ts";
import { type Arena, RECEIVE, RECEIVE_SLOT_BYTES, RECEIVE_SLOTS, SEND } from "./arena.ts";
import { clearDontFragment, markPort } from "./datagram_options.ts";
import type { SendFaults, UdpPort } from "./udp_port.ts";

/** Datagrams that wait for their turn; beyond, new ones are dropped. */
const MAX_QUEUED = 1024;
/** Senders' addresses kept as bytes; the cache starts anew when full. */
const MAX_CACHED_SENDERS = 4096;
/** A socket that cannot be read is tried again after this long. */
const RECEIVE_RETRY = 100;

/** The part of an endpoint record that says where to send to. */
const DESTINATION_BYTES = ENDPOINT_SOURCE_IFINDEX;

/** Told of each datagram: offset in the arena, its length, and the scratch endpoint slot of its sender. */
export type DatagramHandler = (offset: number, length: number, endpoint: number) => void;

/** Where an endpoint slot last sent to, as Deno wants it, and the bytes it was made from. */
interface Destination {
  readonly record: Uint8Array;
  readonly address: Deno.NetAddr;
}

interface QueuedDatagram {
  readonly datagram: Uint8Array<ArrayBuffer>;
  readonly to: Deno.NetAddr;
  readonly peer: number;
}

export class DatagramPort implements UdpPort {
  readonly carrier = "datagram";
  faults: SendFaults | null = null;
  /** Set once, before the first `open`. */
  onDatagram: DatagramHandler | null = null;

  readonly #arena: Arena;
  readonly #tables: DeviceTables;
  readonly #onFault: (error: unknown) => void;
  readonly #destinations = new Map<number, Destination>();
  readonly #senders = new Map<string, Uint8Array>();
  readonly #readers = new Set<Promise<void>>();
  #conn: Deno.DatagramConn | null = null;
  #port = 0;
  readonly #queue: QueuedDatagram[] = [];
  #isSending = false;
  #sending: Promise<void> = Promise.resolve();
  #generation = 0;

  /**
   * @param tables whose scratch endpoints 0 … RECEIVE_SLOTS − 1 this port fills
   * @param onFault told when the socket cannot be read
   */
  constructor(arena: Arena, tables: DeviceTables, onFault: (error: unknown) => void) {
    this.#arena = arena;
    this.#tables = tables;
    this.#onFault = onFault;
  }

  get port(): number {
    return this.#port;
  }

  open(port: number, mark: number): void {
    const conn = listen(port);
    const bound = (conn.addr as Deno.NetAddr).port;
    try {
      if (mark !== 0) markPort(bound, mark);
    } catch (error) {
      conn.close();
      throw error;
    }
    clearDontFragment(bound);
    this.close();
    this.#conn = conn;
    this.#port = bound;
    const reader = this.#read(conn, this.#generation++ % RECEIVE_SLOTS);
    this.#readers.add(reader);
    reader.finally(() => this.#readers.delete(reader));
  }

  setMark(mark: number): void {
    if (this.#conn !== null) markPort(this.#port, mark);
  }

  close(): void {
    this.#conn?.close();
    this.#conn = null;
    this.#port = 0;
  }

  /** Resolves when no socket is read or written any more; close first. */
  async settled(): Promise<void> {
    await Promise.all([this.#sending, ...this.#readers]);
  }

  // ── Sending ────────────────────────────────────────────────────────────────

  /** One datagram at a time lies here; `commit` copies it, for Deno may read it later. */
  reserve(_bytes: number): number {
    return SEND;
  }

  commit(length: number, endpoint: number, peer: number): void {
    const to = this.#destination(endpoint);
    if (to === null || this.#conn === null || this.#queue.length === MAX_QUEUED) {
      this.faults?.countUnsent(length, peer);
      return;
    }
    this.#queue.push({ datagram: this.#arena.bytes.slice(SEND, SEND + length), to, peer });
    if (!this.#isSending) this.#sending = this.#sendQueued();
  }

  flush(): void {}

  /** One after the other: of sends that Deno has at the same time, the last one may leave first. */
  async #sendQueued(): Promise<void> {
    this.#isSending = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      try {
        if (this.#conn === null) throw new Deno.errors.NotConnected();
        await this.#conn.send(next.datagram, next.to);
      } catch {
        // EPERM, ENETUNREACH, EMSGSIZE, EINVAL, or closed meanwhile: lost, as any datagram may be, and counted.
        this.faults?.countUnsent(next.datagram.length, next.peer);
      }
    }
    this.#isSending = false;
  }

  #destination(endpoint: number): Deno.NetAddr | null {
    const { endpoints } = this.#tables;
    const at = endpoint * ENDPOINT_BYTES;
    const known = this.#destinations.get(endpoint);
    if (known !== undefined && isEqual(known.record, endpoints, at)) return known.address;
    const record = endpoints.slice(at, at + DESTINATION_BYTES);
    const address = destinationAddress(record);
    if (address !== null) this.#destinations.set(endpoint, { record, address });
    return address;
  }

  // ── Receiving ──────────────────────────────────────────────────────────────

  /** Reads one socket until it is closed. Each has a buffer of its own, for the last one may still be read. */
  async #read(conn: Deno.DatagramConn, slot: number): Promise<void> {
    const offset = RECEIVE + slot * RECEIVE_SLOT_BYTES;
    const buffer = this.#arena.bytes.subarray(offset, offset + RECEIVE_SLOT_BYTES);
    const endpoint = this.#tables.capacity.peers + slot;
    while (this.#conn === conn) {
      try {
        const [datagram, from] = await conn.receive(buffer);
        if (this.#conn !== conn) return;
        if (this.#recordSender(from as Deno.NetAddr, endpoint)) this.onDatagram?.(offset, datagram.length, endpoint);
      } catch (error) {
        if (this.#conn !== conn) return;
        this.#onFault(error);
        await new Promise((resolve) => setTimeout(resolve, RECEIVE_RETRY));
      }
    }
  }

  /** Fills a scratch endpoint without a source. @returns false if the address is not one */
  #recordSender(from: Deno.NetAddr, endpoint: number): boolean {
    const address = this.#senders.get(from.hostname) ?? this.#cacheSender(from.hostname);
    if (address === null) return false;
    const { endpoints, endpointView } = this.#tables;
    const at = endpoint * ENDPOINT_BYTES;
    endpoints.fill(0, at, at + ENDPOINT_BYTES);
    endpointView.setUint16(at + ENDPOINT_FAMILY, address.length === 4 ? 4 : 6, true);
    endpointView.setUint16(at + ENDPOINT_PORT, from.port, true);
    endpoints.set(address, at + ENDPOINT_ADDRESS);
    return true;
  }

  #cacheSender(hostname: string): Uint8Array | null {
    const address = parseAddress(hostname);
    if (address === null) return null;
    if (this.#senders.size === MAX_CACHED_SENDERS) this.#senders.clear();
    const normal = unmapped(address);
    this.#senders.set(hostname, normal);
    return normal;
  }
}

/** `::` takes both families; it fails where IPv6 does not exist or is switched off. */
function listen(port: number): Deno.DatagramConn {
  try {
    return listenOn("::", port);
  } catch (error) {
    if (error instanceof SyscallError && error.errno === EADDRINUSE) throw error;
    return listenOn("0.0.0.0", port);
  }
}

function listenOn(hostname: string, port: number): Deno.DatagramConn {
  try {
    return Deno.listenDatagram({ transport: "udp", hostname, port });
  } catch (error) {
    throw new SyscallError(`bind port ${port}`, errnoOf(error), error instanceof Error ? error.message : "");
  }
}

function errnoOf(error: unknown): number {
  if (error instanceof Deno.errors.AddrInUse) return EADDRINUSE;
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) return EPERM;
  return error instanceof TypeError ? EINVAL : EIO;
}

/** @param record the first DESTINATION_BYTES of an endpoint record; null if it is empty */
function destinationAddress(record: Uint8Array): Deno.NetAddr | null {
  const view = new DataView(record.buffer, record.byteOffset);
  const family = view.getUint16(ENDPOINT_FAMILY, true);
  if (family === 0) return null;
  const length = family === 4 ? 4 : 16;
  const scope = view.getUint32(ENDPOINT_SCOPE, true);
  const text = formatAddress(record.slice(ENDPOINT_ADDRESS, ENDPOINT_ADDRESS + length));
  const hostname = scope === 0 ? text : `${text}%${scope}`;
  return { transport: "udp", hostname, port: view.getUint16(ENDPOINT_PORT, true) };
}

/** An IPv4-mapped IPv6 address as IPv4. */
function unmapped(address: Uint8Array): Uint8Array {
  if (address.length !== 16 || address[10] !== 0xff || address[11] !== 0xff) return address;
  return address.subarray(0, 10).every((byte) => byte === 0) ? address.slice(12) : address;
}

function isEqual(record: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < record.length; i++) {
    if (record[i] !== bytes[at + i]) return false;
  }
  return true;
}
