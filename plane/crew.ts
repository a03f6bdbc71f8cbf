/**
 * How the owner, the worker with the device, gives its helpers their sockets and takes them back: it writes an order
 * and waits until each has followed it. Only then old sockets are closed, so that no helper reads a descriptor that has
 * become something else.
 *
 * ```
 * per helper, a cache line: order i32 | followed i32 | descriptor IPv4 i32 | descriptor IPv6 i32
 * ```
 *
 * Descriptors of -1 and -1 mean that there is nothing to do: the link is down.
 */
import { signalEventfd } from "../ffi/eventfd.ts";
import { closeUdpPair, openUdpPair, shareUdpPair, type UdpPair } from "../ffi/udp.ts";
import { CLOSED, enableGroOf, markAll, type UdpSockets, type UseSockets } from "./udp_sockets.ts";

const LINE = 16;
const ORDER = 0;
const FOLLOWED = 1;
const DESCRIPTOR_4 = 2;
const DESCRIPTOR_6 = 3;

/** In place of the order followed: the helper has ended. */
const ENDED = -1;
/** A helper's pass takes milliseconds. */
const FOLLOW_TIMEOUT = 5_000;

export function crewBytes(helpers: number): number {
  return 4 * LINE * helpers;
}

/** The owner's side. */
export class Crew {
  readonly #words: Int32Array;
  readonly #eventDescriptors: readonly number[];
  #order = 0;

  /** @param eventDescriptors each helper's */
  constructor(buffer: SharedArrayBuffer, eventDescriptors: readonly number[]) {
    this.#words = new Int32Array(buffer);
    this.#eventDescriptors = eventDescriptors;
  }

  get size(): number {
    return this.#eventDescriptors.length;
  }

  /** Returns when each helper uses its pair, and none before. @throws Error if one does not answer */
  assign(pairs: readonly UdpPair[]): void {
    const order = ++this.#order;
    for (const [helper, eventDescriptor] of this.#eventDescriptors.entries()) {
      const at = helper * LINE;
      Atomics.store(this.#words, at + DESCRIPTOR_4, pairs[helper].fd4);
      Atomics.store(this.#words, at + DESCRIPTOR_6, pairs[helper].fd6);
      Atomics.store(this.#words, at + ORDER, order);
      signalEventfd(eventDescriptor);
    }
    for (let helper = 0; helper < this.size; helper++) this.#await(helper * LINE + FOLLOWED, order);
  }

  #await(at: number, order: number): void {
    for (;;) {
      const followed = Atomics.load(this.#words, at);
      if (followed === order || followed === ENDED) return;
      if (Atomics.wait(this.#words, at, followed, FOLLOW_TIMEOUT) === "timed-out") {
        throw new Error("A helper of the data plane does not answer");
      }
    }
  }
}

/** A helper's side. */
export class CrewMember {
  readonly #words: Int32Array;
  readonly #at: number;

  constructor(buffer: SharedArrayBuffer, helper: number) {
    this.#words = new Int32Array(buffer);
    this.#at = helper * LINE;
  }

  /** Hands a new order to `use`, if there is one, and tells the owner that it is followed. */
  follow(use: UseSockets): void {
    const order = Atomics.load(this.#words, this.#at + ORDER);
    if (order === Atomics.load(this.#words, this.#at + FOLLOWED)) return;
    const fd4 = Atomics.load(this.#words, this.#at + DESCRIPTOR_4);
    const fd6 = Atomics.load(this.#words, this.#at + DESCRIPTOR_6);
    use({ fd4, fd6, port: 0 });
    this.#tell(order);
  }

  /** Nobody need wait for this helper any more: it uses no sockets. */
  end(): void {
    this.#tell(ENDED);
  }

  #tell(followed: number): void {
    Atomics.store(this.#words, this.#at + FOLLOWED, followed);
    Atomics.notify(this.#words, this.#at + FOLLOWED);
  }
}

/** A pair of sockets for the owner and each helper, all on one port: the kernel spreads the peers over them. */
export class CrewSockets implements UdpSockets {
  readonly #crew: Crew;
  readonly #usesGro: boolean;
  readonly #nothing: readonly UdpPair[];
  /** The owner's pair first. */
  #pairs: readonly UdpPair[] = [];
  #mark = 0;

  constructor(crew: Crew, usesGro: boolean) {
    this.#crew = crew;
    this.#usesGro = usesGro;
    this.#nothing = Array.from({ length: crew.size }, () => CLOSED);
  }

  open(port: number, mark: number, use: UseSockets): void {
    const pairs = openAll(port, mark, 1 + this.#crew.size);
    if (this.#usesGro) pairs.forEach(enableGroOf);
    use(pairs[0]);
    this.#crew.assign(pairs.slice(1));
    this.#replace(pairs);
    this.#mark = mark;
  }

  setMark(mark: number): void {
    markAll(this.#pairs, this.#mark, mark);
    this.#mark = mark;
  }

  close(use: UseSockets): void {
    use(CLOSED);
    if (this.#pairs.length > 0) this.#crew.assign(this.#nothing);
    this.#replace([]);
  }

  #replace(pairs: readonly UdpPair[]): void {
    this.#pairs.forEach(closeUdpPair);
    this.#pairs = pairs;
  }
}

/** The first pair must have the port to itself: another program's, even one that would share, is not ours to join. */
function openAll(port: number, mark: number, count: number): UdpPair[] {
  const pairs = [openUdpPair(port, { mark })];
  try {
    shareUdpPair(pairs[0]);
    while (pairs.length < count) pairs.push(openUdpPair(pairs[0].port, { mark, reusePort: true }));
    return pairs;
  } catch (error) {
    pairs.forEach(closeUdpPair);
    throw error;
  }
}
