/** A target as JSON, for a file that is as private as a configuration: it holds the secret keys. */
import { decodeKeyBase64, encodeBase64 } from "../crypto/encoding.ts";
import type { PeerTarget, Target } from "./tunnel_target.ts";

type WrittenPeer = Omit<PeerTarget, "publicKey" | "presharedKey"> & { readonly presharedKey: string | null };

type WrittenTarget = Omit<Target, "privateKey" | "peers"> & {
  readonly privateKey: string | null;
  readonly peers: Readonly<Record<string, WrittenPeer>>;
};

/** What `decodeTarget` reads. */
export function encodeTarget(target: Target): unknown {
  const peers = [...target.peers].map(([key, { publicKey: _, presharedKey, ...rest }]) =>
    [key, { ...rest, presharedKey: keyText(presharedKey) }] as const
  );
  return { ...target, privateKey: keyText(target.privateKey), peers: Object.fromEntries(peers) };
}

/** @param written of our own making */
export function decodeTarget(written: unknown): Target {
  const { privateKey, peers, ...rest } = written as WrittenTarget;
  return {
    ...rest,
    privateKey: keyOf(privateKey),
    peers: new Map(
      Object.entries(peers).map(([key, { presharedKey, ...peer }]) => [
        key,
        { ...peer, publicKey: requireKey(key), presharedKey: keyOf(presharedKey) },
      ]),
    ),
  };
}

function keyText(key: Uint8Array | null): string | null {
  return key === null ? null : encodeBase64(key);
}

function keyOf(text: string | null): Uint8Array | null {
  return text === null ? null : requireKey(text);
}

function requireKey(text: string): Uint8Array {
  const key = decodeKeyBase64(text);
  if (key === null) throw new RangeError("A key of a written target is damaged");
  return key;
}
