/** The verbs of `wg`, under culvert's name and under `wg`'s. Words, texts and exit codes are `wg`'s. */
import { Command } from "commander";
import { OperatorError } from "./errors.ts";
import { genkeyCommand } from "./genkey.ts";
import { genpskCommand } from "./genpsk.ts";
import { print, printError } from "./output.ts";
import { pubkeyCommand } from "./pubkey.ts";
import { VERSION } from "./version.ts";
import { confVerb } from "./wg_conf.ts";
import { WgError } from "./wg_errors.ts";
import { SET_USAGE, setVerb } from "./wg_set.ts";
import { SHOW_USAGE, showconfVerb, showVerb } from "./wg_show.ts";

/** The wireguard-tools whose behaviour this is. */
const TOOLS_VERSION = "1.0.20250521";

interface WgVerb {
  readonly name: string;
  /** In `wg`'s words. */
  readonly description: string;
  /** In ours; null for verbs that culvert has of its own. */
  readonly summary: string | null;
  /** What follows the verb. */
  readonly usage: string;
  run(program: string, words: readonly string[]): Promise<number>;
}

const FILE_USAGE = "<interface> <configuration filename>";

const VERBS: readonly WgVerb[] = [
  {
    name: "show",
    description: "Shows the current configuration and device information",
    summary: "print what runs: interfaces, peers, counters",
    usage: `${SHOW_USAGE} [--json]`,
    run: showVerb,
  },
  {
    name: "showconf",
    description: "Shows the current configuration of a given WireGuard interface, for use with `setconf'",
    summary: "print a running interface as a file for setconf",
    usage: "<interface>",
    run: showconfVerb,
  },
  {
    name: "set",
    description: "Change the current configuration, add peers, remove peers, or change peers",
    summary: "change an interface and its peers",
    usage: SET_USAGE,
    run: setVerb,
  },
  {
    name: "setconf",
    description: "Applies a configuration file to a WireGuard interface",
    summary: "replace an interface's configuration by a file",
    usage: FILE_USAGE,
    run: (program, words) => confVerb(program, "setconf", words),
  },
  {
    name: "addconf",
    description: "Appends a configuration file to a WireGuard interface",
    summary: "add a file to an interface's configuration",
    usage: FILE_USAGE,
    run: (program, words) => confVerb(program, "addconf", words),
  },
  {
    name: "syncconf",
    description: "Synchronizes a configuration file to a WireGuard interface",
    summary: "make an interface match a file, keeping sessions",
    usage: FILE_USAGE,
    run: (program, words) => confVerb(program, "syncconf", words),
  },
  {
    name: "genkey",
    description: "Generates a new private key and writes it to stdout",
    summary: null,
    usage: "",
    run: (program, words) => keyVerb(program, genkeyCommand(), words),
  },
  {
    name: "genpsk",
    description: "Generates a new preshared key and writes it to stdout",
    summary: null,
    usage: "",
    run: (program, words) => keyVerb(program, genpskCommand(), words),
  },
  {
    name: "pubkey",
    description: "Reads a private key from stdin and writes a public key to stdout",
    summary: null,
    usage: "",
    run: (program, words) => keyVerb(program, pubkeyCommand(), words),
  },
];

/** Commands for the verbs that culvert has only from `wg`. @param result where the exit code is put */
export function wgCommands(result: { code: number }): Command[] {
  return VERBS.flatMap(({ name, summary, usage, run }) => {
    if (summary === null) return [];
    const command = new Command(name)
      .description(summary)
      .usage(usage)
      .argument("[words...]")
      // Everything behind the verb is the verb's own affair.
      .allowUnknownOption()
      .passThroughOptions()
      .action(async (words: string[]) => {
        result.code = await withWgErrors(() => run("culvert", words));
      });
    return [command];
  });
}

/** What the program does when it is started as `wg`. @returns the exit code */
export async function runAsWg(words: readonly string[]): Promise<number> {
  const [verb = "show", ...rest] = words;
  if (rest.length === 0 && ["-v", "--version", "version"].includes(verb)) {
    print(`wireguard-tools v${TOOLS_VERSION} - culvert ${VERSION}\n`);
    return 0;
  }
  if (rest.length === 0 && ["-h", "--help", "help"].includes(verb)) {
    print(`${programUsage()}\n`);
    return 0;
  }
  return await withWgErrors(() => {
    const found = VERBS.find(({ name }) => name === verb);
    if (found === undefined) throw new WgError(`Invalid subcommand: \`${verb}'\n${programUsage()}`);
    return found.run("wg", rest);
  });
}

async function keyVerb(program: string, command: Command, words: readonly string[]): Promise<number> {
  if (words.length > 0) throw new WgError(`Usage: ${program} ${command.name()}`);
  try {
    await command.parseAsync([], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof OperatorError) throw new WgError(`${program}: ${error.message}`);
    throw error;
  }
}

async function withWgErrors(run: () => Promise<number>): Promise<number> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof WgError)) throw error;
    printError(`${error.message}\n`);
    return 1;
  }
}

function programUsage(): string {
  const verbs = VERBS.map(({ name, description }) => `  ${name}: ${description}`);
  return `Usage: wg <cmd> [<args>]\n\nAvailable subcommands:\n${verbs.join("\n")}\n` +
    "You may pass `--help' to any of these subcommands to view usage.";
}
