/**
 * The reply to a get request, read: as `wg` reads it, whoever wrote it.
 *
 * Spec: https://www.wireguard.com/xplatform/#configuration-protocol
 */
import { isZero, wipe } from "../crypto/bytes.ts";
import { FEATURES_KEY } from "./uapi_extension.ts";
import { isText, LineBuffer, MAX_LINE_BYTES, readKey, readNumber, readText } from "./uapi_line.ts";
import { DROP_KEY_PREFIX } from "./uapi_reply.ts";
import { EPROTO } from "./uapi_request.ts";

/** A peer of a running interface. */
export interface PeerStatus {
  readonly publicKey: Uint8Array;
  /** Secret; null without one. */
  presharedKey: Uint8Array | null;
  /** As `host:port` or `[host]:port`, null if unknown. */
  endpoint: string | null;
  /** Unix time; both 0 for never. */
  lastHandshakeSeconds: number;
  lastHandshakeNanoseconds: number;
  txBytes: number;
  rxBytes: number;
  /** Seconds, 0 = off. */
  persistentKeepalive: number;
  /** `address/cidr`. */
  readonly allowedIps: string[];
  /** Names and further addresses of its endpoint, as `host:port`, in order. Empty from others than us. */
  readonly endpointNames: string[];
  /** Dropped packets by reason, as `bad_mac1`; only what is not 0. Empty from others than us. */
  readonly drops: Map<string, number>;
}

/** A running interface. */
export interface DeviceStatus {
  /** Secret; null without one. Its public key is the caller's to derive. */
  privateKey: Uint8Array | null;
  /** 0 if none is bound. */
  listenPort: number;
  /** 0 = off. */
  fwmark: number;
  readonly peers: PeerStatus[];
  /** What a set request may hold beyond the UAPI: `endpoints`. Empty from others than us. */
  readonly features: string[];
  /** Lines of the resolv.conf that names are looked up by; empty for the host's. */
  readonly dns: string[];
  readonly drops: Map<string, number>;
}

/** Erases the secret keys of a status. */
export function wipeStatus(status: DeviceStatus): void {
  if (status.privateKey !== null) wipe(status.privateKey);
  for (const { presharedKey } of status.peers) if (presharedKey !== null) wipe(presharedKey);
}

/** Reads a whole reply; null if it is malformed or carries an error number. */
export function parseGetReply(reply: Uint8Array): DeviceStatus | null {
  const status = new StatusReader();
  const whole = new ReplyReader((...line) => status.line(...line));
  whole.feed(reply, reply.length);
  return whole.errno === 0 ? status.device : null;
}

/** Takes `key` and its value, `bytes[start … end)`; false if the value is not one of that key. */
export type TakeValue = (key: string, bytes: Uint8Array, start: number, end: number) => boolean;

/** Reads a reply to its empty line. */
export class ReplyReader {
  /** −1 until the reply is complete, then 0 or positive. */
  errno = -1;
  readonly #take: TakeValue;
  readonly #lines = new LineBuffer();
  #said = -1;

  constructor(take: TakeValue) {
    this.#take = take;
  }

  feed(bytes: Uint8Array, length: number): void {
    this.#lines.feed(bytes, 0, length, (line, start, end) => this.#line(line, start, end));
  }

  wipe(): void {
    this.#lines.wipe();
  }

  #line(bytes: Uint8Array, start: number, end: number): boolean {
    if (start === end) {
      this.errno = this.#said === -1 ? EPROTO : this.#said;
      return false;
    }
    if (!this.#value(bytes, start, end)) this.errno = EPROTO;
    return this.errno === -1;
  }

  #value(bytes: Uint8Array, start: number, end: number): boolean {
    if (end - start > MAX_LINE_BYTES) return false;
    const equals = bytes.indexOf(61, start);
    if (equals === -1 || equals >= end) return false;
    if (!isText(bytes, start, equals, "errno")) {
      return this.#take(readText(bytes, start, equals), bytes, equals + 1, end);
    }
    // wireguard-go answers negative numbers, boringtun positive ones.
    const digits = bytes[equals + 1] === 45 ? equals + 2 : equals + 1;
    this.#said = readNumber(bytes, digits, end, 0x7fffffff);
    return this.#said >= 0;
  }
}

