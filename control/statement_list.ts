/**
 * The statements of a set request as bytes.
 *
 * ```
 * kind u8 | value: 32 key bytes, u32, 48-byte record, text (length u16, bytes), nothing
 *         |        or, of an allowed IP: remove u8, prefix length u8, address bytes u8, address
 * ```
 */
import { ENDPOINT_BYTES } from "../tunnel/endpoint.ts";
import { KEY_BYTES } from "../tunnel/limits.ts";
import { type Codec, type Cursor, PackedList } from "../tunnel/packed_list.ts";
import type { SetStatement } from "./uapi_request.ts";

/** Kinds by number. */
const KEYS: readonly SetStatement["key"][] = [
  "private_key",
  "listen_port",
  "fwmark",
  "replace_peers",
  "public_key",
  "remove",
  "update_only",
  "preshared_key",
  "endpoint",
  "persistent_keepalive_interval",
  "replace_allowed_ips",
  "allowed_ip",
  "protocol_version",
  "culvert_replace_dns",
  "culvert_dns",
  "culvert_replace_endpoints",
  "culvert_endpoint",
];

/** An empty list. */
export function statementList(): PackedList<SetStatement> {
  return new PackedList(CODEC);
}

const CODEC: Codec<SetStatement> = {
  write(statement: SetStatement, to: Cursor): void {
    to.putU8(KEYS.indexOf(statement.key));
    switch (statement.key) {
      case "private_key":
      case "public_key":
      case "preshared_key":
      case "endpoint":
        return to.put(statement.value);
      case "listen_port":
      case "fwmark":
      case "persistent_keepalive_interval":
        return to.putU32(statement.value);
      case "culvert_dns":
      case "culvert_endpoint":
        return putText(to, statement.value);
      case "allowed_ip":
        to.putU8(statement.remove ? 1 : 0);
        to.putU8(statement.cidr);
        to.putU8(statement.address.length);
        to.put(statement.address);
    }
  },
  read(from: Cursor): SetStatement {
    const key = KEYS[from.u8()];
    switch (key) {
      case "private_key":
      case "public_key":
      case "preshared_key":
        return { key, value: from.take(KEY_BYTES) };
      case "endpoint":
        return { key, value: from.take(ENDPOINT_BYTES) };
      case "listen_port":
      case "fwmark":
      case "persistent_keepalive_interval":
        return { key, value: from.u32() };
      case "allowed_ip": {
        const remove = from.u8() === 1;
        const cidr = from.u8();
        return { key, address: from.take(from.u8()), cidr, remove };
      }
      case "culvert_dns":
      case "culvert_endpoint":
        return { key, value: takeText(from) };
      default:
        return { key };
    }
  },
};

/** ASCII. */
function putText(to: Cursor, text: string): void {
  to.putU8(text.length & 0xff);
  to.putU8(text.length >> 8);
  for (let i = 0; i < text.length; i++) to.putU8(text.charCodeAt(i));
}

function takeText(from: Cursor): string {
  const length = from.u8() | (from.u8() << 8);
  return String.fromCharCode(...from.take(length));
}
