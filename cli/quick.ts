/** The verbs of `wg-quick`, under culvert's name and under `wg-quick`'s, and `cleanup`. */
import { Argument, Command, Option } from "commander";
import { OperatorError } from "./errors.ts";
import { printError } from "./output.ts";
import type { UpWords } from "./quick_verbs.ts";

const CONFIG = "name of the interface, or the path of its file";

/** What is said of a verb, in `wg-quick`'s usage as well. */
const SUMMARIES = {
  up: "bring a tunnel up: interface, addresses, routes, name servers, hooks",
  down: "take a tunnel down, restoring the host",
  save: "write what a tunnel is now to its file",
  strip: "print a file without the keys that wg does not know",
} as const;

type QuickVerb = keyof typeof SUMMARIES;

/** `culvert up` and the others. */
export function quickCommands(): Command[] {
  const config = (): Argument => new Argument("<name|file>", CONFIG);
  return [
    new Command("up").description(SUMMARIES.up).addArgument(config())
      .addOption(new Option("--kill-switch", "let nothing out but through the tunnel, until down"))
      .addOption(new Option("-f, --foreground", "stay, bring the tunnel up again if it dies, take it down at the end"))
      .addOption(new Option("--kernel", "have the kernel's own WireGuard move the packets"))
      .action(async (word: string, options: UpWords) => (await load()).up("culvert", word, options)),
    new Command("down").description(SUMMARIES.down).addArgument(config())
      .action(async (word: string) => (await load()).down("culvert", word)),
    new Command("save").description(SUMMARIES.save).addArgument(config())
      .action(async (word: string) => (await load()).save("culvert", word)),
    new Command("strip").description(SUMMARIES.strip).addArgument(config())
      .action(async (word: string) => (await load()).strip(word)),
    new Command("cleanup").description("undo what tunnels have left whose process was killed")
      .argument("[name]", "only what this interface has left")
      .action(async (name: string | undefined) => (await load()).cleanup(name)),
  ];
}

/** What the program does when it is started as `wg-quick`. @returns the exit code */
export async function runAsWgQuick(words: readonly string[]): Promise<number> {
  const [verb, word] = words;
  if (words.length === 1 && ["--help", "-h", "help"].includes(verb)) {
    printError(usage());
    return 0;
  }
  if (words.length !== 2 || !Object.hasOwn(SUMMARIES, verb)) {
    printError(usage());
    return 1;
  }
  try {
    await run(verb as QuickVerb, word);
    return 0;
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    printError(`wg-quick: ${error.message}\n`);
    return 1;
  }
}

async function run(verb: QuickVerb, word: string): Promise<void> {
  const verbs = await load();
  switch (verb) {
    case "up":
      return await verbs.up("wg-quick", word, {});
    case "down":
      return await verbs.down("wg-quick", word);
    case "save":
      return await verbs.save("wg-quick", word);
    case "strip":
      return verbs.strip(word);
  }
}

function load(): Promise<typeof import("./quick_verbs.ts")> {
  return import("./quick_verbs.ts");
}

function usage(): string {
  const verbs = Object.entries(SUMMARIES).map(([verb, summary]) => `  ${verb.padEnd(6)} ${summary}`);
  return `Usage: wg-quick [ up | down | save | strip ] [ CONFIG_FILE | INTERFACE ]\n\n${verbs.join("\n")}\n\n` +
    "  INTERFACE stands for /etc/wireguard/INTERFACE.conf; CONFIG_FILE is named after the interface, INTERFACE.conf.\n";
}
