/** Prefixes by their bits, to find equal and wider ones; at most 33 and 129 look-ups each, however many there are. */
import { maskAddress } from "./values.ts";

/** Who a prefix belongs to, and the line that says so. */
export interface PrefixOwner {
  readonly peer: number;
  readonly line: number;
  /** Length of the prefix. */
  readonly cidr: number;
}

export class PrefixIndex {
  readonly #owners = new Map<string, PrefixOwner>();
  /** Lengths that occur, for only these are worth a look. */
  readonly #lengths = new Set<number>();

  /** Host bits must be clear. */
  add(address: Uint8Array, cidr: number, peer: number, line: number): void {
    this.#lengths.add(cidr);
    this.#owners.set(name(address, cidr), { peer, line, cidr });
  }

  /** The owner of exactly this prefix. */
  find(address: Uint8Array, cidr: number): PrefixOwner | null {
    return this.#owners.get(name(address, cidr)) ?? null;
  }

  /** The owner of the narrowest prefix that is wider than this one; the default route does not count. */
  findWider(address: Uint8Array, cidr: number): PrefixOwner | null {
    for (let bits = cidr - 1; bits > 0; bits--) {
      if (!this.#lengths.has(bits)) continue;
      const owner = this.find(maskAddress(address, bits), bits);
      if (owner !== null) return owner;
    }
    return null;
  }
}

function name(address: Uint8Array, cidr: number): string {
  return `${address.join(".")}/${cidr}`;
}
