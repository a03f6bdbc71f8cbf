/**
 * The reply to a get request, keys in wireguard-go's order.
 *
 * ```
 * private_key listen_port fwmark culvert_features culvert_dns… culvert_drop_…
 * per peer: public_key preshared_key protocol_version endpoint last_handshake_time_sec last_handshake_time_nsec
 *           tx_bytes rx_bytes persistent_keepalive_interval allowed_ip… culvert_endpoint… culvert_drop_…
 * errno
 * ```
 *
 * The extensions are told of in uapi_extension.ts. `culvert_drop_REASON` counts what was dropped, at device and at peer level, only where it is not zero; clients that
 * do not know a key ignore it. Spec: https://www.wireguard.com/xplatform/#configuration-protocol
 */
import { formatEndpoint } from "../tunnel/address_text.ts";
import { ENDPOINT_BYTES, ENDPOINT_FAMILY } from "../tunnel/endpoint.ts";
import { KEY_BYTES } from "../tunnel/limits.ts";
import { REASON_NAMES, REASON_SLOTS } from "../tunnel/reasons.ts";
import type { DeviceTables } from "../tunnel/tables.ts";
import type { ModelView, PeerModel } from "./configuration_model.ts";
import { FEATURES, FEATURES_KEY } from "./uapi_extension.ts";
import { LineWriter } from "./uapi_line.ts";

/** Before the reason's name, in which `-` becomes `_`. */
export const DROP_KEY_PREFIX = "culvert_drop_";

const NO_KEY = new Uint8Array(KEY_BYTES);
const DROP_KEYS: readonly string[] = REASON_NAMES.map((name) => DROP_KEY_PREFIX + name.replaceAll("-", "_"));

/** The whole reply, with `errno=0` and the empty line. It holds secret keys: wipe it once sent. */
export function serializeGet(model: ModelView, tables: DeviceTables, listenPort: number): Uint8Array {
  const writer = new LineWriter(1024 + 512 * model.peerCount);
  if (model.privateKey !== null) writer.hex("private_key", model.privateKey);
  if (listenPort !== 0) writer.number("listen_port", listenPort);
  if (model.fwmark !== 0) writer.number("fwmark", model.fwmark);
  writer.text(FEATURES_KEY, FEATURES);
  for (const line of model.dns) writer.text("culvert_dns", line);
  writeDrops(writer, tables.deviceDrops, 0);
  const record = new Uint8Array(ENDPOINT_BYTES);
  for (const peer of model.peers()) writePeer(writer, peer, model, tables, record);
  writer.number("errno", 0);
  writer.end();
  return writer.take();
}

/**
 * The reply that carries only an error number.
 *
 * @param errno 0 or positive. `wg` wants it positive after get, negative after set
 */
export function serializeErrno(op: "get" | "set", errno: number): Uint8Array {
  const writer = new LineWriter(32);
  writer.number("errno", op === "set" && errno !== 0 ? -errno : errno);
  writer.end();
  return writer.take();
}

function writePeer(
  writer: LineWriter,
  peer: PeerModel,
  model: ModelView,
  tables: DeviceTables,
  record: Uint8Array,
): void {
  writer.hex("public_key", peer.publicKey);
  writer.hex("preshared_key", peer.presharedKey ?? NO_KEY);
  writer.number("protocol_version", 1);
  tables.readEndpoint(peer.slot, record);
  if (record[ENDPOINT_FAMILY] !== 0) writer.text("endpoint", formatEndpoint(record, 0));
  const milliseconds = tables.lastHandshake[peer.slot];
  const seconds = Math.floor(milliseconds / 1000);
  writer.number("last_handshake_time_sec", seconds);
  writer.number("last_handshake_time_nsec", Math.floor((milliseconds - 1000 * seconds) * 1e6));
  writer.number("tx_bytes", tables.sentBytes(peer.slot));
  writer.number("rx_bytes", tables.receivedBytes(peer.slot));
  writer.number("persistent_keepalive_interval", peer.keepalive);
  for (const { address, cidr } of model.allowedIps(peer)) writer.prefix("allowed_ip", address, cidr);
  for (const name of peer.names) writer.text("culvert_endpoint", name);
  writeDrops(writer, tables.peerDrops, REASON_SLOTS * peer.slot);
}

function writeDrops(writer: LineWriter, counters: Uint32Array, from: number): void {
  for (let reason = 1; reason < DROP_KEYS.length; reason++) {
    const count = counters[from + reason];
    if (count !== 0) writer.number(DROP_KEYS[reason], count);
  }
}
