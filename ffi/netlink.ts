/**
 * Netlink sockets: one kind asks and waits for the answer, the other listens to multicast groups. They are kept apart
 * so that events never stand between a question and its answer. Both belong to the network namespace of the thread
 * that opens them, for good.
 *
 * struct sockaddr_nl: family u16 | pad u16 | port u32 | groups u32.
 */
import { checked, EAGAIN, EINTR, ENOBUFS, ETIMEDOUT, SyscallError } from "./errno.ts";
import { close } from "./file.ts";
import { errno, libc } from "./libc.ts";
import {
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLMSG_BYTES,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_FLAGS,
  NLMSG_NOOP,
  NLMSG_SEQUENCE,
  readText,
} from "./netlink_message.ts";
import { mapAttributes, type ReceivedMessage, splitMessages } from "./netlink_message.ts";
import { POLLIN, PollSet } from "./poll.ts";
import { AF_NETLINK, createSocket, MSG_PEEK, MSG_TRUNC, SOCK_RAW, trySetOption } from "./socket.ts";

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
export const NETLINK_GENERIC = 16;

const SOCKADDR_NL_PORT = 4;
const SOCKADDR_NL_GROUPS = 8;
const SOCKADDR_NL_BYTES = 12;

const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;

/** Of an NLMSG_ERROR message: attributes follow the header of the request. */
const NLM_F_ACK_TLVS = 0x200;
const ERROR_REQUEST = 4;
const ERROR_ATTRIBUTES = ERROR_REQUEST + NLMSG_BYTES;
const NLMSGERR_ATTR_MSG = 1;

/** The kernel answers within the send call; this only bounds a fault. */
const ANSWER_TIMEOUT = 5_000;
const DUMP_TRIES = 8;

/** A socket that asks. */
export class Netlink {
  readonly fd: number;
  readonly #receiver: Receiver;
  readonly #readable = new PollSet(1);
  #sequence = 0;

  /** Use `openNetlink`. */
  constructor(fd: number) {
    this.fd = fd;
    this.#receiver = new Receiver(fd);
    this.#readable.add(fd, POLLIN);
  }

  /**
   * Sends a request and waits for its acknowledgement.
   *
   * @param call for the error
   * @param message of `NetlinkMessage.finish`; its flags and sequence number are filled in
   * @returns what was answered before the acknowledgement
   * @throws {SyscallError} what the kernel answered, with its own words where it has any
   */
  request(call: string, message: Uint8Array<ArrayBuffer>): ReceivedMessage[] {
    return this.#exchange(call, message, NLM_F_ACK).messages;
  }

  /**
   * Asks for a list, again if it changed while it was read.
   *
   * @throws {SyscallError} also EINTR if it never stood still
   */
  dump(call: string, message: Uint8Array<ArrayBuffer>): ReceivedMessage[] {
    for (let attempt = 0; attempt < DUMP_TRIES; attempt++) {
      const { messages, isInterrupted } = this.#exchange(call, message, NLM_F_DUMP);
      if (!isInterrupted) return messages;
    }
    throw new SyscallError(call, EINTR, "the list kept changing while it was read");
  }

  /**
   * Sends messages that the kernel carries out all or not at all, as nfnetlink does between its two batch messages.
   *
   * @param messages the first opens the batch and the last closes it; they are not acknowledged
   * @throws {SyscallError} the first refusal
   */
  transact(call: string, messages: readonly Uint8Array<ArrayBuffer>[]): void {
    const first = this.#sequence + 1;
    const acknowledged = first + messages.length - 2;
    messages.forEach((message, i) => {
      const view = new DataView(message.buffer, message.byteOffset, message.length);
      const flags = view.getUint16(NLMSG_FLAGS, true);
      // One acknowledgement tells that all went well; refusals come unasked.
      view.setUint16(NLMSG_FLAGS, i === messages.length - 2 ? flags | NLM_F_ACK : flags, true);
      view.setUint32(NLMSG_SEQUENCE, this.#sequence = (this.#sequence + 1) >>> 0, true);
    });
    const whole = join(messages);
    checked(call, libc().send(this.fd, whole, whole.length, 0));
    this.#awaitTransaction(call, first, acknowledged);
  }

  close(): void {
    close(this.fd);
  }

  #awaitTransaction(call: string, first: number, acknowledged: number): void {
    const deadline = performance.now() + ANSWER_TIMEOUT;
    let refusal: SyscallError | null = null;
    let isAcknowledged = false;
    for (;;) {
      const datagram = this.#receiver.receive(call);
      if (datagram === null) {
        if (refusal !== null) throw refusal;
        if (isAcknowledged) return;
        const left = deadline - performance.now();
        if (left <= 0) throw new SyscallError(call, ETIMEDOUT, "the kernel did not answer");
        this.#readable.wait(left);
        continue;
      }
      for (const message of splitMessages(datagram)) {
        if (message.type !== NLMSG_ERROR || message.sequence < first) continue;
        refusal ??= refusalOf(call, message);
        if (message.sequence === acknowledged) isAcknowledged = true;
      }
    }
  }

