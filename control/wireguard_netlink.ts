/**
 * Messages of the kernel's generic netlink family `wireguard`: a change becomes one or more SET_DEVICE, the answers to
 * GET_DEVICE become a status.
 *
 * ```
 * netlink header | command u8 | version u8 | pad u16 | attributes
 * device: IFINDEX u32 | IFNAME text | PRIVATE_KEY 32 | PUBLIC_KEY 32 | FLAGS u32 | LISTEN_PORT u16 | FWMARK u32 | PEERS […]
 * peer:   PUBLIC_KEY 32 | PRESHARED_KEY 32 | FLAGS u32 | ENDPOINT sockaddr | KEEPALIVE u16 | LAST_HANDSHAKE i64 i64
 *         RX_BYTES u64 | TX_BYTES u64 | ALLOWEDIPS […] | PROTOCOL_VERSION u32
 * allowed IP: FAMILY u16 | IPADDR 4 or 16 | CIDR_MASK u8 | FLAGS u32
 * ```
 *
 * A message holds only so much: a peer may go on in the next one, where its key is repeated and nothing but allowed IPs
 * follow. Spec: Linux Documentation/netlink/specs/wireguard.yaml, include/uapi/linux/wireguard.h.
 */
import { equalConstantTime, isZero } from "../crypto/bytes.ts";
import {
  listAttributes,
  mapAttributes,
  NetlinkMessage,
  readU32,
  type ReceivedMessage,
} from "../ffi/netlink_message.ts";
import { AF_INET, AF_INET6 } from "../ffi/socket.ts";
import { formatAddress, formatEndpoint } from "../tunnel/address_text.ts";
import {
  ENDPOINT_ADDRESS,
  ENDPOINT_FAMILY,
  ENDPOINT_PORT,
  ENDPOINT_SCOPE,
  endpointRecord,
} from "../tunnel/endpoint.ts";
import { KEY_BYTES } from "../tunnel/limits.ts";
import type { AllowedIpChange, DeviceChange, PeerChange } from "./device_change.ts";
import type { DeviceStatus, PeerStatus } from "./uapi_status.ts";

export const WG_FAMILY = "wireguard";
export const WG_VERSION = 1;
export const WG_CMD_GET_DEVICE = 0;
export const WG_CMD_SET_DEVICE = 1;

/** Bytes of command, version and padding before the attributes. */
export const GENERIC_HEADER_BYTES = 4;

/** Messages of `wg` are as long as a page. */
export const MESSAGE_BYTES = 4096;

const DEVICE_IFNAME = 2;
const DEVICE_PRIVATE_KEY = 3;
const DEVICE_FLAGS = 5;
const DEVICE_LISTEN_PORT = 6;
const DEVICE_FWMARK = 7;
const DEVICE_PEERS = 8;
const REPLACE_PEERS = 1;

const PEER_PUBLIC_KEY = 1;
const PEER_PRESHARED_KEY = 2;
const PEER_FLAGS = 3;
const PEER_ENDPOINT = 4;
const PEER_KEEPALIVE = 5;
const PEER_LAST_HANDSHAKE = 6;
const PEER_RX_BYTES = 7;
const PEER_TX_BYTES = 8;
const PEER_ALLOWED_IPS = 9;
const REMOVE_PEER = 1;
const REPLACE_ALLOWED_IPS = 2;

const ALLOWED_IP_FAMILY = 1;
const ALLOWED_IP_ADDRESS = 2;
const ALLOWED_IP_CIDR = 3;
const ALLOWED_IP_FLAGS = 4;
const REMOVE_ALLOWED_IP = 1;

/** Elements of a list have no type of their own. */
const LIST_ELEMENT = 0;
const ATTRIBUTE_HEADER = 4;
const SOCKADDR_IN_BYTES = 16;
const SOCKADDR_IN6_BYTES = 28;

/** Asks for the status of the interface `name`. */
export function getDeviceMessage(family: number, name: string): Uint8Array<ArrayBuffer> {
  return message(family, WG_CMD_GET_DEVICE).attributeText(DEVICE_IFNAME, name).finish();
}

