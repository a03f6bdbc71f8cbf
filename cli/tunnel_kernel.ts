/** Tunnels whose packets the kernel's own WireGuard moves. */
import { createKernelLink, linkIndex } from "../host/host_link.ts";
import { currentPlace, type HostState, isKernelState, type Journal } from "../host/state.ts";
import type { Teller } from "./tunnel.ts";

/** What the kernel's WireGuard does not do. */
const LOST =
  "without reasons for drops, key log, endpoints' names looked up again, and word to peers from another network";

/** Makes the interface of a start. @throws {HostError} if the kernel has no WireGuard */
export function makeKernelInterface(journal: Journal, tell: Teller): void {
  const { name } = journal.state;
  const unknown = { kind: "link", index: 0, isKernel: true } as const;
  tell.step(`make ${name}, of the kernel's WireGuard; ${LOST}`);
  journal.change(unknown, () => createKernelLink(name));
  journal.amend(unknown, { ...unknown, index: linkIndex(name) });
}

/** Whether the interface may be up where it was made, which cannot be seen from another network namespace. */
export function isKernelSinceBoot(state: HostState): boolean {
  return isKernelState(state) && state.place.boot === currentPlace().boot;
}
