/**
 * Any WireGuard interface of this host by its name: through its control socket if it has one, ours or another
 * program's, else through the kernel. As for `wg`, a control socket hides a kernel interface of the same name.
 */
import { ENODEV, EOPNOTSUPP, SyscallError } from "../ffi/errno.ts";
import { type DeviceChange, hasExtensions, statementsOf } from "./device_change.ts";
import { interfaceIndex } from "./interface_index.ts";
import { getKernelDevice, listKernelInterfaces, setKernelDevice } from "./kernel_client.ts";
import { getDevice, listInterfaces, setDevice, UapiError } from "./uapi_client.ts";
import { FEATURES } from "./uapi_extension.ts";
import { type DeviceStatus, wipeStatus } from "./uapi_status.ts";

/** Only Linux has generic netlink. */
const HAS_KERNEL_MODULE = Deno.build.os === "linux";

/** An interface could not be read or changed. */
export class InterfaceError extends Error {
  override readonly name = "InterfaceError";
  /** Positive, as Linux counts. */
  readonly errno: number;

  constructor(interfaceName: string, errno: number, options?: ErrorOptions) {
    super(`Cannot use the interface ${interfaceName}: error ${errno}`, options);
    this.errno = errno;
  }
}

/** Names of all WireGuard interfaces, in alphabetical order. */
export async function listAllInterfaces(): Promise<string[]> {
  const kernel = HAS_KERNEL_MODULE ? listKernelInterfaces() : [];
  return [...new Set([...await listInterfaces(), ...kernel])].sort();
}

/** The configuration and counters of an interface. `wipeStatus` erases its keys. @throws {InterfaceError} */
export async function readInterface(name: string): Promise<DeviceStatus> {
  return await throughSocketOrKernel(name, () => getDevice(name), () => getKernelDevice(name));
}

/**
 * Changes an interface. What only ours understand is kept from others. The change remains the caller's to wipe.
 *
 * @throws {InterfaceError}
 */
export async function changeInterface(name: string, change: DeviceChange): Promise<void> {
  await throughSocketOrKernel(
    name,
    async () => setDevice(name, statementsOf(change, hasExtensions(change) && await isOurs(name))),
    () => setKernelDevice(name, change),
  );
}

/** Another program would refuse a request with our extensions as a whole. */
async function isOurs(name: string): Promise<boolean> {
  const status = await getDevice(name);
  wipeStatus(status);
  return status.features.includes(FEATURES);
}

async function throughSocketOrKernel<T>(name: string, socket: () => Promise<T>, kernel: () => T): Promise<T> {
  if (!isInterfaceName(name)) throw new InterfaceError(name, ENODEV);
  try {
    return await socket();
  } catch (error) {
    if (error instanceof UapiError) throw new InterfaceError(name, error.errno, { cause: error });
    if (!isUnserved(error)) throw error;
    if (!HAS_KERNEL_MODULE) throw new InterfaceError(name, ENODEV, { cause: error });
  }
  try {
    return kernel();
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    // Without the module the kernel cannot say whether the interface is not there, or of another kind.
    const isAbsent = error.errno === EOPNOTSUPP && interfaceIndex(name) === null;
    throw new InterfaceError(name, isAbsent ? ENODEV : error.errno, { cause: error });
  }
}

/** Nobody listens: there is no socket, or one that was left behind. */
function isUnserved(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.ConnectionRefused;
}

function isInterfaceName(name: string): boolean {
  return /^[a-zA-Z0-9_=+.-]{1,15}$/.test(name) && name !== "." && name !== "..";
}
