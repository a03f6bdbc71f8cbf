/** What a device that lost everything must be told to be what the model says it is. */
import { commandList } from "../tunnel/command_list.ts";
import type { DeviceCommand } from "../tunnel/commands.ts";
import { ENDPOINT_BYTES, ENDPOINT_FAMILY, ENDPOINT_SOURCE_IFINDEX } from "../tunnel/endpoint.ts";
import { REJECT_AFTER_TIME } from "../tunnel/limits.ts";
import type { PackedList } from "../tunnel/packed_list.ts";
import type { DeviceTables } from "../tunnel/tables.ts";
import type { ModelView, PeerModel } from "./configuration_model.ts";

/** Any interval will do for a peer that is to hear from us once. */
const ONCE = 1;

/**
 * All commands, in order; the list has copies of secret keys, to be cleared.
 *
 * A peer that had a session would go on sending under its keys, which nobody knows any more: it is called at once, and
 * so does not have to find out.
 *
 * @param former tables with the endpoints and handshakes of before
 * @param now Unix milliseconds
 */
export function restoreCommands(model: ModelView, former: DeviceTables, now: number): PackedList<DeviceCommand> {
  const list = commandList();
  if (model.privateKey !== null) list.push({ op: "private-key", key: model.privateKey });
  for (const peer of model.peers()) pushPeer(list, model, peer, former, now);
  return list;
}

function pushPeer(
  list: PackedList<DeviceCommand>,
  model: ModelView,
  peer: PeerModel,
  former: DeviceTables,
  now: number,
): void {
  const { slot, presharedKey, keepalive } = peer;
  list.push({ op: "add-peer", peer: slot, publicKey: peer.publicKey });
  if (presharedKey !== null) list.push({ op: "preshared-key", peer: slot, key: presharedKey });
  const record = endpointOf(former, slot);
  if (record !== null) list.push({ op: "endpoint", peer: slot, record });
  for (const { address, cidr } of model.allowedIps(peer)) list.push({ op: "allowed-ip", peer: slot, address, cidr });
  const isCalled = keepalive > 0 || now - former.lastHandshake[slot] < REJECT_AFTER_TIME;
  if (isCalled) list.push({ op: "keepalive", peer: slot, seconds: keepalive || ONCE });
  list.push({ op: "peer-configured", peer: slot });
  if (isCalled && keepalive === 0) list.push({ op: "keepalive", peer: slot, seconds: 0 });
}

/** Where the peer was, null if unknown. From which of our addresses it is reached the kernel may choose anew. */
function endpointOf(tables: DeviceTables, slot: number): Uint8Array | null {
  const record = new Uint8Array(ENDPOINT_BYTES);
  tables.readEndpoint(slot, record);
  record.fill(0, ENDPOINT_SOURCE_IFINDEX);
  return record[ENDPOINT_FAMILY] === 0 ? null : record;
}
