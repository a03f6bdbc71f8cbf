/** The file that `up` and its like are given, by its path or by the interface's name. */
import { basename, resolve } from "node:path";
import { type Config, wipeConfig } from "../config/config.ts";
import { ConfigError } from "../config/config_error.ts";
import { type ReadResult, scanConfig } from "../config/config_reader.ts";
import { ConfigText } from "../config/config_text.ts";
import { OperatorError } from "./errors.ts";
import { isInterfaceName } from "./names.ts";
import { servicePort } from "./service_ports.ts";

const CONFIG_DIRECTORY = "/etc/wireguard";
const SUFFIX = ".conf";
/** Rights of those who are neither the owner nor in the group. */
const OTHERS = 0o007;

/** Where a configuration is, whether or not it is there. */
export interface ConfigPlace {
  /** Of the interface. */
  readonly name: string;
  /** Absolute. */
  readonly file: string;
}

export interface QuickConfig extends ConfigPlace {
  readonly text: string;
  readonly lines: ConfigText;
  /** With `config` in it. */
  readonly scanned: ReadResult;
  readonly config: Config;
  readonly killSwitch: boolean;
}

/**
 * The interface and file that a word means: a bare interface name stands for `/etc/wireguard/NAME.conf`.
 *
 * @throws {OperatorError} for a path that does not end in an interface name and `.conf`
 */
export function locateConfig(word: string): ConfigPlace {
  if (isInterfaceName(word)) return { name: word, file: `${CONFIG_DIRECTORY}/${word}${SUFFIX}` };
  const name = basename(word).slice(0, -SUFFIX.length);
  if (word.endsWith(SUFFIX) && isInterfaceName(name)) return { name, file: resolve(word) };
  throw new OperatorError("The config file must be a valid interface name, followed by .conf");
}

/**
 * Reads a configuration.
 *
 * @param warn told if others can read the file
 * @throws {OperatorError} if it is not there, or a line of it is wrong
 */
export function readQuickConfig({ name, file }: ConfigPlace, warn: (message: string) => void): QuickConfig {
  const text = readText(file);
  if (isWorldAccessible(file)) warn(`Warning: \`${file}' is world accessible`);
  try {
    const lines = ConfigText.parse(text);
    const scanned = scanConfig(lines, { file, quick: true, servicePort });
    if (scanned.errors.length > 0) throw scanned.errors[0];
    const { config } = scanned;
    return { name, file, text, lines, scanned, config, killSwitch: wantsKillSwitch(config, file) };
  } catch (error) {
    if (error instanceof ConfigError) throw new OperatorError(error.message);
    throw error;
  }
}

/** The text of a configuration. @throws {OperatorError} */
export function readText(file: string): string {
  try {
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Deno.readFileSync(file));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new OperatorError(`\`${file}' does not exist`);
    if (!(error instanceof Error) || error instanceof Deno.errors.NotCapable) throw error;
    throw new OperatorError(`cannot read ${file}: ${error.message}`);
  }
}

/** Erases the keys. */
export function wipeQuickConfig({ config }: QuickConfig): void {
  wipeConfig(config);
}

function wantsKillSwitch(config: Config, file: string): boolean {
  const wish = config.interface.annotations.findLast(({ key }) => key === "kill-switch")?.value.toLowerCase();
  if (wish === undefined || wish === "off" || wish === "false") return false;
  if (wish === "on" || wish === "true") return true;
  throw new OperatorError(`${file}: @kill-switch: neither on nor off`);
}

/** As wg-quick judges: both the file and its folder let others do something. */
function isWorldAccessible(file: string): boolean {
  const real = Deno.realPathSync(file);
  const folder = real.slice(0, real.lastIndexOf("/")) || "/";
  return ((Deno.statSync(real).mode ?? 0) & (Deno.statSync(folder).mode ?? 0) & OTHERS) !== 0;
}
