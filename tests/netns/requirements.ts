/** Tests that need root and programs of the host: skipped with the reason in their name where something is missing. */

import { closeAllLabs } from "./lab.ts";
import { exists, readText } from "./process.ts";

const CAP_NET_ADMIN = 12n;
const CAP_SYS_ADMIN = 21n;

const FOLDERS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** What every lab needs. */
const ALWAYS = ["ip", "wg", "sysctl", "setsid"];

/** Milliseconds a test may take unless it says otherwise. */
const DEFAULT_LIMIT = 180_000;

/**
 * Registers a test that runs in network namespaces.
 *
 * @param needs Programs beyond those of every lab; an absolute path is looked for as it is.
 * @param limit Milliseconds after which the test fails and its namespaces are removed.
 */
export function netnsTest(
  name: string,
  needs: readonly string[],
  body: () => Promise<void>,
  limit: number = DEFAULT_LIMIT,
): void {
  const reason = missing([...ALWAYS, ...needs]);
  Deno.test({
    name: reason === null ? name : `${name} (SKIPPED: ${reason})`,
    ignore: reason !== null,
    fn: () => withLimit(body, limit),
  });
}

/** Why the test can't run here, or null. */
export function missing(needs: readonly string[]): string | null {
  if (Deno.build.os !== "linux") return "needs Linux";
  if (Deno.uid() !== 0) return "needs root";
  if (!hasCapabilities()) return "needs CAP_NET_ADMIN and CAP_SYS_ADMIN";
  if (!isThere("/dev/net/tun")) return "needs /dev/net/tun";
  const absent = needs.filter((program) => !isThere(program));
  return absent.length === 0 ? null : `needs ${absent.join(", ")}`;
}

/** Root of a container may lack what making namespaces takes. */
function hasCapabilities(): boolean {
  const effective = readText("/proc/self/status").match(/^CapEff:\s*([0-9a-f]+)$/m)?.[1] ?? "0";
  const wanted = (1n << CAP_NET_ADMIN) | (1n << CAP_SYS_ADMIN);
  return (BigInt(`0x${effective}`) & wanted) === wanted;
}

function isThere(program: string): boolean {
  const places = program.startsWith("/") ? [program] : FOLDERS.map((folder) => `${folder}/${program}`);
  return places.some(exists);
}

async function withLimit(body: () => Promise<void>, limit: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      // Without its namespaces and processes whatever the test waits for fails at once.
      closeAllLabs().finally(() => reject(new Error(`The test did not end within ${limit / 1000} s`)));
    }, limit);
  });
  try {
    await Promise.race([body(), expired]);
  } finally {
    clearTimeout(timer);
  }
}
