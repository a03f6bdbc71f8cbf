/**
 * Where else a peer may be: the addresses that its names have at present. While it is silent its initiations go to all
 * of them, the same bytes to each: the peer takes the first that comes, and is from then on where its answer came from.
 * Different initiations would overwrite each other at the peer, and break the rule of one in REKEY_TIMEOUT.
 */
import { ENDPOINT_SOURCE_IFINDEX } from "./endpoint.ts";

/** Of one peer; what is more is left out. */
export const MAX_CANDIDATES = 8;

/** The part of an endpoint record that says where to send to. */
const DESTINATION_BYTES = ENDPOINT_SOURCE_IFINDEX;

export class Candidates {
  /** Whether the waiting initiation was sent to more than the peer's endpoint. */
  isRacing = false;
  #records: Uint8Array[] = [];
  /** The waiting initiation, for candidates that come while it waits; and who has had it. */
  #initiation: Uint8Array | null = null;
  #tried: Uint8Array[] = [];

  /** The first of the list, null if it is empty. */
  get first(): Uint8Array | null {
    return this.#records[0] ?? null;
  }

  /** The bytes of the initiation that waits for its response, null if none does. */
  get initiation(): Uint8Array | null {
    return this.#initiation;
  }

  /** A new list begins. */
  begin(): void {
    this.#records = [];
  }

  /** Keeps a copy. @param record 48 bytes; its source does not count */
  add(record: Uint8Array): void {
    if (this.#records.length < MAX_CANDIDATES && !isAmong(record, this.#records)) this.#records.push(record.slice());
  }

  /** An initiation was sent to the peer's endpoint, and waits. @param message public bytes, not a copy */
  sent(message: Uint8Array): void {
    this.#initiation = message;
    this.forgetTried();
  }

  /** The waiting initiation is to go to all of them again. */
  forgetTried(): void {
    this.#tried = [];
    this.isRacing = false;
  }

  /** The initiation was answered or given up. */
  forgetInitiation(): void {
    this.#initiation = null;
    this.forgetTried();
  }

  /** Those to send the waiting initiation to; they count as tried. @param endpoint the peer's own, which has had it */
  takeUntried(endpoint: Uint8Array): readonly Uint8Array[] {
    this.isRacing = true;
    const untried = this.#records.filter((record) => !isAmong(record, this.#tried) && !isSame(record, endpoint));
    this.#tried.push(...untried);
    return untried;
  }
}

function isAmong(record: Uint8Array, records: readonly Uint8Array[]): boolean {
  return records.some((other) => isSame(record, other));
}

/** Whether two endpoint records mean the same destination. */
function isSame(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < DESTINATION_BYTES; i++) if (a[i] !== b[i]) return false;
  return true;
}
