/** The tunnel's interface: made or taken over, and set up before anybody brings it up. */
import { EACCES, EBUSY, EINVAL, ENODEV, ENOENT, ENXIO, EPERM, SyscallError } from "../ffi/errno.ts";
import { close } from "../ffi/file.ts";
import { getLink, setAddressGenerationNone, setLinkMtu } from "../ffi/link.ts";
import { inNamespace } from "../ffi/namespace.ts";
import { type Netlink, openNetlink } from "../ffi/netlink.ts";
import { adoptTun, IFF_NO_PI, IFF_TUN, IFF_VNET_HDR, openTun, tunNetworkNamespace } from "../ffi/tun.ts";
import { HostError } from "./host_error.ts";

/** An open TUN device; it vanishes when the descriptor is closed. */
export interface TunnelInterface {
  readonly fd: number;
  /** Further queues of the device, for further threads. */
  readonly furtherFds: readonly number[];
  readonly name: string;
  /** Another program opened it. */
  readonly isAdopted: boolean;
  /** Every packet has a vnet header, so that the kernel's offloads can be used. */
  readonly hasVnetHeader: boolean;
}

/**
 * Makes a TUN device.
 *
 * @param name 1 to 15 bytes
 * @param queues how many descriptors, one for each thread; a persistent device made with one queue stays at one
 * @throws {HostError}
 */
export function createInterface(name: string, queues = 1): TunnelInterface {
  try {
    const { furtherFds, ...tun } = openQueues(name, queues);
    return { ...tun, furtherFds, isAdopted: false, hasVnetHeader: true };
  } catch (error) {
    throw error instanceof SyscallError ? new HostError(creationFailure(name, error)) : error;
  }
}

/**
 * Takes over a TUN device that another program opened.
 *
 * @throws {HostError} if the descriptor is something else, or of a shape we do not speak
 */
export function adoptInterface(fd: number): TunnelInterface {
  try {
    const { name, flags } = adoptTun(fd);
    if ((flags & IFF_TUN) === 0 || (flags & IFF_NO_PI) === 0) {
      throw new HostError(`descriptor ${fd} is not a TUN opened with IFF_NO_PI; open it so`);
    }
    return { fd, furtherFds: [], name, isAdopted: true, hasVnetHeader: (flags & IFF_VNET_HDR) !== 0 };
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    throw new HostError(`descriptor ${fd} is not an open TUN device (${error.code}); check WG_TUN_FD`);
  }
}

/** Lets the interface go. */
export function releaseInterface(tunnel: TunnelInterface): void {
  for (const fd of [...tunnel.furtherFds, tunnel.fd]) close(fd);
}

function openQueues(name: string, queues: number): { fd: number; name: string; furtherFds: number[] } {
  const furtherFds: number[] = [];
  const first = queues === 1 ? null : openFirstQueue(name);
  if (first === null) return { ...openTun(name, { vnetHdr: true }), furtherFds };
  try {
    while (furtherFds.length < queues - 1) {
      furtherFds.push(openTun(first.name, { vnetHdr: true, multiQueue: true }).fd);
    }
  } catch (error) {
    for (const fd of [...furtherFds, first.fd]) close(fd);
    throw error;
  }
  return { ...first, furtherFds };
}

/**
 * A new device, or null if there is one of the name, or queues are unknown to the kernel. It must be new: a queue could
 * be had of another program's device too.
 */
function openFirstQueue(name: string): { fd: number; name: string } | null {
  try {
    return openTun(name, { vnetHdr: true, multiQueue: true, exclusive: true });
  } catch (error) {
    if (error instanceof SyscallError && (error.errno === EBUSY || error.errno === EINVAL)) return null;
    throw error;
  }
}

/**
 * Gives the interface its MTU, and keeps the kernel from giving it an IPv6 address and soliciting routers through the
 * tunnel. Neither is worth failing for: a kernel may lack the second, and where an interface that was handed to us
 * lives in another network namespace we may not be allowed in.
 *
 * @param debug is told what could not be done
 */
export function setUpLink(tunnel: TunnelInterface, mtu: number, debug: (message: string) => void): void {
  attempt("reach the interface", () => {
    const netlink = openNetlinkOf(tunnel);
    try {
      const link = getLink(netlink, tunnel.name);
      if (link === null) return debug("cannot set the link up: the interface is gone");
      attempt("set the MTU", () => setLinkMtu(netlink, link.index, mtu), debug);
      attempt("turn off address generation", () => setAddressGenerationNone(netlink, link.index), debug);
    } finally {
      netlink.close();
    }
  }, debug);
}

/** Netlink where the interface is: an interface of the same name here may be another one. */
function openNetlinkOf(tunnel: TunnelInterface): Netlink {
  if (!tunnel.isAdopted) return openNetlink();
  const namespace = tunNetworkNamespace(tunnel.fd);
  try {
    return inNamespace(namespace, () => openNetlink());
  } finally {
    close(namespace);
  }
}

function attempt(what: string, action: () => void, debug: (message: string) => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    debug(`cannot ${what}: ${error.message}`);
  }
}

function creationFailure(name: string, error: SyscallError): string {
  switch (error.errno) {
    case ENOENT:
      return "there is no /dev/net/tun; load the driver with: modprobe tun (in a container: --device /dev/net/tun)";
    case ENODEV:
    case ENXIO:
      return "the kernel has no TUN driver; load it with: modprobe tun";
    case EPERM:
    case EACCES:
      return `not allowed to make the interface ${name}; run as root, or with CAP_NET_ADMIN`;
    case EBUSY:
    case EINVAL:
      return `an interface named ${name} exists already; choose another name, or delete it: ip link delete ${name}`;
    default:
      return `cannot make the interface ${name}: ${error.message}`;
  }
}
