/** Makes bad messages out of good ones: changed, cut, lengthened, spliced, relabelled, or pure noise. */
import {
  DATA_RECEIVER,
  INIT_BYTES,
  RESP_BYTES,
  TYPE_COOKIE_REPLY,
  TYPE_DATA,
  TYPE_INITIATION,
  TYPE_RESPONSE,
} from "../../tunnel/messages.ts";
import { Random } from "../sim/random.ts";
import type { Target } from "./target.ts";

const MAX_DATAGRAM = 65_507;
/** One message in so many is of any length up to the largest. */
const LARGE_EVERY = 400;

export class Mutator {
  readonly #random: Random;
  readonly #target: Target;
  readonly #noise: Uint8Array;
  readonly #byType: Uint8Array[][];
  readonly #buffer = new Uint8Array(MAX_DATAGRAM + 64);

  constructor(seed: number, target: Target) {
    this.#random = new Random(seed);
    this.#target = target;
    this.#byType = [TYPE_INITIATION, TYPE_RESPONSE, TYPE_COOKIE_REPLY, TYPE_DATA].map((type) =>
      target.genuine.map(({ datagram }) => datagram).filter((datagram) => datagram[0] === type)
    );
    this.#noise = this.#random.bytes(2 * MAX_DATAGRAM);
  }

  /** A bad message, valid until the next call. */
  next(): Uint8Array {
    for (;;) {
      const message = this.#make();
      const needsMacs = message.length === INIT_BYTES || message.length === RESP_BYTES;
      // Half of the handshakes get past the first check.
      if (needsMacs && this.#random.chance(0.5)) this.#target.fixMacs(message);
      if (!this.#target.isGenuine(message)) return message;
    }
  }

  #make(): Uint8Array {
    const random = this.#random;
    switch (random.below(LARGE_EVERY)) {
      case 0:
        return this.#largeData();
      case 1:
        return this.#noiseOf(random.below(MAX_DATAGRAM + 1));
    }
    switch (random.below(9)) {
      case 0:
        return this.#noiseOf(random.below(256));
      case 1:
        return this.#labelledNoise();
      case 2:
        return this.#splice();
      case 3:
        return this.#resize();
      case 4:
        return this.#relabel();
      case 5:
        return this.#overwrite();
      default:
        return this.#flip();
    }
  }

  /** A genuine message, each type as often as the others. */
  #pick(): Uint8Array {
    return this.#random.pick(this.#byType[this.#random.below(this.#byType.length)]);
  }

  #copy(): Uint8Array {
    const datagram = this.#pick();
    this.#buffer.set(datagram);
    return this.#buffer.subarray(0, datagram.length);
  }

  #flip(): Uint8Array {
    const message = this.#copy();
    const flips = this.#random.chance(0.6) ? 1 : 1 + this.#random.below(8);
    for (let i = 0; i < flips; i++) message[this.#random.below(message.length)] ^= 1 << this.#random.below(8);
    return message;
  }

  /** A run of bytes becomes zeros, ones or noise. */
  #overwrite(): Uint8Array {
    const message = this.#copy();
    const start = this.#random.below(message.length);
    const end = start + 1 + this.#random.below(Math.min(48, message.length - start));
    const filling = this.#random.below(3);
    if (filling < 2) message.fill(filling * 255, start, end);
    else message.set(this.#noise.subarray(start, end), start);
    return message;
  }

  #resize(): Uint8Array {
    const message = this.#copy();
    const length = this.#random.chance(0.5)
      ? this.#random.below(message.length)
      : message.length + 1 + this.#random.below(64);
    for (let i = message.length; i < length; i++) this.#buffer[i] = this.#random.word();
    return this.#buffer.subarray(0, length);
  }

  /** The head of one message on the tail of another. */
  #splice(): Uint8Array {
    const message = this.#copy();
    const datagram = this.#pick();
    const at = this.#random.below(Math.min(message.length, datagram.length));
    this.#buffer.set(datagram.subarray(at), at);
    return this.#buffer.subarray(0, datagram.length);
  }

  /** Another type, or reserved bytes. */
  #relabel(): Uint8Array {
    const message = this.#copy();
    message[this.#random.chance(0.7) ? 0 : this.#random.below(4)] = this.#random.below(256);
    return message;
  }

  #noiseOf(length: number): Uint8Array {
    const from = this.#random.below(MAX_DATAGRAM);
    this.#buffer.set(this.#noise.subarray(from, from + length));
    return this.#buffer.subarray(0, length);
  }

  /** Noise with a proper type and length, and often a receiver index that exists. */
  #labelledNoise(): Uint8Array {
    const type = 1 + this.#random.below(4);
    const length = [0, INIT_BYTES, RESP_BYTES, 64, 16 + this.#random.below(200)][type];
    const message = this.#noiseOf(length);
    message.fill(0, 0, 4);
    message[0] = type;
    const [genuine] = this.#byType[type - 1];
    const at = type === TYPE_RESPONSE ? 8 : 4;
    if (type !== TYPE_INITIATION && this.#random.chance(0.8)) message.set(genuine.subarray(at, at + 4), at);
    return message;
  }

  /** Data for a live session, of any length. */
  #largeData(): Uint8Array {
    const message = this.#noiseOf(16 + this.#random.below(MAX_DATAGRAM - 15));
    const [genuine] = this.#byType[TYPE_DATA - 1];
    message.set(genuine.subarray(0, DATA_RECEIVER + 4));
    return message;
  }
}
