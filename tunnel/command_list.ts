/**
 * Device commands as bytes, to be kept by the thousand and to cross a thread.
 *
 * ```
 * op u8 | peer u32 | value: 32 key bytes, 48-byte record, u32, u8, nothing
 *                  |        or, of an allowed IP: prefix length u8, address bytes u8, address
 * ```
 *
 * A command without a key to set has an op of its own.
 */
import { concat } from "../crypto/bytes.ts";
import type { DeviceCommand } from "./commands.ts";
import { ENDPOINT_BYTES } from "./endpoint.ts";
import { KEY_BYTES } from "./limits.ts";
import { type Codec, Cursor, Packed, PackedList } from "./packed_list.ts";

/** Operations by number. */
const OPS: readonly DeviceCommand["op"][] = [
  "private-key",
  "add-peer",
  "remove-peer",
  "preshared-key",
  "endpoint",
  "keepalive",
  "allowed-ip",
  "remove-allowed-ip",
  "clear-allowed-ips",
  "peer-configured",
  "begin-candidates",
  "candidate",
  "end-candidates",
  "forget-candidates",
  "path-changed",
];
const ALLOWED_IP = OPS.indexOf("allowed-ip");
const NO_ADDRESS: Uint8Array = new Uint8Array(0);
/** Added to the number of an operation whose key is null. */
const NO_KEY = 128;
const DEVICE = 0;

/** An empty list. */
export function commandList(): PackedList<DeviceCommand> {
  return new PackedList(CODEC);
}

/** A copy of commands as bytes. */
export function packCommands(commands: Iterable<DeviceCommand>): ArrayBuffer {
  if (commands instanceof Packed) return new Uint8Array(commands.bytes).buffer;
  const list = commandList();
  for (const command of commands) list.push(command);
  const packed = new Uint8Array(concat(...Array.from(list.pieces(), ({ bytes }) => bytes))).buffer;
  list.clear();
  return packed;
}

/**
 * What `packCommands` packed, once. A command is good until the next one is taken; its key shares the bytes.
 *
 * Allowed IPs come in one object that is used again: nearly all of a large request are allowed IPs, and the data plane's
 * thread, which seldom rests, would keep what they leave behind for long (10,000 peers: 30 MB).
 */
export function unpackCommands(bytes: Uint8Array): Iterable<DeviceCommand> {
  return new Unpacking(bytes);
}

class Unpacking implements Iterable<DeviceCommand>, Iterator<DeviceCommand, undefined> {
  readonly #bytes: Uint8Array;
  readonly #from: Cursor;
  readonly #allowedIp = { op: "allowed-ip" as const, peer: 0, address: NO_ADDRESS, cidr: 0 };
  readonly #ipv4: Uint8Array = new Uint8Array(4);
  readonly #ipv6: Uint8Array = new Uint8Array(16);
  readonly #result: { done: false; value: DeviceCommand } = { done: false, value: this.#allowedIp };

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#from = new Cursor(bytes);
  }

  [Symbol.iterator](): Iterator<DeviceCommand, undefined> {
    return this;
  }

  next(): IteratorResult<DeviceCommand, undefined> {
    const from = this.#from;
    if (from.at >= this.#bytes.length) return { done: true, value: undefined };
    this.#result.value = this.#bytes[from.at] === ALLOWED_IP ? this.#readAllowedIp(from) : CODEC.read(from);
    return this.#result;
  }

  #readAllowedIp(from: Cursor): DeviceCommand {
    const command = this.#allowedIp;
    from.u8();
    command.peer = from.u32();
    command.cidr = from.u8();
    command.address = from.u8() === 4 ? this.#ipv4 : this.#ipv6;
    from.copy(command.address);
    return command;
  }
}

const CODEC: Codec<DeviceCommand> = {
  write(command: DeviceCommand, to: Cursor): void {
    to.putU8(OPS.indexOf(command.op) + ("key" in command && command.key === null ? NO_KEY : 0));
    to.putU32(command.op === "private-key" ? DEVICE : command.peer);
    switch (command.op) {
      case "private-key":
      case "preshared-key":
        if (command.key !== null) to.put(command.key);
        return;
      case "add-peer":
        return to.put(command.publicKey);
      case "endpoint":
      case "candidate":
        return to.put(command.record);
      case "end-candidates":
        return to.putU8(command.isSilent ? 1 : 0);
      case "path-changed":
        return to.putU8(command.keepsSource ? 1 : 0);
      case "keepalive":
        return to.putU32(command.seconds);
      case "allowed-ip":
      case "remove-allowed-ip":
        to.putU8(command.cidr);
        to.putU8(command.address.length);
        to.put(command.address);
    }
  },
  read(from: Cursor): DeviceCommand {
    const number = from.u8();
    const op = OPS[number % NO_KEY];
    const peer = from.u32();
    switch (op) {
      case "private-key":
        return { op, key: number < NO_KEY ? from.take(KEY_BYTES) : null };
      case "preshared-key":
        return { op, peer, key: number < NO_KEY ? from.take(KEY_BYTES) : null };
      case "add-peer":
        return { op, peer, publicKey: from.take(KEY_BYTES) };
      case "endpoint":
      case "candidate":
        return { op, peer, record: from.take(ENDPOINT_BYTES) };
      case "end-candidates":
        return { op, peer, isSilent: from.u8() === 1 };
      case "path-changed":
        return { op, peer, keepsSource: from.u8() === 1 };
      case "keepalive":
        return { op, peer, seconds: from.u32() };
      case "allowed-ip":
      case "remove-allowed-ip": {
        const cidr = from.u8();
        return { op, peer, address: from.take(from.u8()), cidr };
      }
      default:
        return { op, peer };
    }
  },
};
