/**
 * Keys of the control socket that only culvert knows. An interface of ours says so in every reply to get:
 *
 * ```
 * culvert_features=endpoints           what set understands beyond the UAPI
 * culvert_dns=nameserver 192.0.2.53    device: lines of the resolv.conf that names are looked up by; none: the host's
 * culvert_endpoint=vpn.example.com:51820   peer: a name, or another address, of its endpoint; in order
 * ```
 *
 * In a set request `culvert_replace_dns=true` and `culvert_replace_endpoints=true` clear what was there, and each
 * further line adds one. An `endpoint` clears a peer's names too: they follow it. Others must not be sent these keys,
 * for they refuse what they do not know; in replies clients ignore them.
 */
import { parseHostPort } from "../tunnel/address_text.ts";
import { isText, type LineWriter, readText } from "./uapi_line.ts";

export type DeviceExtension =
  | { readonly key: "culvert_replace_dns" }
  /** A line of a resolv.conf. */
  | { readonly key: "culvert_dns"; readonly value: string };

export type PeerExtension =
  | { readonly key: "culvert_replace_endpoints" }
  /** `host:port` or `[address]:port`. */
  | { readonly key: "culvert_endpoint"; readonly value: string };

/** Told by `get`: the interface is ours, and takes these keys. */
export const FEATURES_KEY = "culvert_features";
export const FEATURES = "endpoints";

/** Names of one peer, and lines of one resolv.conf; more are refused. */
export const MAX_NAMES = 8;
export const MAX_DNS_LINES = 16;

/** Of a value: a host name has at most 253 bytes, its port five more. */
const MAX_VALUE_BYTES = 260;

/** Null for another key, or a value that is none of it. */
export function deviceExtension(key: string, bytes: Uint8Array, start: number, end: number): DeviceExtension | null {
  if (key === "culvert_replace_dns") return isText(bytes, start, end, "true") ? { key } : null;
  if (key !== "culvert_dns") return null;
  const value = extensionText(bytes, start, end);
  return value === null ? null : { key, value };
}

/** Null for another key, or a value that is none of it. */
export function peerExtension(key: string, bytes: Uint8Array, start: number, end: number): PeerExtension | null {
  if (key === "culvert_replace_endpoints") return isText(bytes, start, end, "true") ? { key } : null;
  if (key !== "culvert_endpoint") return null;
  const value = extensionText(bytes, start, end);
  return value === null || parseHostPort(value) === null ? null : { key, value };
}

export function writeExtension(writer: LineWriter, statement: DeviceExtension | PeerExtension): void {
  writer.text(statement.key, "value" in statement ? statement.value : "true");
}

/** Printable ASCII of a bounded length, else null. */
function extensionText(bytes: Uint8Array, start: number, end: number): string | null {
  if (end === start || end - start > MAX_VALUE_BYTES) return null;
  for (let i = start; i < end; i++) if (bytes[i] < 32 || bytes[i] > 126) return null;
  return readText(bytes, start, end);
}