/**
 * The messages that make up one change, to be sent in order. They hold secret keys: wipe them once sent.
 *
 * @param family the number of the family `wireguard`
 * @param limit bytes of a message
 */
export function setDeviceMessages(
  family: number,
  name: string,
  change: DeviceChange,
  limit: number = MESSAGE_BYTES,
): Uint8Array<ArrayBuffer>[] {
  const messages: Uint8Array<ArrayBuffer>[] = [];
  const place: Place = { peer: 0, allowedIp: 0 };
  do {
    const current = message(family, WG_CMD_SET_DEVICE).attributeText(DEVICE_IFNAME, name);
    let left = limit - 20 - attributeBytes(name.length + 1);
    // Values and the flag to replace are the first message's alone: the flag in a later one would undo the first.
    if (messages.length === 0) left -= putDevice(current, change);
    if (change.peers.length > 0) putPeers(current, change.peers, place, left - ATTRIBUTE_HEADER);
    messages.push(current.finish());
  } while (place.peer < change.peers.length);
  return messages;
}

/**
 * The status that the answers to GET_DEVICE add up to. Endpoints have numbers as zones.
 *
 * @throws {RangeError} for an answer that no kernel gives
 */
export function readDeviceMessages(messages: readonly ReceivedMessage[]): DeviceStatus {
  const device: DeviceStatus = {
    privateKey: null,
    listenPort: 0,
    fwmark: 0,
    peers: [],
    features: [],
    dns: [],
    drops: new Map(),
  };
  for (const { body } of messages) {
    const attributes = mapAttributes(body, GENERIC_HEADER_BYTES);
    device.privateKey = readKey(attributes.get(DEVICE_PRIVATE_KEY)) ?? device.privateKey;
    device.listenPort = readU16(attributes.get(DEVICE_LISTEN_PORT), device.listenPort);
    device.fwmark = readU32(attributes.get(DEVICE_FWMARK), device.fwmark);
    const peers = attributes.get(DEVICE_PEERS);
    if (peers === undefined) continue;
    for (const { payload } of listAttributes(peers)) addPeer(device.peers, readPeer(payload));
  }
  return device;
}

function message(family: number, command: number): NetlinkMessage {
  return new NetlinkMessage(family).u8(command).u8(WG_VERSION).u16(0);
}

/** @returns bytes written */
function putDevice(to: NetlinkMessage, change: DeviceChange): number {
  let bytes = 0;
  if (change.privateKey !== null) {
    to.attribute(DEVICE_PRIVATE_KEY, change.privateKey);
    bytes += attributeBytes(KEY_BYTES);
  }
  if (change.listenPort !== null) {
    to.attributeU16(DEVICE_LISTEN_PORT, change.listenPort);
    bytes += attributeBytes(2);
  }
  if (change.fwmark !== null) {
    to.attributeU32(DEVICE_FWMARK, change.fwmark);
    bytes += attributeBytes(4);
  }
  if (change.replacePeers) {
    to.attributeU32(DEVICE_FLAGS, REPLACE_PEERS);
    bytes += attributeBytes(4);
  }
  return bytes;
}

/** How far a change was written: the next peer, and its next allowed IP. */
interface Place {
  peer: number;
  allowedIp: number;
}

/** Writes as many peers, and parts of one, as `room` bytes hold; `place` moves on. */
function putPeers(to: NetlinkMessage, peers: readonly PeerChange[], place: Place, room: number): void {
  let left = room;
  to.begin(DEVICE_PEERS);
  while (place.peer < peers.length) {
    const peer = peers[place.peer];
    const isContinued = place.allowedIp > 0;
    const end = peer.remove ? 0 : peer.allowedIps.length;
    left -= ATTRIBUTE_HEADER + peerHeadBytes(peer, isContinued);
    const fitting = countFitting(peer.allowedIps, place.allowedIp, end, left - ATTRIBUTE_HEADER);
    if (left < 0 || (fitting === place.allowedIp && fitting < end)) {
      if (left + ATTRIBUTE_HEADER + peerHeadBytes(peer, isContinued) !== room) break;
      throw new RangeError("Netlink message is too short for a peer");
    }
    to.begin(LIST_ELEMENT);
    putPeerHead(to, peer, isContinued);
    if (end > 0) left -= ATTRIBUTE_HEADER + putAllowedIps(to, peer.allowedIps.slice(place.allowedIp, fitting));
    to.end();
    place.allowedIp = fitting;
    if (fitting < end) break;
    place.peer++;
    place.allowedIp = 0;
  }
  to.end();
}

