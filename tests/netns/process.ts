/**
 * Processes for the end-to-end tests: run one to its end, or start one and end it by its pid. Every wait has a deadline.
 */

export interface RunOptions {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds until the process is killed and an error thrown. */
  readonly timeout?: number;
}

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const DEFAULT_TIMEOUT = 60_000;

/** Runs `command` to its end and returns what it printed, whatever its exit code. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<Output> {
  const timeout = options.timeout ?? DEFAULT_TIMEOUT;
  const child = new Deno.Command(command[0], {
    args: command.slice(1),
    env: options.env,
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let expired = false;
  const timer = setTimeout(() => {
    expired = true;
    kill(child.pid, "SIGKILL");
  }, timeout);
  try {
    if (options.stdin !== undefined) await feed(child.stdin, options.stdin);
    const { code, stdout, stderr } = await child.output();
    if (expired) {
      throw new Error(`${command.join(" ")} did not end within ${timeout} ms: ${decode(stdout)} ${decode(stderr)}`);
    }
    return { code, stdout: decode(stdout), stderr: decode(stderr) };
  } finally {
    clearTimeout(timer);
  }
}

/** As `run`, but any exit code other than 0 is an error. Returns the standard output. */
export async function must(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const output = await run(command, options);
  if (output.code !== 0) {
    throw new Error(`${command.join(" ")} exited with ${output.code}: ${output.stderr || output.stdout}`);
  }
  return output.stdout;
}

/** A process in the background whose output goes to a file, so that nothing it leaves running can hold a pipe open. */
export class Background implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #command: readonly string[];
  readonly #log: string;
  #status: Deno.CommandStatus | null = null;

  /** `log` is created or emptied. */
  constructor(command: readonly string[], log: string, env: Readonly<Record<string, string>> = {}) {
    this.#command = command;
    this.#log = log;
    this.#child = new Deno.Command("sh", {
      args: ["-c", 'log=$1; shift; exec "$@" >"$log" 2>&1', "sh", log, ...command],
      env,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#child.status.then((status) => this.#status = status);
  }

  get pid(): number {
    return this.#child.pid;
  }

  get exited(): boolean {
    return this.#status !== null;
  }

  /** What it has printed so far, both streams. */
  output(): string {
    return readText(this.#log);
  }

  /** Waits for the end and returns the exit code; -1 for a signal. */
  async end(timeout = DEFAULT_TIMEOUT): Promise<number> {
    await waitFor(`the end of ${this.#command.join(" ")}`, () => this.exited, timeout);
    return this.#status!.signal === null ? this.#status!.code : -1;
  }

  signal(signal: Deno.Signal): void {
    kill(this.pid, signal);
  }

  /** Ends it if it still runs: SIGTERM, then SIGKILL after `grace` milliseconds. */
  async [Symbol.asyncDispose](grace = 5_000): Promise<void> {
    if (!this.exited) kill(this.pid, "SIGTERM");
    const timer = setTimeout(() => kill(this.pid, "SIGKILL"), grace);
    await this.#child.status;
    clearTimeout(timer);
  }
}

/**
 * Calls `probe` until it returns something other than false, null or undefined, and returns that.
 *
 * @param what Names the awaited thing in the error.
 * @param timeout Milliseconds.
 */
export async function waitFor<T>(
  what: string,
  probe: () => T | Promise<T>,
  timeout = 10_000,
  interval = 20,
): Promise<NonNullable<Exclude<T, false>>> {
  const deadline = performance.now() + timeout;
  while (true) {
    const value = await probe();
    if (value !== false && value !== null && value !== undefined) return value as NonNullable<Exclude<T, false>>;
    if (performance.now() >= deadline) throw new Error(`Waited ${timeout} ms in vain for ${what}`);
    await sleep(interval);
  }
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Sends a signal to one process; one that has already ended is no error. */
export function kill(pid: number, signal: Deno.Signal): void {
  try {
    Deno.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Whether the process exists and is not a zombie. */
export function isRunning(pid: number): boolean {
  const stat = readText(`/proc/${pid}/stat`);
  return stat !== "" && stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3) !== "Z";
}

/** The text of a file; empty when it does not exist or its process has just ended. */
export function readText(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || (error as { code?: string }).code === "ESRCH") return "";
    throw error;
  }
}

export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function feed(stdin: WritableStream<Uint8Array>, text: string): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch (error) {
    // A program that refuses its input early closes the pipe; its exit code tells the test.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