  #exchange(call: string, message: Uint8Array<ArrayBuffer>, flags: number): Answer {
    const view = new DataView(message.buffer, message.byteOffset, message.length);
    const sequence = this.#sequence = (this.#sequence + 1) >>> 0;
    view.setUint16(NLMSG_FLAGS, view.getUint16(NLMSG_FLAGS, true) | flags, true);
    view.setUint32(NLMSG_SEQUENCE, sequence, true);
    checked(call, libc().send(this.fd, message, message.length, 0));
    const answer: Answer = { messages: [], isInterrupted: false };
    const deadline = performance.now() + ANSWER_TIMEOUT;
    for (;;) {
      const datagram = this.#receiver.receive(call);
      if (datagram !== null) {
        if (collect(call, datagram, sequence, answer)) return answer;
      } else {
        const left = deadline - performance.now();
        if (left <= 0) throw new SyscallError(call, ETIMEDOUT, "the kernel did not answer");
        this.#readable.wait(left);
      }
    }
  }
}

/** A socket that listens to groups; `fd` is readable when there is news. */
export class NetlinkListener {
  readonly fd: number;
  readonly #receiver: Receiver;

  /** Use `listenNetlink`. */
  constructor(fd: number) {
    this.fd = fd;
    this.#receiver = new Receiver(fd);
  }

  /**
   * The events of one datagram, null if none waits, or "overrun" if events were lost: then ask for the state anew.
   */
  read(): ReceivedMessage[] | null | "overrun" {
    try {
      const datagram = this.#receiver.receive("recv netlink");
      return datagram === null ? null : splitMessages(datagram);
    } catch (error) {
      if (error instanceof SyscallError && error.errno === ENOBUFS) return "overrun";
      throw error;
    }
  }

  close(): void {
    close(this.fd);
  }
}

/** A socket that asks, in the calling thread's network namespace. */
export function openNetlink(protocol = NETLINK_ROUTE): Netlink {
  return new Netlink(bindNetlink(protocol, 0));
}

/** A socket that listens, in the calling thread's network namespace. @param groups bit mask, RTMGRP_… */
export function listenNetlink(groups: number, protocol = NETLINK_ROUTE): NetlinkListener {
  return new NetlinkListener(bindNetlink(protocol, groups));
}

interface Answer {
  readonly messages: ReceivedMessage[];
  isInterrupted: boolean;
}

/** Sorts one datagram into the answer. @returns whether the answer is complete */
function collect(call: string, datagram: Uint8Array, sequence: number, answer: Answer): boolean {
  let isComplete = false;
  for (const message of splitMessages(datagram)) {
    // A late answer to a request that timed out.
    if (message.sequence !== sequence) continue;
    if ((message.flags & NLM_F_DUMP_INTR) !== 0) answer.isInterrupted = true;
    if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) {
      throwIfRefused(call, message);
      isComplete = true;
    } else if (message.type !== NLMSG_NOOP) {
      answer.messages.push(message);
    }
  }
  return isComplete;
}

function throwIfRefused(call: string, message: ReceivedMessage): void {
  const refusal = refusalOf(call, message);
  if (refusal !== null) throw refusal;
}

/** What an NLMSG_ERROR or NLMSG_DONE says, null if all is well. */
function refusalOf(call: string, message: ReceivedMessage): SyscallError | null {
  const { body } = message;
  const error = body.length < 4 ? 0 : new DataView(body.buffer, body.byteOffset).getInt32(0, true);
  if (error === 0) return null;
  let detail = "";
  if (message.type === NLMSG_ERROR && (message.flags & NLM_F_ACK_TLVS) !== 0) {
    detail = readText(mapAttributes(body, ERROR_ATTRIBUTES).get(NLMSGERR_ATTR_MSG));
  }
  return new SyscallError(call, -error, detail);
}

/** Netlink messages behind each other, each begun at a multiple of 4. */
function join(messages: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(messages.reduce((length, message) => length + ((message.length + 3) & ~3), 0));
  let at = 0;
  for (const message of messages) {
    whole.set(message, at);
    at += (message.length + 3) & ~3;
  }
  return whole;
}

function bindNetlink(protocol: number, groups: number): number {
  const fd = createSocket(AF_NETLINK, SOCK_RAW, protocol);
  try {
    // Refusals then come without the request but with words. Kernels before 4.12 answer in the old way.
    trySetOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
    trySetOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
    const address = new Uint8Array(SOCKADDR_NL_BYTES);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_NETLINK, true);
    view.setUint32(SOCKADDR_NL_GROUPS, groups, true);
    checked("bind netlink", libc().bind(fd, address, address.length));
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** Takes datagrams whole, however long, and only the kernel's. */
class Receiver {
  readonly #fd: number;
  readonly #sender = new Uint8Array(SOCKADDR_NL_BYTES);
  readonly #senderView = new DataView(this.#sender.buffer);
  readonly #senderLength = new Uint32Array(1);
  /** Grows to twice the longest datagram seen. */
  #buffer = new Uint8Array(2048);

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** A copy of the next datagram, or null if none waits. */
  receive(call: string): Uint8Array | null {
    for (;;) {
      const length = this.#take(MSG_PEEK | MSG_TRUNC);
      if (length === -EINTR) continue;
      if (length === -EAGAIN) return null;
      if (length < 0) throw new SyscallError(call, -length);
      if (length > this.#buffer.length) this.#buffer = new Uint8Array(2 * length);
      const taken = this.#take(0);
      if (taken < 0) throw new SyscallError(call, -taken);
      if (this.#senderView.getUint32(SOCKADDR_NL_PORT, true) === 0) return this.#buffer.slice(0, taken);
    }
  }

  #take(flags: number): number {
    this.#senderLength[0] = SOCKADDR_NL_BYTES;
    const buffer = this.#buffer;
    const result = libc().recvfrom(this.#fd, buffer, buffer.length, flags, this.#sender, this.#senderLength);
    return result < 0 ? -errno() : result;
  }
}
