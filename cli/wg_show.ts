/** `show` and `showconf`: what runs. */
import { interfaceName } from "../control/interface_name.ts";
import { listAllInterfaces, readInterface } from "../control/interface_client.ts";
import { type DeviceStatus, wipeStatus } from "../control/uapi_status.ts";
import { print, printError } from "./output.ts";
import { wantsColors, withoutColors } from "./wg_colors.ts";
import { explaining, failureText, WgError } from "./wg_errors.ts";
import { formatJson } from "./wg_show_json.ts";
import { formatField, formatHuman, formatShowconf } from "./wg_show_text.ts";

export const SHOW_USAGE =
  "{ <interface> | all | interfaces } [public-key | private-key | listen-port | fwmark | peers | preshared-keys | " +
  "endpoints | allowed-ips | latest-handshakes | transfer | persistent-keepalive | dump]";

/** Runs `show …`. @returns the exit code @throws {WgError} */
export async function showVerb(program: string, words: readonly string[]): Promise<number> {
  const asJson = words.includes("--json");
  const [which = "all", field, ...more] = words.filter((word) => word !== "--json");
  const usage = usageOf(program);
  if (field === undefined && ["-h", "--help", "help"].includes(which)) {
    printError(`${usage}\n`);
    return 0;
  }
  const isNames = which === "interfaces";
  if (more.length > 0 || (field !== undefined && (isNames || asJson))) throw new WgError(usage);
  if (isNames) return await showNames(asJson);
  if (which === "all") return await showAll(field, asJson, program);
  const device = await explaining("Unable to access interface", () => read(which));
  try {
    print(asJson ? formatJson(new Map([[which, device]])) : textOf(which, device, field, false, program));
    return 0;
  } finally {
    wipeStatus(device);
  }
}

/** Runs `showconf INTERFACE`. @returns the exit code @throws {WgError} */
export async function showconfVerb(program: string, words: readonly string[]): Promise<number> {
  if (words.length !== 1) throw new WgError(`Usage: ${program} showconf <interface>`);
  const device = await explaining("Unable to access interface", () => read(words[0]));
  try {
    print(formatShowconf(device));
    return 0;
  } finally {
    wipeStatus(device);
  }
}

function usageOf(program: string): string {
  return `Usage: ${program} show ${SHOW_USAGE}`;
}

async function showNames(asJson: boolean): Promise<number> {
  const names = await list();
  if (asJson) print(`${JSON.stringify(names)}\n`);
  else if (names.length > 0) print(`${names.join(" ")}\n`);
  return 0;
}

/** Interfaces that cannot be read are told of and left out. */
async function showAll(field: string | undefined, asJson: boolean, program: string): Promise<number> {
  const names = await list();
  const devices = new Map<string, DeviceStatus>();
  try {
    for (const name of names) {
      const device = await readOrTell(name);
      if (device !== null) devices.set(name, device);
    }
    if (asJson) {
      print(formatJson(devices));
    } else {
      const texts = [...devices].map(([name, device]) => textOf(name, device, field, true, program));
      print(texts.join(field === undefined ? "\n" : ""));
    }
  } finally {
    for (const device of devices.values()) wipeStatus(device);
  }
  return names.length > 0 && devices.size === 0 ? 1 : 0;
}

async function readOrTell(name: string): Promise<DeviceStatus | null> {
  try {
    return await read(name);
  } catch (error) {
    const text = failureText(error);
    if (text === null) throw error;
    printError(`Unable to access interface ${name}: ${text}\n`);
    return null;
  }
}

async function list(): Promise<string[]> {
  return await explaining("Unable to list interfaces", listAllInterfaces);
}

async function read(name: string): Promise<DeviceStatus> {
  const device = await readInterface(name);
  for (const peer of device.peers) peer.endpoint = peer.endpoint && withZoneName(peer.endpoint);
  return device;
}

/**
 * The zone of a link-local address is shown by name, as getnameinfo does; one of another address, or without an
 * interface, stays a number; zero is none.
 */
function withZoneName(endpoint: string): string {
  return endpoint.replace("%0]", "]").replace(/^(\[fe[89ab][^%]*)%(\d+)\]/i, (zoned, address, index) => {
    const name = interfaceName(Number(index));
    return name === null ? zoned : `${address}%${name}]`;
  });
}

function textOf(
  name: string,
  device: DeviceStatus,
  field: string | undefined,
  withName: boolean,
  program: string,
): string {
  if (field !== undefined) {
    const text = formatField(name, device, field, withName);
    if (text === null) throw new WgError(`Invalid parameter: \`${field}'\n${usageOf(program)}`);
    return text;
  }
  const getEnvironment = (key: string): string | undefined => Deno.env.get(key);
  const showsKeys = getEnvironment("WG_HIDE_KEYS") === "never";
  const text = formatHuman(name, device, {
    now: Math.floor(Date.now() / 1000),
    showsKeys,
    // Under its own name `wg` says what it always said.
    showsNames: program !== "wg",
  });
  return wantsColors(getEnvironment, Deno.stdout.isTerminal()) ? text : withoutColors(text);
}
