/** `check FILE…`: what a configuration gets wrong, before it is used. */
import { Command, Option } from "commander";
import { type Finding, lintConfig } from "../config/lint.ts";
import { OperatorError } from "./errors.ts";
import { print } from "./output.ts";
import { servicePort } from "./service_ports.ts";
import { readToEnd } from "./wg_files.ts";

interface CheckOptions {
  readonly json?: boolean;
  readonly strict?: boolean;
}

/** `culvert check FILE…`. @param result where the exit code is put */
export function checkCommand(result: { code: number }): Command {
  return new Command("check")
    .description("look for mistakes in configuration files")
    .argument("<files...>", "files of wg or wg-quick")
    .addOption(new Option("--json", "print the findings as JSON"))
    .addOption(new Option("--strict", "fail for warnings too"))
    .action((files: string[], options: CheckOptions) => {
      const findings = files.flatMap(checkFile);
      print(options.json ? `${JSON.stringify(findings, null, 2)}\n` : findings.map(formatFinding).join(""));
      const failing = options.strict ? ["error", "warning"] : ["error"];
      result.code = findings.some(({ level }) => failing.includes(level)) ? 1 : 0;
    });
}

/** @throws {OperatorError} if the file cannot be read */
function checkFile(file: string): Finding[] {
  try {
    using opened = Deno.openSync(file, { read: true });
    const { mode, isFile } = opened.statSync();
    const source = new TextDecoder("utf-8", { ignoreBOM: true }).decode(readToEnd(opened));
    return lintConfig(source, { file, servicePort, ...isFile && mode !== null ? { mode } : {} });
  } catch (error) {
    if (!(error instanceof Error) || error instanceof Deno.errors.NotCapable) throw error;
    throw new OperatorError(`cannot read ${file}: ${error.message}`);
  }
}

/** `file:line: level: message (rule)` and what to do about it. */
export function formatFinding({ file, line, level, rule, message, remedy }: Finding): string {
  const place = line === 0 ? file : `${file}:${line}`;
  return `${place}: ${level}: ${message} [${rule}]\n  remedy: ${remedy}\n`;
}