/** Collects the lines of a get reply; keys it does not know are ignored. */
export class StatusReader {
  readonly device: DeviceStatus = {
    privateKey: null,
    listenPort: 0,
    fwmark: 0,
    peers: [],
    features: [],
    dns: [],
    drops: new Map(),
  };
  #peer: PeerStatus | null = null;

  line(key: string, bytes: Uint8Array, start: number, end: number): boolean {
    if (key === "public_key") return this.#beginPeer(readKey(bytes, start, end));
    if (key.startsWith(DROP_KEY_PREFIX)) {
      const count = readNumber(bytes, start, end, Number.MAX_SAFE_INTEGER);
      (this.#peer ?? this.device).drops.set(key.slice(DROP_KEY_PREFIX.length), count);
      return count >= 0;
    }
    return this.#peer === null
      ? deviceValue(this.device, key, bytes, start, end)
      : peerValue(this.#peer, key, bytes, start, end);
  }

  #beginPeer(publicKey: Uint8Array | null): boolean {
    if (publicKey === null) return false;
    this.#peer = {
      publicKey,
      presharedKey: null,
      endpoint: null,
      lastHandshakeSeconds: 0,
      lastHandshakeNanoseconds: 0,
      txBytes: 0,
      rxBytes: 0,
      persistentKeepalive: 0,
      allowedIps: [],
      endpointNames: [],
      drops: new Map(),
    };
    this.device.peers.push(this.#peer);
    return true;
  }
}

function deviceValue(device: DeviceStatus, key: string, bytes: Uint8Array, start: number, end: number): boolean {
  switch (key) {
    case "private_key": {
      const key = readKey(bytes, start, end);
      device.privateKey = key === null || isZero(key) ? null : key;
      return key !== null;
    }
    case "listen_port":
      return (device.listenPort = readNumber(bytes, start, end, 0xffff)) >= 0;
    case "fwmark":
      return (device.fwmark = readNumber(bytes, start, end, 0xffffffff)) >= 0;
    case FEATURES_KEY:
      device.features.push(...readText(bytes, start, end).split(" "));
      return true;
    case "culvert_dns":
      device.dns.push(readText(bytes, start, end));
      return true;
    default:
      return true;
  }
}

function peerValue(peer: PeerStatus, key: string, bytes: Uint8Array, start: number, end: number): boolean {
  switch (key) {
    case "preshared_key": {
      const key = readKey(bytes, start, end);
      peer.presharedKey = key === null || isZero(key) ? null : key;
      return key !== null;
    }
    case "endpoint":
      peer.endpoint = readText(bytes, start, end);
      return start < end;
    case "last_handshake_time_sec":
      return (peer.lastHandshakeSeconds = readNumber(bytes, start, end, Number.MAX_SAFE_INTEGER)) >= 0;
    case "last_handshake_time_nsec":
      return (peer.lastHandshakeNanoseconds = readNumber(bytes, start, end, 999_999_999)) >= 0;
    case "tx_bytes":
      return (peer.txBytes = readNumber(bytes, start, end, Number.MAX_SAFE_INTEGER)) >= 0;
    case "rx_bytes":
      return (peer.rxBytes = readNumber(bytes, start, end, Number.MAX_SAFE_INTEGER)) >= 0;
    case "persistent_keepalive_interval":
      return (peer.persistentKeepalive = readNumber(bytes, start, end, 0xffff)) >= 0;
    case "culvert_endpoint":
      peer.endpointNames.push(readText(bytes, start, end));
      return start < end;
    case "allowed_ip": {
      const prefix = readText(bytes, start, end);
      peer.allowedIps.push(prefix);
      return prefix.includes("/");
    }
    default:
      return true;
  }
}
