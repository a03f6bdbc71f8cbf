/** What the verbs of `wg-quick` do; loaded when one of them runs. */
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

export interface UpWords {
  readonly killSwitch?: boolean;
  readonly kernel?: boolean;
  readonly foreground?: boolean;
}

/** @param program who it says that it is */
export async function up(program: string, word: string, { killSwitch, kernel, foreground }: UpWords): Promise<void> {
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

export async function down(program: string, word: string): Promise<void> {
  requireRoot("down");
  using interruption = new Interruption();
  await asOperator(bringDown(word, interruption, startTeller(program)));
}

export async function save(program: string, word: string): Promise<void> {
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

export function strip(word: string): void {
  print(stripConfig(readText(locateConfig(word).file)));
}

export async function cleanup(name: string | undefined): Promise<void> {
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
