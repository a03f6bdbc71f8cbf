/**
 * One question to one name server, over UDP or TCP, from sockets with a mark: so it goes past the tunnel, and past the
 * kill switch, like the tunnel's own packets. A connected UDP socket has a random port of the kernel's choice and takes
 * nothing but what comes from the server's address; that the server is not there, it learns at once.
 */
import { EAGAIN, EINPROGRESS, EINTR, SyscallError } from "../ffi/errno.ts";
import { close } from "../ffi/file.ts";
import { POLLIN, POLLOUT, PollSet } from "../ffi/poll.ts";
import {
  AF_INET,
  AF_INET6,
  connectSocket,
  createSocket,
  receiveBytes,
  sendBytes,
  SOCK_DGRAM,
  SOCK_STREAM,
} from "../ffi/socket.ts";
import { setMark } from "../ffi/udp.ts";
import { parseAddress } from "../tunnel/address_text.ts";
import { type DnsAnswer, readAnswer } from "./resolver_message.ts";
import { linkIndex } from "./host_link.ts";

export const DNS_PORT = 53;

const MAX_UDP_BYTES = 65_535;
/** Datagrams that are no answer to the question, before we give up: somebody is guessing. */
const MAX_STRAY_DATAGRAMS = 64;
/** Over TCP a message follows its length. */
const LENGTH_BYTES = 2;

/** Where questions go. */
export interface DnsServer {
  /** 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly scope: number;
  readonly port: number;
}

export interface ExchangeOptions {
  /** SO_MARK, 0 for none. */
  readonly mark: number;
  /** Milliseconds for all of it. */
  readonly timeout: number;
  /** Readable when everything is to end. */
  readonly endDescriptor: number;
}

/** The server that a line of resolv.conf means; null if its zone is no interface here. */
export function dnsServer(text: string, port: number = DNS_PORT): DnsServer | null {
  const [plain, zone] = text.split("%");
  const address = parseAddress(plain);
  if (address === null) return null;
  const scope = zone === undefined ? 0 : /^\d+$/.test(zone) ? Number(zone) : linkIndex(zone);
  return zone !== undefined && scope === 0 ? null : { address, scope, port };
}

/**
 * The answer of a server, over TCP if it is too long for UDP.
 *
 * @param question of `encodeQuestion`
 * @returns null if none came in time, or the server cannot be reached
 */
export async function ask(
  server: DnsServer,
  question: Uint8Array<ArrayBuffer>,
  options: ExchangeOptions,
): Promise<DnsAnswer | null> {
  const deadline = performance.now() + options.timeout;
  const answer = await onSocket(SOCK_DGRAM, server, options, (socket) => overUdp(socket, question, deadline));
  if (answer?.kind !== "truncated") return answer;
  return await onSocket(SOCK_STREAM, server, options, (socket) => overTcp(socket, question, deadline));
}

/** A socket that can be waited for. */
class Waiting {
  readonly fd: number;
  readonly #set = new PollSet(2);
  readonly #slot: number;
  readonly #end: number;

  constructor(fd: number, endDescriptor: number) {
    this.fd = fd;
    this.#slot = this.#set.add(fd, POLLIN);
    this.#end = this.#set.add(endDescriptor, POLLIN);
  }

  /** @returns false if the time is over, or all is to end */
  async until(events: number, deadline: number): Promise<boolean> {
    this.#set.setEvents(this.#slot, events);
    const left = deadline - performance.now();
    if (left <= 0) return false;
    await this.#set.waitAsync(left);
    return this.#set.revents(this.#end) === 0 && this.#set.revents(this.#slot) !== 0;
  }
}

/** What cannot be reached does not answer. */
async function onSocket(
  type: number,
  { address, scope, port }: DnsServer,
  { mark, endDescriptor }: ExchangeOptions,
  use: (socket: Waiting) => Promise<DnsAnswer | null>,
): Promise<DnsAnswer | null> {
  let fd = -1;
  try {
    fd = createSocket(address.length === 4 ? AF_INET : AF_INET6, type);
    if (mark !== 0) setMark(fd, mark);
    const fault = connectSocket(fd, address, port, scope);
    if (fault !== 0 && fault !== EINPROGRESS) return null;
    return await use(new Waiting(fd, endDescriptor));
  } catch (error) {
    // A family that the host lacks, no descriptor left, a mark that is refused: the next server may do.
    if (error instanceof SyscallError) return null;
    throw error;
  } finally {
    if (fd >= 0) close(fd);
  }
}

async function overUdp(
  socket: Waiting,
  question: Uint8Array<ArrayBuffer>,
  deadline: number,
): Promise<DnsAnswer | null> {
  const buffer = new Uint8Array(MAX_UDP_BYTES);
  if (sendBytes(socket.fd, question) < 0) return null;
  for (let strays = 0; strays < MAX_STRAY_DATAGRAMS;) {
    const length = receiveBytes(socket.fd, buffer);
    if (length === -EINTR) continue;
    if (length === -EAGAIN) {
      if (!await socket.until(POLLIN, deadline)) return null;
      continue;
    }
    if (length < 0) return null;
    const answer = readAnswer(buffer.subarray(0, length), question);
    if (answer !== null) return answer;
    strays++;
  }
  return null;
}

async function overTcp(
  socket: Waiting,
  question: Uint8Array<ArrayBuffer>,
  deadline: number,
): Promise<DnsAnswer | null> {
  if (!await socket.until(POLLOUT, deadline)) return null;
  const request = new Uint8Array(LENGTH_BYTES + question.length);
  new DataView(request.buffer).setUint16(0, question.length);
  request.set(question, LENGTH_BYTES);
  // So short that it goes out as a whole.
  if (sendBytes(socket.fd, request) !== request.length) return null;
  const header = await readExactly(socket, LENGTH_BYTES, deadline);
  if (header === null) return null;
  const message = await readExactly(socket, (header[0] << 8) | header[1], deadline);
  return message === null ? null : readAnswer(message, question);
}

/** Null if the connection ends before, or the time. */
async function readExactly(socket: Waiting, length: number, deadline: number): Promise<Uint8Array | null> {
  const bytes = new Uint8Array(length);
  for (let have = 0; have < length;) {
    const read = receiveBytes(socket.fd, bytes.subarray(have));
    if (read > 0) have += read;
    else if (read === 0 || (read !== -EAGAIN && read !== -EINTR)) return null;
    else if (!await socket.until(POLLIN, deadline)) return null;
  }
  return bytes;
}
