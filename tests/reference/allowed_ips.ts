/** Allowed IPs as a plain list of bit strings. Slow and obvious; the twin of tunnel/allowed_ips.ts. */

export class ReferenceAllowedIps {
  /** Family and network bits ("4:1010…") to peer. */
  readonly #owners: Map<string, number> = new Map();

  get size(): number {
    return this.#owners.size;
  }

  insert(address: Uint8Array, cidr: number, peer: number): void {
    const key = network(address, cidr);
    if (this.#owners.get(key) === peer) return;
    // Again at the end, for entries() lists in the order of giving.
    this.#owners.delete(key);
    this.#owners.set(key, peer);
  }

  remove(address: Uint8Array, cidr: number, peer: number): boolean {
    const key = network(address, cidr);
    return this.#owners.get(key) === peer && this.#owners.delete(key);
  }

  removePeer(peer: number): void {
    for (const [key, owner] of [...this.#owners]) {
      if (owner === peer) this.#owners.delete(key);
    }
  }

  lookup(address: Uint8Array): number {
    const host = network(address, 8 * address.length);
    let longest = "";
    for (const key of this.#owners.keys()) {
      if (host.startsWith(key) && key.length > longest.length) longest = key;
    }
    return this.#owners.get(longest) ?? -1;
  }

  /** The networks of a peer, IPv4 first. */
  entries(peer: number): string[] {
    const own = [...this.#owners].filter(([, owner]) => owner === peer).map(([key]) => key);
    return [...own.filter((key) => key.startsWith("4:")), ...own.filter((key) => key.startsWith("6:"))];
  }
}

/** A network as the list keeps it: the family, then the bits of the prefix. */
export function network(address: Uint8Array, cidr: number): string {
  let bits = "";
  for (const byte of address) bits += byte.toString(2).padStart(8, "0");
  return `${address.length === 4 ? 4 : 6}:${bits.slice(0, cidr)}`;
}
