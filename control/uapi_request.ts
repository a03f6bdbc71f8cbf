/**
 * Requests of the UAPI: from bytes to statements and back.
 *
 * ```
 * get=1 ⏎ ⏎
 * set=1 ⏎ device lines, then per peer: public_key=… ⏎ peer lines … ⏎ ⏎
 * ```
 *
 * A request is read to its empty line before anything of it is applied; what is wrong with it, first fault first, is
 * a number that the reply carries. After a fault the rest of the request is skipped, so the connection stays in step.
 *
 * Spec: https://www.wireguard.com/xplatform/#configuration-protocol
 */
import { wipe } from "../crypto/bytes.ts";
import { formatAddress, formatEndpoint, parseEndpoint, parsePrefix } from "../tunnel/address_text.ts";
import { ENDPOINT_BYTES } from "../tunnel/endpoint.ts";
import type { PackedList } from "../tunnel/packed_list.ts";
import { statementList } from "./statement_list.ts";
import {
  type DeviceExtension,
  deviceExtension,
  type PeerExtension,
  peerExtension,
  writeExtension,
} from "./uapi_extension.ts";
import { isText, LineBuffer, LineWriter, MAX_LINE_BYTES, readKey, readNumber, readText } from "./uapi_line.ts";

// Error numbers of replies, as Linux counts them.
export const EIO = 5;
export const E2BIG = 7;
export const EINVAL = 22;
export const ENOSPC = 28;
/** What wireguard-go answers for faults that have no number. */
export const ENOANO = 55;
export const EPROTO = 71;
export const EADDRINUSE = 98;

/** A longer request is not read on: its connection is closed. 65,536 peers with ten allowed IPs each need 36 MB. */
export const MAX_REQUEST_BYTES = 64 * 1024 * 1024;
/** Lines of one request. */
export const MAX_STATEMENTS = 1 << 20;

/** One line of a set request; keys have the UAPI's names. Peer statements follow the public_key they belong to. */
export type SetStatement =
  /** 32 secret bytes; zeros remove the key. */
  | { readonly key: "private_key"; readonly value: Uint8Array }
  | { readonly key: "listen_port"; readonly value: number }
  | { readonly key: "fwmark"; readonly value: number }
  | { readonly key: "replace_peers" }
  | { readonly key: "public_key"; readonly value: Uint8Array }
  | { readonly key: "remove" }
  | { readonly key: "update_only" }
  /** 32 secret bytes; zeros remove the key. */
  | { readonly key: "preshared_key"; readonly value: Uint8Array }
  /** A 48-byte record of endpoint.ts. */
  | { readonly key: "endpoint"; readonly value: Uint8Array }
  /** Seconds, 0 = off. */
  | { readonly key: "persistent_keepalive_interval"; readonly value: number }
  | { readonly key: "replace_allowed_ips" }
  /** `address` has 4 or 16 bytes, host bits cleared. */
  | { readonly key: "allowed_ip"; readonly address: Uint8Array; readonly cidr: number; readonly remove: boolean }
  | { readonly key: "protocol_version" }
  | DeviceExtension
  | PeerExtension;

/** A whole request. `errno` is 0 or positive; with a fault there are no statements. */
export type UapiRequest =
  | { readonly op: "get"; readonly errno: number }
  | { readonly op: "set"; readonly errno: number; readonly statements: PackedList<SetStatement> }
  /** Not a request at all, or an endless one: the connection is closed without a reply, as by wireguard-go. */
  | { readonly op: "unknown" };

/** The index of a network interface by its name, null if there is none: for zones like `fe80::1%eth0`. */
export type InterfaceIndex = (name: string) => number | null;

/** Reads the requests of one connection, one after the other. */
export class RequestReader {
  readonly #lines = new LineBuffer();
  readonly #interfaceIndex: InterfaceIndex | undefined;
  #op: "" | "get" | "set" = "";
  #statements = statementList();
  #errno = 0;
  #inPeer = false;
  #held = 0;
  #request: UapiRequest | null = null;

  constructor(interfaceIndex?: InterfaceIndex) {
    this.#interfaceIndex = interfaceIndex;
  }

  /** Bytes taken of a request that is not complete. */
  get held(): number {
    return this.#held;
  }

  /**
   * Reads on in `bytes[from … to)`, at most to the end of one request.
   *
   * @returns the offset after what was taken; call `request()` then
   */
  feed(bytes: Uint8Array, from: number, to: number): number {
    const next = this.#lines.feed(bytes, from, to, (line, start, end) => this.#line(line, start, end));
    this.#held += next - from;
    if (this.#request !== null) this.#held = 0;
    else if (this.#held > MAX_REQUEST_BYTES) this.#giveUp();
    return next;
  }

  /** The request that the last `feed` completed, once; else null. Its statements are now the caller's to clear. */
  request(): UapiRequest | null {
    const request = this.#request;
    this.#request = null;
    return request;
  }

  /** Erases what was read of an incomplete request. */
  wipe(): void {
    this.#lines.wipe();
    this.#statements.clear();
    if (this.#request?.op === "set") this.#request.statements.clear();
    this.#finish(null);
    this.#held = 0;
  }

  #finish(request: UapiRequest | null): void {
    this.#request = request;
    this.#op = "";
    this.#statements = statementList();
    this.#errno = 0;
    this.#inPeer = false;
  }

  #giveUp(): void {
    this.wipe();
    this.#finish({ op: "unknown" });
  }

  #line(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#op === "") return this.#operation(bytes, start, end);
    if (start === end) {
      const errno = this.#errno;
      this.#finish(this.#op === "get" ? { op: "get", errno } : { op: "set", errno, statements: this.#statements });
      return false;
    }
    if (this.#errno === 0) {
      if (this.#op === "get") this.#errno = EINVAL;
      else this.#setLine(bytes, start, end);
    }
    return true;
  }

  #operation(bytes: Uint8Array, start: number, end: number): boolean {
    if (isText(bytes, start, end, "get=1")) this.#op = "get";
    else if (isText(bytes, start, end, "set=1")) this.#op = "set";
    else this.#finish({ op: "unknown" });
    return this.#op !== "";
  }

