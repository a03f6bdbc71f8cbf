/**
 * Gets the newest wireguard-go into a folder of our own: built by Go, or the package of Debian sid unpacked. Nothing is
 * installed, and the system's own wireguard-go is never touched.
 */
import { encodeHex } from "../../crypto/encoding.ts";
import { run } from "../netns/process.ts";
import type { Named } from "./options.ts";

const MODULE = "golang.zx2c4.com/wireguard@latest";
const BUILD_TIMEOUT = 300_000;
const DOWNLOAD_TIMEOUT = 60_000;

/** @returns null if it cannot be had; `tell` has heard why */
export async function fetchWireguardGo(tell: (line: string) => void): Promise<Named | null> {
  const cache = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "/tmp"}/.cache`;
  const folder = `${cache}/culvert-bench`;
  await Deno.mkdir(folder, { recursive: true });
  for (const [how, get] of [["go install", build], ["Debian sid's package", unpack]] as const) {
    try {
      const path = await get(folder);
      tell(`Fetched the newest wireguard-go by ${how}: ${path}`);
      return { name: "", value: path };
    } catch (error) {
      tell(`${how} did not yield a wireguard-go: ${error instanceof Error ? error.message : error}`);
    }
  }
  tell("SKIPPED: the newest wireguard-go can't be had, the comparison with it is missing");
  return null;
}

async function build(folder: string): Promise<string> {
  const env = { GOBIN: folder, GOFLAGS: "-trimpath" };
  const { code, stderr } = await run(["go", "install", MODULE], { env, timeout: BUILD_TIMEOUT });
  if (code !== 0) throw new Error(stderr.trim().split("\n").at(-1));
  // Named after its module, not after the program.
  return `${folder}/wireguard`;
}

async function unpack(folder: string): Promise<string> {
  const architecture = Deno.build.arch === "aarch64" ? "arm64" : "amd64";
  const archive = await findArchive();
  const { path, digest } = findPackage(await index(archive, architecture));
  const bytes = await download(archive + path);
  const found = encodeHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
  if (found !== digest) throw new Error(`${path} is not what the index says`);
  const file = `${folder}/wireguard-go.deb`;
  await Deno.writeFile(file, bytes);
  const target = `${folder}/sid`;
  const { code, stderr } = await run(["dpkg", "-x", file, target]);
  if (code !== 0) throw new Error(stderr.trim());
  return `${target}/usr/bin/wireguard-go`;
}

/** Where this system's own packages come from, ending in a slash: sid's lie beside them. */
async function findArchive(): Promise<string> {
  const { code, stdout, stderr } = await run(["apt-get", "indextargets", "--format", "$(REPO_URI)"]);
  if (code !== 0) throw new Error(stderr.trim());
  const found = stdout.split("\n").find((uri) => uri.endsWith("/debian/"));
  if (found === undefined) throw new Error("apt knows no archive of Debian");
  return found;
}

/** Sid's list of packages, a stanza for each. */
async function index(archive: string, architecture: string): Promise<string> {
  const packed = await download(`${archive}dists/sid/main/binary-${architecture}/Packages.gz`);
  return await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

function findPackage(list: string): { path: string; digest: string } {
  const start = list.indexOf("\nPackage: wireguard-go\n");
  const stanza = start < 0 ? "" : list.slice(start, list.indexOf("\n\n", start));
  const path = stanza.match(/^Filename: (\S+)$/m)?.[1];
  const digest = stanza.match(/^SHA256: ([0-9a-f]{64})$/m)?.[1];
  if (path === undefined || digest === undefined) throw new Error("Debian sid lists no wireguard-go");
  return { path, digest };
}

async function download(url: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT) });
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}
