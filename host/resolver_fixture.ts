/** A name server for tests: it answers over UDP and TCP what it is told to, also what no honest one would. */
import { parseAddress } from "../tunnel/address_text.ts";
import { TYPE_A, TYPE_AAAA } from "./resolver_message.ts";

const TYPE_CNAME = 5;
const HEADER_BYTES = 12;

export interface Question {
  readonly id: number;
  /** Without a final dot, as it was asked. */
  readonly name: string;
  readonly type: number;
  readonly overTcp: boolean;
  /** The whole message. */
  readonly message: Uint8Array;
}

export interface Reply {
  /** Of the answer section; an address, or after `=` the name that this one stands for. */
  readonly records?: readonly { readonly name: string; readonly value: string; readonly ttl: number }[];
  /** 2 is SERVFAIL, 3 NXDOMAIN. */
  readonly code?: number;
  readonly isTruncated?: boolean;
}

/** Datagrams to answer with; none leaves the question open. */
export type Answerer = (question: Question) => readonly Uint8Array[];

export class TestNameServer implements AsyncDisposable {
  /** Questions so far, as `name type`. */
  readonly asked: string[] = [];
  readonly port: number;
  readonly #datagrams: Deno.DatagramConn;
  readonly #streams: Deno.Listener;
  readonly #running: Promise<unknown>;

  /** @param port 0 chooses one */
  constructor(answer: Answerer, hostname = "127.0.0.1", port = 0) {
    this.#datagrams = Deno.listenDatagram({ transport: "udp", hostname, port });
    this.port = (this.#datagrams.addr as Deno.NetAddr).port;
    this.#streams = Deno.listen({ transport: "tcp", hostname, port: this.port });
    this.#running = Promise.all([this.#serveDatagrams(answer), this.#serveStreams(answer)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#datagrams.close();
    this.#streams.close();
    await this.#running;
  }

  async #serveDatagrams(answer: Answerer): Promise<void> {
    for await (const [message, from] of this.#datagrams) {
      for (const reply of answer(this.#take(message, false))) await this.#datagrams.send(reply, from);
    }
  }

  async #serveStreams(answer: Answerer): Promise<void> {
    for await (const connection of this.#streams) {
      const buffer = new Uint8Array(1024);
      const length = await connection.read(buffer) ?? 0;
      for (const reply of answer(this.#take(buffer.slice(2, length), true))) {
        const whole = new Uint8Array(2 + reply.length);
        new DataView(whole.buffer).setUint16(0, reply.length);
        whole.set(reply, 2);
        // In two pieces, as a network may.
        await connection.write(whole.subarray(0, 3));
        await connection.write(whole.subarray(3));
      }
      connection.close();
    }
  }

  #take(message: Uint8Array, overTcp: boolean): Question {
    const labels: string[] = [];
    let at = HEADER_BYTES;
    for (; message[at] !== 0; at += 1 + message[at]) {
      labels.push(new TextDecoder().decode(message.subarray(at + 1, at + 1 + message[at])));
    }
    const view = new DataView(message.buffer, message.byteOffset, message.length);
    const question = {
      id: view.getUint16(0),
      name: labels.join("."),
      type: view.getUint16(at + 1),
      overTcp,
      message: message.slice(0, at + 5),
    };
    this.asked.push(`${question.name} ${question.type === TYPE_A ? "A" : "AAAA"}`);
    return question;
  }
}

/** A message that answers a question; names in it are written out, but the question's own, which are pointed to. */
export function answerTo(question: Question, { records = [], code = 0, isTruncated = false }: Reply): Uint8Array {
  const bytes = [...question.message];
  bytes[2] = 0x81 | (isTruncated ? 0x02 : 0);
  bytes[3] = 0x80 | code;
  bytes.splice(4, 8, 0, 1, 0, records.length, 0, 0, 0, 0);
  for (const { name, value, ttl } of records) {
    const [type, data] = value.startsWith("=") ? [TYPE_CNAME, encodeName(value.slice(1))] : encodeAddress(value);
    bytes.push(...(name === question.name ? [0xc0, HEADER_BYTES] : encodeName(name)));
    bytes.push(0, type, 0, 1, ...[24, 16, 8, 0].map((shift) => (ttl >>> shift) & 0xff), 0, data.length, ...data);
  }
  return Uint8Array.from(bytes);
}

/** An answerer for names with addresses; others do not exist. */
export function zone(names: Readonly<Record<string, readonly string[]>>, ttl: number): Answerer {
  return (question) => {
    const values = names[question.name.toLowerCase()];
    if (values === undefined) return [answerTo(question, { code: 3 })];
    const fitting = values.filter((value) => value.startsWith("=") || encodeAddress(value)[0] === question.type);
    return [answerTo(question, { records: fitting.map((value) => ({ name: question.name, value, ttl })) })];
  };
}

export function encodeName(name: string): number[] {
  return [...name.split(".").flatMap((label) => [label.length, ...new TextEncoder().encode(label)]), 0];
}

function encodeAddress(text: string): [number, number[]] {
  const bytes = parseAddress(text);
  if (bytes === null) throw new RangeError(`${text} is no address`);
  return [bytes.length === 4 ? TYPE_A : TYPE_AAAA, [...bytes]];
}
