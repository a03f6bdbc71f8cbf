/** Which TUN port a descriptor gets, and which offloads the kernel grants it. */
import { createKernelAead } from "../crypto/kernel_aead.ts";
import {
  setTunOffload,
  TUN_F_CSUM,
  TUN_F_TSO4,
  TUN_F_TSO6,
  TUN_F_TSO_ECN,
  TUN_F_USO4,
  TUN_F_USO6,
} from "../ffi/tun.ts";
import type { Arena } from "./arena.ts";
import { createInternetSum, type InternetSum } from "./checksum.ts";
import { OffloadTunPort } from "./offload_tun_port.ts";
import { PlainTunPort, type TunPort } from "./tun_port.ts";
import { TunQueues } from "./tun_queues.ts";

const TCP_OFFLOADS = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
const UDP_OFFLOADS = TUN_F_USO4 | TUN_F_USO6;
/** From the most to the least; the first that the kernel grants is used. */
const OFFLOADS: readonly number[] = [
  TCP_OFFLOADS | TUN_F_TSO_ECN | UDP_OFFLOADS,
  TCP_OFFLOADS | TUN_F_TSO_ECN,
  TCP_OFFLOADS,
  TUN_F_CSUM,
];

/**
 * @param hasVnetHeader packets on the descriptor have vnet headers, whether or not offloads are used
 * @param usesOffload let the kernel leave cutting and joining to us
 * @param queues all descriptors of the device if there are several
 */
export function openTunPort(
  arena: Arena,
  descriptor: number,
  hasVnetHeader: boolean,
  usesOffload: boolean,
  queues: readonly number[] = [],
): TunPort {
  const all = queues.length > 1 ? new TunQueues(queues, arena.view) : null;
  if (!hasVnetHeader) return new PlainTunPort(arena, descriptor, all);
  const granted = usesOffload ? OFFLOADS.find((offloads) => setTunOffload(descriptor, offloads)) ?? 0 : 0;
  if (granted === 0) setTunOffload(descriptor, 0);
  const mergesUdp = (granted & UDP_OFFLOADS) !== 0;
  return new OffloadTunPort(arena, descriptor, internetSum(arena), granted !== 0, mergesUdp, all);
}

/** The kernel engine's, six times as fast as JavaScript's, where there is one. */
function internetSum(arena: Arena): InternetSum {
  return createKernelAead(arena.memory)?.sum ?? createInternetSum(arena.view);
}
