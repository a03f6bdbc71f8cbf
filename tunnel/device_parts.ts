/** The parts of a device that differ by whether its packets pass through one thread or several, chosen at its start. */
import { IndexTable } from "./index_table.ts";
import type { Readers } from "./keypairs.ts";
import { ReplayWindows } from "./replay.ts";
import { OwnSendCounters, type SendCounters } from "./send_counters.ts";
import type { DeviceTables } from "./tables.ts";
import { Grace } from "./threads/grace.ts";
import { SharedReplayWindows } from "./threads/shared_replay.ts";
import { SharedSendCounters } from "./threads/shared_send_counters.ts";
import type { ThreadTables } from "./threads/thread_tables.ts";

export interface DeviceParts {
  readonly indices: IndexTable;
  readonly replay: Pick<ReplayWindows, "reset" | "accept">;
  readonly counters: SendCounters;
  readonly readers: Readers | null;
}

type Random = (out: Uint8Array) => void;

/** One thread: plain memory, nothing is ever waited for. */
export function ownParts(tables: DeviceTables, random: Random): DeviceParts {
  return {
    indices: new IndexTable(random),
    replay: new ReplayWindows(tables.replay),
    counters: new OwnSendCounters(tables),
    readers: null,
  };
}

/** Several threads. */
export function sharedParts(tables: DeviceTables, threads: ThreadTables, random: Random): DeviceParts {
  return {
    indices: new IndexTable(random, undefined, threads.indices),
    replay: new SharedReplayWindows(tables.replay, threads.replayLocks),
    counters: new SharedSendCounters(tables),
    readers: new Grace(threads),
  };
}
