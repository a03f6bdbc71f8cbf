/** The command line: verbs, options, help, and what each end of a command means as an exit code. */
import { Command, CommanderError, Option } from "commander";
import { basename } from "node:path";
import process from "node:process";
import { ENGINE_NAMES, MAX_THREADS } from "../plane/choices.ts";
import { applyCommands } from "./apply.ts";
import { checkCommand } from "./check.ts";
import { completionCommand } from "./completion.ts";
import type { InterfaceOptions } from "./interface.ts";
import { runInterface } from "./interface_start.ts";
import { DETACHED, type Environment, readEnvironment } from "./environment.ts";
import { OperatorError, UsageError } from "./errors.ts";
import { genkeyCommand } from "./genkey.ts";
import { genpskCommand } from "./genpsk.ts";
import { leaktestCommand } from "./leaktest.ts";
import { checkInterfaceName, checkNotMistyped, RESERVED_VERBS } from "./names.ts";
import { print, printError } from "./output.ts";
import { pubkeyCommand } from "./pubkey.ts";
import { quickCommands, runAsWgQuick } from "./quick.ts";
import { VERSION } from "./version.ts";
import { runAsWg, wgCommands } from "./wg.ts";

export const EXIT_DONE = 0;
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

/** Verbs that the command line library or main itself answers. */
const BUILT_IN_VERBS = ["help", "version"];

/**
 * Runs one command.
 *
 * @param args the words behind the program's name
 * @returns the exit code
 */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  const result = { code: EXIT_DONE };
  try {
    if (basename(process.argv0) === "wg") return await runAsWg(args);
    if (basename(process.argv0) === "wg-quick" && Deno.env.get(DETACHED) !== "1") return await runAsWgQuick(args);
    await createProgram(args, result).parseAsync(args, { from: "user" });
    return result.code;
  } catch (error) {
    return explain(error);
  }
}

/**
 * The command tree. The verbs are left out when the words say that an interface is meant.
 *
 * @param result where the interface's exit code is put
 */
