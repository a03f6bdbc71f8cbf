/** The programs under test. Each is one word with arguments and environment, started as `wireguard-go` would be. */

const ROOT = new URL("../../", import.meta.url).pathname;

/** A compiled culvert to test in place of the source tree. */
const COMPILED = Deno.env.get("CULVERT_BIN");

/** What a test of culvert needs on the disk. */
export const CULVERT_FILE: string = COMPILED ?? `${ROOT}main.ts`;

export interface Implementation {
  readonly name: string;
  /** Its file or program, for the requirements of a test. */
  readonly needs: string;
  /** Whether its replies leave from the address the peer wrote to. */
  readonly stickySource: boolean;
  /** The command without the interface name. */
  command(): Promise<readonly string[]>;
}

export const WIREGUARD_GO: Implementation = {
  name: "wireguard-go",
  needs: "wireguard-go",
  stickySource: true,
  command: () => Promise.resolve(["wireguard-go"]),
};

export const CULVERT_BATCH: Implementation = culvertOn("batch");
export const CULVERT_DATAGRAM: Implementation = culvertOn("datagram");
export const CULVERTS: readonly Implementation[] = [CULVERT_BATCH, CULVERT_DATAGRAM];

/** culvert with these arguments before the interface name. */
export function culvert(...args: string[]): Implementation {
  return {
    name: ["culvert", ...args].join(" "),
    needs: CULVERT_FILE,
    stickySource: !args.includes("datagram"),
    command: async () => [await program(), ...args],
  };
}

function culvertOn(carrier: string): Implementation {
  return { ...culvert("--carrier", carrier), name: `culvert/${carrier}` };
}

let made: Promise<string> | null = null;

/** The path of an executable that is culvert, as one word: what `WG_QUICK_USERSPACE_IMPLEMENTATION` asks for. */
export function program(): Promise<string> {
  made ??= COMPILED === undefined ? makeWrapper() : Promise.resolve(COMPILED);
  return made;
}

async function makeWrapper(): Promise<string> {
  // The namespaces have no way to the registry, so everything must be in the cache before the first start.
  const workers = [`${ROOT}plane/worker.ts`];
  const cached = await new Deno.Command(Deno.execPath(), { args: ["cache", CULVERT_FILE, ...workers] }).output();
  if (!cached.success) throw new Error(`deno cache failed: ${new TextDecoder().decode(cached.stderr)}`);
  const folder = Deno.makeTempDirSync({ prefix: "culvert-program-" });
  globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  const path = `${folder}/culvert`;
  const config = `${ROOT}deno.json`;
  Deno.writeTextFileSync(
    path,
    `#!/bin/sh\nexec "${Deno.execPath()}" run -A --cached-only --config "${config}" "${CULVERT_FILE}" "$@"\n`,
  );
  Deno.chmodSync(path, 0o755);
  return path;
}
