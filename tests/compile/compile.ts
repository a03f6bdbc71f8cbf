/**
 * `deno task compile`: the whole program as one executable, `dist/culvert`.
 *
 * Program and worker are bundled first, for `deno compile` would embed every package of deno.lock, those for tests
 * too. The base binary is the one Deno downloads for itself, or `DENORT_BIN`.
 */
import { v8Flags } from "../../plane/v8_flags.ts";

const ROOT = new URL("../../", import.meta.url);
const DIST = new URL("dist/", ROOT);
const BUNDLES = new URL("bundles/", DIST);
const EXECUTABLE = new URL("culvert", DIST);

/** Bundle by entry file. A worker's bundle is found from where the program's bundle lies. */
const MAIN = { entry: "main.ts", bundle: "main.js" };
const WORKER = { entry: "plane/worker.ts", bundle: "worker.js", url: '"./worker.ts"' };

Deno.exit(await main());

async function main(): Promise<number> {
  await Deno.mkdir(BUNDLES, { recursive: true });
  try {
    for (const { entry, bundle } of [MAIN, WORKER]) {
      await deno("bundle", "--quiet", "--platform", "deno", "--output", pathOf(bundle, BUNDLES), pathOf(entry, ROOT));
    }
    await pointToWorker();
    await compile();
  } finally {
    await Deno.remove(BUNDLES, { recursive: true });
  }
  const { size } = await Deno.stat(EXECUTABLE);
  const version = await output(EXECUTABLE.pathname, "--version");
  say(`dist/culvert: ${version.trim()}, ${(size / 1e6).toFixed(0)} MB`);
  return 0;
}

/** The bundle still names the worker's source; there must be exactly one such place. */
async function pointToWorker(): Promise<void> {
  const url = new URL(MAIN.bundle, BUNDLES);
  const parts = (await Deno.readTextFile(url)).split(WORKER.url);
  if (parts.length !== 2) throw new Error(`The bundle names the worker ${parts.length - 1} times instead of once`);
  await Deno.writeTextFile(url, parts.join(`"./${WORKER.bundle}"`));
}

async function compile(): Promise<void> {
  // Without the project's own configuration, whose lock file would bring all packages along.
  const options = ["--quiet", "--no-config", "--no-lock", "--no-check", "--allow-all", "--unstable-net"];
  // The base binary has this Deno's V8. It takes no such flags from its environment later.
  const flags = v8Flags();
  if (flags.length > 0) options.push(`--v8-flags=${flags.join(",")}`);
  const files = ["--include", pathOf(WORKER.bundle, BUNDLES), "--output", EXECUTABLE.pathname];
  await deno("compile", ...options, ...files, pathOf(MAIN.bundle, BUNDLES));
}

async function deno(...args: string[]): Promise<void> {
  await output(Deno.execPath(), ...args);
}

/** What a program prints; its complaints go where ours go. */
async function output(program: string, ...args: string[]): Promise<string> {
  const { success, stdout } = await new Deno.Command(program, { args, stderr: "inherit" }).output();
  if (!success) throw new Error(`${program} ${args[0]} failed`);
  return new TextDecoder().decode(stdout);
}

function pathOf(name: string, base: URL): string {
  return new URL(name, base).pathname;
}

function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}