function peerHeadBytes(peer: PeerChange, isContinued: boolean): number {
  const bytes = attributeBytes(KEY_BYTES);
  if (isContinued) return bytes;
  return bytes + (peer.presharedKey === null ? 0 : attributeBytes(KEY_BYTES)) +
    (peer.endpoint === null ? 0 : attributeBytes(socketAddress(peer.endpoint).length)) +
    (peer.keepalive === null ? 0 : attributeBytes(2)) + (peerFlags(peer) === 0 ? 0 : attributeBytes(4));
}

function putPeerHead(to: NetlinkMessage, peer: PeerChange, isContinued: boolean): void {
  to.attribute(PEER_PUBLIC_KEY, peer.publicKey);
  if (isContinued) return;
  if (peer.presharedKey !== null) to.attribute(PEER_PRESHARED_KEY, peer.presharedKey);
  if (peer.endpoint !== null) to.attribute(PEER_ENDPOINT, socketAddress(peer.endpoint));
  if (peer.keepalive !== null) to.attributeU16(PEER_KEEPALIVE, peer.keepalive);
  const flags = peerFlags(peer);
  if (flags !== 0) to.attributeU32(PEER_FLAGS, flags);
}

function peerFlags(peer: PeerChange): number {
  return (peer.remove ? REMOVE_PEER : 0) | (peer.replaceAllowedIps ? REPLACE_ALLOWED_IPS : 0);
}

/** The index behind the last of `allowedIps[from … end)` that `room` bytes hold. */
function countFitting(allowedIps: readonly AllowedIpChange[], from: number, end: number, room: number): number {
  let left = room;
  for (let index = from; index < end; index++) {
    left -= allowedIpBytes(allowedIps[index]);
    if (left < 0) return index;
  }
  return end;
}

/** @returns bytes written, without the list's header */
function putAllowedIps(to: NetlinkMessage, allowedIps: readonly AllowedIpChange[]): number {
  let bytes = 0;
  to.begin(PEER_ALLOWED_IPS);
  for (const allowedIp of allowedIps) {
    const { address, cidr, remove } = allowedIp;
    to.begin(LIST_ELEMENT);
    to.attributeU16(ALLOWED_IP_FAMILY, address.length === 4 ? AF_INET : AF_INET6);
    to.attribute(ALLOWED_IP_ADDRESS, address);
    to.attributeU8(ALLOWED_IP_CIDR, cidr);
    if (remove) to.attributeU32(ALLOWED_IP_FLAGS, REMOVE_ALLOWED_IP);
    to.end();
    bytes += allowedIpBytes(allowedIp);
  }
  to.end();
  return bytes;
}

function allowedIpBytes({ address, remove }: AllowedIpChange): number {
  return ATTRIBUTE_HEADER + attributeBytes(2) + attributeBytes(address.length) + attributeBytes(1) +
    (remove ? attributeBytes(4) : 0);
}

/** Header, payload and padding. */
function attributeBytes(payload: number): number {
  return (ATTRIBUTE_HEADER + payload + 3) & ~3;
}

/**
 * struct sockaddr_in: family u16 | port u16 (big-endian) | address 4 | zeros 8;
 * struct sockaddr_in6: family u16 | port u16 (big-endian) | flow u32 | address 16 | scope u32.
 */
