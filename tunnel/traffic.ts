/** Bytes that went to and came from each peer, outer packets without UDP and IP headers, as `wg show` tells them. */
import type { DeviceTables } from "./tables.ts";

export interface Traffic {
  received(peer: number, bytes: number): void;
  sent(peer: number, bytes: number): void;
  /** What was counted as sent could not be sent after all. */
  unsent(peer: number, bytes: number): void;
}

/** Counts straight into the tables, which have one writer. */
export class OwnTraffic implements Traffic {
  readonly #tables: DeviceTables;

  constructor(tables: DeviceTables) {
    this.#tables = tables;
  }

  received(peer: number, bytes: number): void {
    this.#tables.rxBytes[peer] += bytes;
  }

  sent(peer: number, bytes: number): void {
    this.#tables.txBytes[peer] += bytes;
  }

  unsent(peer: number, bytes: number): void {
    const { txBytes } = this.#tables;
    // The slot may have gone to another peer since.
    txBytes[peer] = Math.max(0, txBytes[peer] - bytes);
  }
}
