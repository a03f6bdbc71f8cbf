/** Going on as another process: in the background, in a session of our own, or with other options of V8. */
import { ENOENT, SyscallError } from "../ffi/errno.ts";
import {
  close,
  dup2,
  duplicate,
  isOpen,
  O_RDWR,
  open,
  pipe,
  readTextFile,
  setCloseOnExec,
  write,
} from "../ffi/file.ts";
import { execve, setDumpable, setNoNewPrivileges, setThreadName } from "../ffi/process.ts";

/** Descriptors above this are not looked for; the usual limit of open files is 1024. */
const HIGHEST_DESCRIPTOR = 4096;
const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
/** Deno takes options of V8 from here, separated by commas; a program that `deno compile` made does not. */
const V8_FLAGS = "DENO_V8_FLAGS";
/** What a shell makes of an interrupted command. */
const INTERRUPTED = 130;

export interface BackgroundOptions {
  /** Environment variable, set to 1, by which the child knows what it is. */
  readonly marker: string;
  /** Descriptors that the child takes over under the same numbers; no others but the standard ones survive. */
  readonly descriptors: readonly number[];
  /** The child's words behind the program's name; without them, this process's own. */
  readonly words?: readonly string[];
  /** The child's stderr stays the caller's for good; otherwise only until the child is ready. */
  readonly keepStderr: boolean;
  /** Options for the child's V8; none if left out. */
  readonly v8Flags?: readonly string[];
  /** Is given the child's end once the child is ready; without it the child is let go of. */
  readonly watch?: (end: Promise<Deno.CommandStatus>) => void;
}

/**
 * Runs this very program again, runtime options and all, as a child in its own session, and waits until it is ready
 * or ended.
 *
 * The child says that it is ready by a line on its stdout, which is a pipe to us. Unless its stderr is kept, that is a
 * pipe to us as well, which we pass on: so nothing of the caller's stays open in the child, and a caller that reads
 * our output to its end is not kept waiting.
 *
 * @returns 0 once the child is ready, else its exit code; 130 if we were told to end meanwhile
 */
export async function continueInBackground(options: BackgroundOptions): Promise<number> {
  sealDescriptors(options.descriptors);
  const nowhere = openNowhere();
  if (nowhere !== null) close(nowhere);
  const child = new Deno.Command(Deno.execPath(), {
    args: commandArguments(options.words ?? Deno.args),
    env: { [options.marker]: "1", ...v8Environment(options.v8Flags ?? []) },
    // A bare root folder has no /dev/null, of which Deno makes "null".
    stdin: nowhere === null ? "piped" : "null",
    stdout: "piped",
    stderr: options.keepStderr ? "inherit" : "piped",
    detached: true,
  }).spawn();
  if (nowhere === null) await child.stdin.close();
  // Its own session does not get the terminal's ^C. The child ends in order, be it ready or not.
  let isInterrupted = false;
  const end = (): void => {
    if (!isInterrupted) child.kill("SIGTERM");
    isInterrupted = true;
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, end);
  const errors = options.keepStderr ? null : passOn(child.stderr);
  try {
    const reader = child.stdout.getReader();
    const isReady = !(await reader.read()).done;
    if (isReady && !isInterrupted) {
      await errors?.stop();
      await reader.cancel();
      if (options.watch === undefined) child.unref();
      else options.watch(child.status);
      return 0;
    }
    const { code } = await child.status;
    await errors?.done;
    return isInterrupted ? INTERRUPTED : code;
  } finally {
    for (const signal of signals) Deno.removeSignalListener(signal, end);
  }
}

/**
 * Starts this very program anew in the same process, with further options for V8; what is inherited stays open.
 *
 * @returns if they were given already, or there are none
 */
export function restartWithV8Flags(flags: readonly string[]): void {
  const environment = v8Environment(flags);
  if (Object.entries(environment).every(([name, value]) => Deno.env.get(name) === value)) return;
  const lines = Object.entries({ ...Deno.env.toObject(), ...environment }).map(([name, value]) => `${name}=${value}`);
  execve(Deno.execPath(), commandLine(), lines);
}

/**
 * In the child: lets go of the caller's standard streams, then tells the waiting parent that all is ready.
 *
 * @throws {SyscallError} EPIPE if the parent is gone: then nobody wants what was started
 */
export function reportReady(keepStderr: boolean): void {
  const parent = duplicate(STDOUT);
  become(openNowhere() ?? openEmpty(), [STDIN]);
  become(openNowhere() ?? openDeaf(), keepStderr ? [STDOUT] : [STDOUT, STDERR]);
  const result = write(parent, new TextEncoder().encode("ready\n"));
  close(parent);
  if (result < 0) throw new SyscallError("tell the parent", -result);
}

/**
 * For a process that holds keys: others of its user cannot read its memory, no core of it is dumped, and neither this
 * thread nor any it starts can gain privileges by a program it runs. Whoever may trace everything still may.
 *
 * @param name of this thread, as `ps` shows it; at most 15 bytes of it
 */
export function hardenProcess(name: string): void {
  setDumpable(false);
  setNoNewPrivileges();
  setThreadName(name);
}

/** A descriptor of `/dev/null`, or null where there is none. */
function openNowhere(): number | null {
  try {
    return open("/dev/null", O_RDWR);
  } catch (error) {
    if (error instanceof SyscallError && error.errno === ENOENT) return null;
    throw error;
  }
}

/** A descriptor with nothing to read. */
function openEmpty(): number {
  const { readFd, writeFd } = pipe();
  close(writeFd);
  return readFd;
}

/** A descriptor that nobody listens to: writing fails with EPIPE, which our log does not mind. */
function openDeaf(): number {
  const { readFd, writeFd } = pipe();
  close(readFd);
  return writeFd;
}

/** Puts an open file in the place of others. */
function become(fd: number, places: readonly number[]): void {
  for (const place of places) dup2(fd, place);
  close(fd);
}

/** Descriptors that our caller left open are not the child's to keep: a lock would be held, a pipe never end. */
function sealDescriptors(kept: readonly number[]): void {
  for (let fd = STDERR + 1; fd < HIGHEST_DESCRIPTOR; fd++) {
    if (isOpen(fd)) setCloseOnExec(fd, !kept.includes(fd));
  }
}

/** How this program is started with `words`: the runtime's options, the script, and they. */
function commandArguments(words: readonly string[]): string[] {
  const own = commandLine();
  return [...own.slice(1, own.length - Deno.args.length), ...words];
}

/** How this program was started: its name, the runtime's options, the script, our words. */
function commandLine(): string[] {
  // Each argument ends in a NUL, the last one too.
  return readTextFile("/proc/self/cmdline").split("\0").slice(0, -1);
}

/** @returns what gives V8 these flags besides those that the environment gives it */
function v8Environment(flags: readonly string[]): Record<string, string> {
  if (flags.length === 0 || Deno.build.standalone) return {};
  const given = Deno.env.get(V8_FLAGS)?.split(",") ?? [];
  return { [V8_FLAGS]: [...new Set([...given, ...flags])].filter((flag) => flag !== "").join(",") };
}

/** Copies `stream` to our stderr until it ends or is stopped. */
function passOn(stream: ReadableStream<Uint8Array>): { done: Promise<void>; stop: () => Promise<void> } {
  const reader = stream.getReader();
  const copy = async (): Promise<void> => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      Deno.stderr.writeSync(value);
    }
  };
  return { done: copy(), stop: () => reader.cancel() };
}
