/** Peers by number: keys that two processes derive alike, and addresses that no two peers share. Nothing here is secret. */
import { encodeBase64 } from "../../crypto/encoding.ts";
import { blake2s } from "../../crypto/blake2s.ts";
import { clampPrivateKey } from "../../crypto/keys.ts";
import { publicKey } from "../../crypto/x25519.ts";

/** What `[Peer]` sections of the many are to have. */
export const ALLOWED_IPS_PER_PEER = 10;

/** UDP port at which the generator plays peer `number`. */
export const FIRST_PORT = 20_000;

const publicKeys: string[] = [];

export function peerPrivateKey(number: number): Uint8Array {
  const key = blake2s(new TextEncoder().encode(`culvert benchmark peer ${number}`));
  clampPrivateKey(key);
  return key;
}

/** Base64, as `wg` takes it. Computed once for each number: ten thousand take most of a second. */
export function peerPublicKey(number: number): string {
  return publicKeys[number] ??= encodeBase64(publicKey(peerPrivateKey(number)));
}

/** An address of its own, in 10.128.0.0/9, for each peer below 800,000. */
export function peerAddress(number: number, index = 0): string {
  const host = number * ALLOWED_IPS_PER_PEER + index;
  return `10.${128 + (host >> 16)}.${(host >> 8) & 255}.${host & 255}`;
}

/** The network of all of them. */
export const PEERS_NETWORK = "10.128.0.0/9";

/** Sections of peers 0 … count − 1 with ten allowed IPs each, half of them IPv6, and no endpoint. */
export function manyPeers(count: number): string {
  const sections: string[] = [];
  for (let number = 0; number < count; number++) {
    const addresses: string[] = [];
    for (let i = 0; i < ALLOWED_IPS_PER_PEER / 2; i++) {
      addresses.push(`${peerAddress(number, i)}/32`, `fd01::${number.toString(16)}:${i}/128`);
    }
    sections.push(`[Peer]\nPublicKey = ${peerPublicKey(number)}\nAllowedIPs = ${addresses.join(", ")}\n`);
  }
  return sections.join("");
}