export function createProgram(args: readonly string[], result: { code: number }): Command {
  const verbs = [
    genkeyCommand(),
    genpskCommand(),
    pubkeyCommand(),
    ...wgCommands(result),
    ...quickCommands(),
    leaktestCommand(result),
    ...applyCommands(result),
    checkCommand(result),
    completionCommand(),
    versionCommand(),
  ];
  const names = [...verbs.map((verb) => verb.name()), ...RESERVED_VERBS, ...BUILT_IN_VERBS];
  const interfaceMeant = isInterfaceMeant(args, names);
  const program = new Command("culvert")
    .description("A WireGuard VPN: starts the interface IFNAME, to be configured with wg or with the verbs below.")
    .usage("[options] IFNAME\n       culvert VERB [options]")
    .argument("[IFNAME]", "name of the interface")
    .addOption(new Option("-f, --foreground", "stay in the foreground"))
    .addOption(new Option("--keylog <file>", "append handshake secrets to FILE, for Wireshark"))
    .addOption(
      new Option("--carrier <carrier>", "how datagrams travel").choices(["auto", "batch", "datagram"]).default("auto"),
    )
    .addOption(new Option("--engine <engine>", "what seals packets").choices(ENGINE_NAMES).default("auto"))
    .addOption(
      new Option("--threads <count>", "threads that move packets (default: by the number of cores)").argParser(
        readThreads,
      ),
    )
    .addOption(new Option("--no-offload", "do not let the kernel join and cut packets"))
    .version(`culvert ${VERSION}`, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .enablePositionalOptions()
    .showSuggestionAfterError(false)
    .addHelpText("after", HELP_TEXT)
    .action(async (name: string | undefined, options: ProgramOptions) => {
      result.code = await startInterface(name, options, interfaceMeant ? [] : names);
    });
  if (!interfaceMeant) {
    for (const verb of verbs) program.addCommand(verb);
    program.addCommand(helpCommand(program));
    program.hook("preSubcommand", refuseInterfaceOptions);
  }
  for (const command of [program, ...program.commands]) quieten(command);
  return program;
}

interface ProgramOptions {
  readonly foreground?: boolean;
  readonly keylog?: string;
  readonly carrier: InterfaceOptions["carrier"];
  readonly engine: string;
  readonly offload: boolean;
  readonly threads?: number;
}

const HELP_TEXT = `
A word within two letters of a verb is not taken for an interface unless -f or -- stands before it.

Environment:
  LOG_LEVEL                   verbose or debug, error (default), silent
  WG_PROCESS_FOREGROUND=1     the same as --foreground
  WG_TUN_FD, WG_UAPI_FD       descriptors of an open TUN and of a listening control socket

Exit codes: 0 done, 1 failed, 2 wrong usage.`;

/** -f and -- say that the word is an interface's name, whatever it looks like. */
function isInterfaceMeant(args: readonly string[], verbs: readonly string[]): boolean {
  if (args.length > 0 && verbs.includes(args[0])) return false;
  return args.some((word) => word === "-f" || word === "--foreground" || word === "--");
}

/** Starts the interface `name`, unless it is more likely a mistyped one of `verbs`. */
async function startInterface(
  name: string | undefined,
  options: ProgramOptions,
  verbs: readonly string[],
): Promise<number> {
  if (name === undefined) throw new UsageError("an interface name or a verb is missing; see culvert --help");
  checkInterfaceName(name);
  if (options.carrier === "datagram" && (options.threads ?? 1) > 1) {
    throw new UsageError("--threads is for the batch carrier; the datagram carrier has one thread");
  }
  const environment = readEnvironment((key) => Deno.env.get(key));
  if (!namesOnly(environment)) checkNotMistyped(name, verbs);
  return await runInterface({
    name,
    foreground: options.foreground === true || environment.foreground,
    keyLogFile: options.keylog ?? null,
    carrier: options.carrier,
    engine: options.engine,
    usesOffload: options.offload,
    threads: options.threads ?? null,
    environment,
  });
}

/** Started in wireguard-go's place: by a program, or under its name. Then no person has mistyped a verb. */
function namesOnly(environment: Environment): boolean {
  return environment.foreground || environment.calledByProgram || basename(process.argv0) === "wireguard-go";
}

function readThreads(text: string): number {
  const threads = Number(text);
  if (!/^[1-9]\d*$/.test(text) || threads > MAX_THREADS) {
    throw new UsageError(`--threads takes a number from 1 to ${MAX_THREADS}`);
  }
  return threads;
}

function versionCommand(): Command {
  return new Command("version").description("print the version").action(() => print(`culvert ${VERSION}\n`));
}

function helpCommand(program: Command): Command {
  return new Command("help").description("print this help").argument("[verb]").action((verb: string | undefined) => {
    const command = program.commands.find((candidate) => candidate.name() === verb);
    if (verb !== undefined && command === undefined) throw new UsageError("there is no such verb; see culvert --help");
    print((command ?? program).helpInformation() + (command === undefined ? `${HELP_TEXT}\n` : ""));
  });
}

function refuseInterfaceOptions(program: Command, verb: Command): void {
  const given = program.options.find((option) => program.getOptionValueSource(option.attributeName()) === "cli");
  if (given !== undefined) throw new UsageError(`${given.long} is for interfaces, not for the verb "${verb.name()}"`);
}

/** Errors come to us as exceptions, to become one line. */
function quieten(command: Command): void {
  command.exitOverride().allowExcessArguments(false).configureOutput({
    writeOut: print,
    writeErr: () => {},
    outputError: () => {},
  });
}

/** Says on stderr what went wrong. @returns the exit code */
function explain(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT_DONE;
    return fail(error.message.replace(/^error: /, ""), EXIT_USAGE);
  }
  if (error instanceof UsageError) return fail(error.message, EXIT_USAGE);
  if (error instanceof OperatorError) return fail(error.message, EXIT_FAILED);
  if (error instanceof Deno.errors.NotCapable) {
    return fail(`a permission is missing (${error.message.split(", ")[0]}); start with deno run -A`, EXIT_FAILED);
  }
  if (error instanceof Deno.errors.BrokenPipe) return EXIT_FAILED;
  return fail(error instanceof Error ? `unexpected fault: ${error.stack}` : String(error), EXIT_FAILED);
}

function fail(message: string, code: number): number {
  printError(`culvert: ${message}\n`);
  return code;
}
