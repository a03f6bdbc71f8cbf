/** The name servers that the host asked before a tunnel gave it others. */
import { parseAddress } from "../tunnel/address_text.ts";
import { readIfThere, savedText } from "./saved_file.ts";
import type { HostState } from "./state.ts";

const RESOLV_CONF = "/etc/resolv.conf";
/** Where systemd-resolved lists the servers that it asks itself. */
const RESOLVED_CONF = "/run/systemd/resolve/resolv.conf";
/** A file for each interface that told `resolvconf` something. */
const RESOLVCONF_FOLDERS = ["/run/resolvconf/interface", "/run/resolvconf/interfaces"];
const LOOPBACK_NET = 127;

/**
 * Addresses of the name servers in use before `state` was, or those in use now if it changed none.
 *
 * @returns without those on this host itself, for what these ask is not asked in our name
 */
export function formerNameServers(state: HostState | null): Uint8Array[] {
  const servers = addressesOf(formerText(state));
  // A server on this host is as a rule systemd-resolved's.
  const real = servers.every(isLoopback) ? addressesOf(readIfThere(RESOLVED_CONF)) : servers;
  return real.filter((address) => !isLoopback(address));
}

function formerText(state: HostState | null): string {
  for (const change of state?.changes ?? []) {
    if (change.kind === "resolv.conf") return savedText(change.before, change.path);
    if (change.kind === "resolvconf") return otherRecords(change.entry);
  }
  return readIfThere(RESOLV_CONF);
}

/** What `resolvconf` was told by others. @param folders Debian's and openresolv's, or a test's */
export function otherRecords(entry: string, folders: readonly string[] = RESOLVCONF_FOLDERS): string {
  return folders.flatMap((folder) =>
    namesIn(folder).filter((name) => name !== entry).map((name) => readIfThere(`${folder}/${name}`))
  ).join("\n");
}

function namesIn(folder: string): string[] {
  try {
    return [...Deno.readDirSync(folder)].filter(({ isFile }) => isFile).map(({ name }) => name).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** The addresses in a resolv.conf; those with a zone are left out. */
export function addressesOf(text: string): Uint8Array[] {
  return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].flatMap(([, word]) => parseAddress(word) ?? []);
}

function isLoopback(address: Uint8Array): boolean {
  return address.length === 4 ? address[0] === LOOPBACK_NET : address.every((byte, i) => byte === (i === 15 ? 1 : 0));
}