function socketAddress(record: Uint8Array): Uint8Array {
  const from = new DataView(record.buffer, record.byteOffset, record.length);
  const isIpv4 = from.getUint16(ENDPOINT_FAMILY, true) === 4;
  const bytes = new Uint8Array(isIpv4 ? SOCKADDR_IN_BYTES : SOCKADDR_IN6_BYTES);
  const to = new DataView(bytes.buffer);
  to.setUint16(0, isIpv4 ? AF_INET : AF_INET6, true);
  to.setUint16(2, from.getUint16(ENDPOINT_PORT, true));
  bytes.set(record.subarray(ENDPOINT_ADDRESS, ENDPOINT_ADDRESS + (isIpv4 ? 4 : 16)), isIpv4 ? 4 : 8);
  if (!isIpv4) to.setUint32(24, from.getUint32(ENDPOINT_SCOPE, true), true);
  return bytes;
}

/** A peer goes on from the former message if the key is the same; then only allowed IPs are new. */
function addPeer(peers: PeerStatus[], peer: PeerStatus): void {
  const last = peers[peers.length - 1];
  if (last === undefined || !equalConstantTime(last.publicKey, peer.publicKey)) peers.push(peer);
  else for (const allowedIp of peer.allowedIps) last.allowedIps.push(allowedIp);
}

function readPeer(bytes: Uint8Array): PeerStatus {
  const attributes = mapAttributes(bytes);
  const publicKey = attributes.get(PEER_PUBLIC_KEY);
  if (publicKey?.length !== KEY_BYTES) throw new RangeError("A peer of the kernel has no public key");
  const handshake = attributes.get(PEER_LAST_HANDSHAKE);
  const allowedIps = attributes.get(PEER_ALLOWED_IPS);
  return {
    publicKey: publicKey.slice(),
    presharedKey: readKey(attributes.get(PEER_PRESHARED_KEY)),
    endpoint: readEndpoint(attributes.get(PEER_ENDPOINT)),
    lastHandshakeSeconds: readU64(handshake),
    lastHandshakeNanoseconds: readU64(handshake?.subarray(8)),
    rxBytes: readU64(attributes.get(PEER_RX_BYTES)),
    txBytes: readU64(attributes.get(PEER_TX_BYTES)),
    persistentKeepalive: readU16(attributes.get(PEER_KEEPALIVE), 0),
    allowedIps: allowedIps === undefined ? [] : listAttributes(allowedIps).map(({ payload }) => readAllowedIp(payload)),
    endpointNames: [],
    drops: new Map(),
  };
}

function readAllowedIp(bytes: Uint8Array): string {
  const attributes = mapAttributes(bytes);
  const address = attributes.get(ALLOWED_IP_ADDRESS);
  const cidr = attributes.get(ALLOWED_IP_CIDR)?.[0];
  if (address === undefined || cidr === undefined) throw new RangeError("An allowed IP of the kernel is incomplete");
  return `${formatAddress(address)}/${cidr}`;
}

function readEndpoint(bytes: Uint8Array | undefined): string | null {
  if (bytes === undefined || bytes.length < SOCKADDR_IN_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const family = view.getUint16(0, true);
  const port = view.getUint16(2);
  if (family === AF_INET) return formatEndpoint(endpointRecord(bytes.subarray(4, 8), port), 0);
  if (family !== AF_INET6 || bytes.length < SOCKADDR_IN6_BYTES) return null;
  return formatEndpoint(endpointRecord(bytes.subarray(8, 24), port, view.getUint32(24, true)), 0);
}

/** A copy; null for none and for zeros, which mean none. */
function readKey(payload: Uint8Array | undefined): Uint8Array | null {
  return payload === undefined || payload.length !== KEY_BYTES || isZero(payload) ? null : payload.slice();
}

function readU16(payload: Uint8Array | undefined, otherwise: number): number {
  return payload === undefined || payload.length < 2 ? otherwise : payload[0] | (payload[1] << 8);
}

/** Counters stay below 2^53 for as long as anybody lives. */
function readU64(payload: Uint8Array | undefined): number {
  if (payload === undefined || payload.length < 8) return 0;
  return Number(new DataView(payload.buffer, payload.byteOffset).getBigUint64(0, true));
}
