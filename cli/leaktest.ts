/** `leaktest NAME`: whether anything gets past the tunnel, found out by trying. */
import { Command, Option } from "commander";

interface LeaktestOptions {
  readonly json?: boolean;
}

/** `culvert leaktest NAME`. @param result where the exit code is put */
export function leaktestCommand(result: { code: number }): Command {
  return new Command("leaktest")
    .description("try to get packets past a tunnel, and tell what left the host")
    .argument("<name>", "name of the interface")
    .addOption(new Option("--json", "print the results as JSON"))
    .action(async (name: string, options: LeaktestOptions) => {
      const { leaktest } = await import("./leaktest_verb.ts");
      result.code = await leaktest(name, options.json === true);
    });
}
