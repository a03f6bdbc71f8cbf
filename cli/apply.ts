/** `apply` and `confirm`: the command line of changing a tunnel that is up. */
import { Command, Option } from "commander";
import { UsageError } from "./errors.ts";

export interface ApplyWords {
  readonly dryRun?: boolean;
  readonly confirm?: number;
  readonly json?: boolean;
}

/** Longer is surely a mistake: a day. */
const GREATEST_WAIT = 86_400;

/** @param result where the exit code is put */
export function applyCommands(result: { code: number }): Command[] {
  return [
    new Command("apply").description("make a tunnel that is up match its file, changing only what differs")
      .argument("<name|file>", "name of the interface, or the path of its file")
      .addOption(new Option("--dry-run", "print what would change, and change nothing"))
      .addOption(
        new Option("--confirm <seconds>", "take the change back unless it is confirmed in time").argParser(readSeconds),
      )
      .addOption(new Option("--json", "print the plan as JSON"))
      .action(async (word: string, words: ApplyWords) => {
        const { applyVerb } = await import("./apply_verb.ts");
        result.code = await applyVerb(word, words);
      }),
    new Command("confirm").description("have a change stay that waits to be confirmed")
      .argument("<name|file>", "name of the interface, or the path of its file")
      .action(async (word: string) => {
        const { confirmVerb } = await import("./apply_verb.ts");
        confirmVerb(word);
      }),
  ];
}

function readSeconds(text: string): number {
  const seconds = Number(text);
  if (/^[1-9]\d*$/.test(text) && seconds <= GREATEST_WAIT) return seconds;
  throw new UsageError(`--confirm takes a number of seconds from 1 to ${GREATEST_WAIT}`);
}
