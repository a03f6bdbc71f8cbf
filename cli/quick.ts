/** The verbs of `wg-quick`, under culvert's name and under `wg-quick`'s, and `cleanup`. */
import { Argument, Command, Option } from "commander";
import { stripConfig } from "../config/config_strip.ts";
import { listAllInterfaces } from "../control/interface_client.ts";
import { StateStore } from "../host/state.ts";
import { readEnvironment } from "./environment.ts";
import { OperatorError } from "./errors.ts";
import { Interruption } from "./interruption.ts";
import { checkInterfaceName } from "./names.ts";
import { print, printError } from "./output.ts";
import { locateConfig, readQuickConfig, readText, wipeQuickConfig } from "./quick_config.ts";
import { asOperatorError, requireRoot, startTeller } from "./tunnel.ts";
import { bringDown, cleanUp } from "./tunnel_down.ts";
import { saveTunnel } from "./tunnel_save.ts";
import { keepUp } from "./tunnel_supervision.ts";
import { bringUp } from "./tunnel_up.ts";

const CONFIG = "name of the interface, or the path of its file";

/** What is said of a verb, in `wg-quick`'s usage as well. */
const SUMMARIES = {
  up: "bring a tunnel up: interface, addresses, routes, name servers, hooks",
  down: "take a tunnel down, restoring the host",
  save: "write what a tunnel is now to its file",
  strip: "print a file without the keys that wg does not know",
} as const;

type QuickVerb = keyof typeof SUMMARIES;

interface UpWords {
  readonly killSwitch?: boolean;
  readonly kernel?: boolean;
  readonly foreground?: boolean;
}

/** `culvert up` and the others. */
export function quickCommands(): Command[] {
  const config = (): Argument => new Argument("<name|file>", CONFIG);
  return [
    new Command("up").description(SUMMARIES.up).addArgument(config())
      .addOption(new Option("--kill-switch", "let nothing out but through the tunnel, until down"))
      .addOption(new Option("-f, --foreground", "stay, bring the tunnel up again if it dies, take it down at the end"))
      .addOption(new Option("--kernel", "have the kernel's own WireGuard move the packets"))
      .action((word: string, options: UpWords) => up("culvert", word, options)),
    new Command("down").description(SUMMARIES.down).addArgument(config())
      .action((word: string) => down("culvert", word)),
    new Command("save").description(SUMMARIES.save).addArgument(config())
      .action((word: string) => save("culvert", word)),
    new Command("strip").description(SUMMARIES.strip).addArgument(config()).action(strip),
    new Command("cleanup").description("undo what tunnels have left whose process was killed")
      .argument("[name]", "only what this interface has left")
      .action(cleanup),
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
  switch (verb) {
    case "up":
      return await up("wg-quick", word, {});
    case "down":
      return await down("wg-quick", word);
    case "save":
      return await save("wg-quick", word);
    case "strip":
      return strip(word);
  }
}

async function up(program: string, word: string, { killSwitch, kernel, foreground }: UpWords): Promise<void> {
  requireRoot("up");
  const wishes = { killSwitch: killSwitch === true, usesKernel: kernel === true };
  if (foreground) return await keepUp(word, wishes, startTeller(program));
  const tell = startTeller(program);
  const quick = readQuickConfig(locateConfig(word), (message) => printError(`${message}\n`));
  const { keepsLog } = readEnvironment((key) => Deno.env.get(key));
  const options = { ...wishes, killSwitch: wishes.killSwitch || quick.killSwitch, words: [], keepsLog };
  using interruption = new Interruption();
  try {
    await bringUp(quick, options, interruption, tell);
  } finally {
    wipeQuickConfig(quick);
  }
}

async function down(program: string, word: string): Promise<void> {
  requireRoot("down");
  using interruption = new Interruption();
  await asOperator(bringDown(word, interruption, startTeller(program)));
}

async function save(program: string, word: string): Promise<void> {
  requireRoot("save");
  const quick = readQuickConfig(locateConfig(word), (message) => printError(`${message}\n`));
  try {
    if (!(await listAllInterfaces()).includes(quick.name)) {
      throw new OperatorError(`\`${quick.name}' is not a WireGuard interface`);
    }
    await asOperator(saveTunnel(quick, new StateStore().load(quick.name), startTeller(program)));
  } finally {
    wipeQuickConfig(quick);
  }
}

function strip(word: string): void {
  print(stripConfig(readText(locateConfig(word).file)));
}

async function cleanup(name: string | undefined): Promise<void> {
  requireRoot("cleanup");
  if (name !== undefined) checkInterfaceName(name);
  await asOperator(cleanUp(name ?? null, startTeller("culvert")));
}

async function asOperator(task: Promise<void>): Promise<void> {
  try {
    await task;
  } catch (error) {
    throw asOperatorError(error);
  }
}

function usage(): string {
  const verbs = Object.entries(SUMMARIES).map(([verb, summary]) => `  ${verb.padEnd(6)} ${summary}`);
  return `Usage: wg-quick [ up | down | save | strip ] [ CONFIG_FILE | INTERFACE ]\n\n${verbs.join("\n")}\n\n` +
    "  INTERFACE stands for /etc/wireguard/INTERFACE.conf; CONFIG_FILE is named after the interface, INTERFACE.conf.\n";
}
