/**
 * A change that is taken back unless it is confirmed, in a file of its own: `/run/culvert/NAME.trial`. It holds what the
 * interface was before, keys included, for no longer than the change is in doubt.
 */
import { readIfThere, removeIfThere, replacePrivately } from "./private_file.ts";
import type { StateStore, Worker } from "./state.ts";

export interface Trial {
  /** "applying", then "waiting"; then "refused" if it is to be taken back at once; at last one of the others. */
  readonly phase: "applying" | "waiting" | "refused" | "reverting" | "reverted" | "failed";
  /** How long it waits. */
  readonly seconds: number;
  readonly applier: Worker;
  /** Who takes it back; null until it has begun to watch. */
  readonly guardian: Worker | null;
  /** What the interface was before, as its author wrote it; null once it is so again. */
  readonly former: unknown;
  /** Why it could not be taken back. */
  readonly reason: string;
}

/** The trial of an interface, null if there is none. */
export function loadTrial(store: StateStore, name: string): Trial | null {
  const text = readIfThere(trialPath(store.directory, name));
  return text === null ? null : JSON.parse(text);
}

export function saveTrial(store: StateStore, name: string, trial: Trial): void {
  store.makeDirectory();
  replacePrivately(trialPath(store.directory, name), trial);
}

/** Ends a trial: what was changed stays. */
export function removeTrial(store: StateStore, name: string): void {
  removeIfThere(trialPath(store.directory, name));
}

export function trialPath(directory: string, name: string): string {
  return `${directory}/${name}.trial`;
}
