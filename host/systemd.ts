/** Telling systemd how a service does. Spec: sd_notify(3). */
import { SyscallError } from "../ffi/errno.ts";
import { sendUnixDatagram } from "../ffi/unix.ts";

/**
 * Says it, if somebody asked for it with `NOTIFY_SOCKET`. A manager that does not listen is none of the tunnel's faults.
 *
 * @param state `READY=1` and the like
 * @param path of the socket; `@` stands for the NUL of an abstract one
 */
export function notifySystemd(state: string, path: string = Deno.env.get("NOTIFY_SOCKET") ?? ""): void {
  if (path === "") return;
  try {
    sendUnixDatagram(path.replace(/^@/, "\0"), new TextEncoder().encode(state));
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
  }
}