  #setLine(bytes: Uint8Array, start: number, end: number): void {
    const statement = this.#statements.length === MAX_STATEMENTS ? E2BIG : this.#parse(bytes, start, end);
    if (typeof statement !== "number") {
      this.#statements.push(statement);
      wipeStatements([statement]);
      return;
    }
    this.#errno = statement;
    this.#statements.clear();
  }

  #parse(bytes: Uint8Array, start: number, end: number): SetStatement | number {
    if (end - start > MAX_LINE_BYTES) return EINVAL;
    const equals = bytes.indexOf(61, start);
    if (equals === -1 || equals >= end) return EPROTO;
    const key = readText(bytes, start, equals);
    if (key === "public_key") {
      this.#inPeer = true;
      const value = readKey(bytes, equals + 1, end);
      return value === null ? EINVAL : { key, value };
    }
    const statement = this.#inPeer
      ? peerStatement(key, bytes, equals + 1, end, this.#interfaceIndex)
      : deviceStatement(key, bytes, equals + 1, end);
    return statement ?? EINVAL;
  }
}

/** The bytes of a set request. They hold its keys: wipe them once sent. */
export function serializeSet(statements: readonly SetStatement[]): Uint8Array {
  const writer = new LineWriter();
  writer.text("set", "1");
  for (const statement of statements) writeStatement(writer, statement);
  writer.end();
  return writer.take();
}

/** Zeroes the secret keys of statements. */
export function wipeStatements(statements: Iterable<SetStatement>): void {
  for (const statement of statements) {
    if (statement.key === "private_key" || statement.key === "preshared_key") wipe(statement.value);
  }
}

function deviceStatement(key: string, bytes: Uint8Array, start: number, end: number): SetStatement | null {
  switch (key) {
    case "private_key": {
      const value = readKey(bytes, start, end);
      return value && { key, value };
    }
    case "listen_port":
    case "fwmark": {
      const value = readNumber(bytes, start, end, key === "fwmark" ? 0xffffffff : 0xffff);
      return value < 0 ? null : { key, value };
    }
    case "replace_peers":
      return isText(bytes, start, end, "true") ? { key } : null;
    default:
      return deviceExtension(key, bytes, start, end);
  }
}

function peerStatement(
  key: string,
  bytes: Uint8Array,
  start: number,
  end: number,
  interfaceIndex: InterfaceIndex | undefined,
): SetStatement | null {
  switch (key) {
    case "remove":
    case "update_only":
    case "replace_allowed_ips":
      return isText(bytes, start, end, "true") ? { key } : null;
    case "preshared_key": {
      const value = readKey(bytes, start, end);
      return value && { key, value };
    }
    case "endpoint": {
      const value = parseEndpoint(readText(bytes, start, end), interfaceIndex);
      return value && { key, value };
    }
    case "persistent_keepalive_interval": {
      const value = readNumber(bytes, start, end, 0xffff);
      return value < 0 ? null : { key, value };
    }
    case "allowed_ip":
      return allowedIpStatement(bytes, start, end);
    case "protocol_version":
      return isText(bytes, start, end, "1") ? { key } : null;
    default:
      return peerExtension(key, bytes, start, end);
  }
}

/** `address/cidr`, with `-` before it to remove. The mask is mandatory. */
function allowedIpStatement(bytes: Uint8Array, start: number, end: number): SetStatement | null {
  const remove = bytes[start] === 45;
  const prefix = parsePrefix(readText(bytes, remove ? start + 1 : start, end));
  if (prefix === null) return null;
  clearHostBits(prefix.address, prefix.cidr);
  return { key: "allowed_ip", ...prefix, remove };
}

function clearHostBits(address: Uint8Array, cidr: number): void {
  for (let i = 0; i < address.length; i++) {
    const bits = Math.min(8, Math.max(0, cidr - 8 * i));
    address[i] &= 0xff00 >> bits;
  }
}

function writeStatement(writer: LineWriter, statement: SetStatement): void {
  switch (statement.key) {
    case "private_key":
    case "public_key":
    case "preshared_key":
      return writer.hex(statement.key, statement.value);
    case "listen_port":
    case "fwmark":
    case "persistent_keepalive_interval":
      return writer.number(statement.key, statement.value);
    case "replace_peers":
    case "remove":
    case "update_only":
    case "replace_allowed_ips":
      return writer.text(statement.key, "true");
    case "endpoint":
      if (statement.value.length !== ENDPOINT_BYTES) throw new RangeError("Endpoint record must have 48 bytes");
      return writer.text(statement.key, formatEndpoint(statement.value, 0));
    case "allowed_ip":
      return writer.text(
        statement.key,
        `${statement.remove ? "-" : ""}${formatAddress(statement.address)}/${statement.cidr}`,
      );
    case "protocol_version":
      return writer.text(statement.key, "1");
    default:
      return writeExtension(writer, statement);
  }
}
