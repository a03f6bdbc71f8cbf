/** Other programs of the host, for what only they can do. */
import { HostError } from "./host_error.ts";

const FOLDERS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** The path of a program, null if there is none. @param path `$PATH`; the usual folders are looked into as well */
export function findProgram(name: string, path: string = Deno.env.get("PATH") ?? ""): string | null {
  for (const folder of [...path.split(":").filter((folder) => folder !== ""), ...FOLDERS]) {
    const file = `${folder}/${name}`;
    if (isExecutable(file)) return file;
  }
  return null;
}

/**
 * Runs a program with text on its stdin; what it prints goes to our stderr.
 *
 * @returns its exit code
 */
export async function runProgram(program: string, args: readonly string[], input: string): Promise<number> {
  const child = new Deno.Command(program, { args: [...args], stdin: "piped", stdout: "piped", stderr: "inherit" })
    .spawn();
  const writer = child.stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(input));
    await writer.close();
  } catch (error) {
    // It ended without reading; its exit code tells why.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
  const { code, stdout } = await child.output();
  Deno.stderr.writeSync(stdout);
  return code;
}

/**
 * Runs a hook in a shell of its own: bash where it is, as the authors of hooks expect, else sh. A command that fails
 * ends it, as in wg-quick.
 *
 * @param end when it is aborted, the shell is told to end
 * @throws {HostError} if the hook fails
 */
export async function runHook(hook: string, end: AbortSignal): Promise<void> {
  const bash = findProgram("bash");
  const [shell, options] = bash === null
    ? [findProgram("sh"), ["-e"]]
    : [bash, ["-e", "-o", "pipefail", "-O", "extglob"]];
  if (shell === null) throw new HostError(`cannot run the hook "${hook}": there is neither bash nor sh`);
  const child = new Deno.Command(shell, {
    args: [...options, "-c", hook],
    stdin: "inherit",
    stdout: "inherit",
    stderr: "inherit",
    env: { LC_ALL: "C" },
  }).spawn();
  const stop = (): void => child.kill("SIGTERM");
  end.addEventListener("abort", stop, { once: true });
  try {
    const { code, signal } = await child.status;
    if (signal !== null) throw new HostError(`the hook "${hook}" was ended by ${signal}`);
    if (code !== 0) throw new HostError(`the hook "${hook}" failed with exit code ${code}`);
  } finally {
    end.removeEventListener("abort", stop);
  }
}

function isExecutable(file: string): boolean {
  try {
    const { isFile, mode } = Deno.statSync(file);
    return isFile && ((mode ?? 0) & 0o111) !== 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return false;
    if (error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}
