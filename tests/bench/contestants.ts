/** Who takes part: culvert and every other WireGuard found on this machine. */
import { culvert, type Implementation, WIREGUARD_GO } from "../netns/implementation.ts";
import { run } from "../netns/process.ts";
import type { Named } from "./options.ts";

/** The program at one end of a tunnel. */
export type Program = { readonly kind: "daemon"; readonly implementation: Implementation } | {
  readonly kind: "kernel";
};

export type Role =
  /** What all ratios are of: culvert as it starts by itself. */
  | "subject"
  /** culvert with other options. */
  | "variant"
  /** Somebody else's. */
  | "peer"
  /** One end of each. */
  | "mixed"
  /** The network without a tunnel. */
  | "link";

export interface Contestant {
  /** Unique, for tables and files. */
  readonly name: string;
  readonly version: string;
  readonly role: Role;
  /** The sending and the receiving end; null for no tunnel. */
  readonly ends: readonly [Program, Program] | null;
}

export interface Line {
  readonly contestants: readonly Contestant[];
  /** Name of the newest wireguard-go, which goals refer to; null if there is none. */
  readonly rival: string | null;
}

/** Finds everybody. @param warn is told what was looked for in vain */
export async function findContestants(
  peers: readonly Named[],
  culverts: readonly Named[],
  warn: (line: string) => void,
): Promise<Line> {
  const subject = await ownContestant("culvert", "subject", []);
  const variants = [await ownContestant("culvert datagram", "variant", ["--carrier", "datagram"])];
  for (const { name, value } of culverts) {
    variants.push(await ownContestant(`culvert ${name}`, "variant", value.split(" ").filter((word) => word !== "")));
  }
  const others = await findOthers(peers, warn);
  const rival = newest(others);
  const mixed = rival === null ? [] : [mix(subject, rival), mix(rival, subject)];
  if (rival === null) warn("No wireguard-go was found: there is nothing to compare with; try --fetch");
  const contestants = [subject, ...others, ...variants, ...mixed, { ...LINK }];
  return { contestants, rival: rival?.name ?? null };
}

const LINK: Contestant = { name: "no tunnel", version: "veth", role: "link", ends: null };

async function ownContestant(name: string, role: Role, args: readonly string[]): Promise<Contestant> {
  const implementation = culvert(...args);
  const version = await versionOf(await implementation.command());
  if (version === null) throw new Error(`culvert ${args.join(" ")} does not tell its version`);
  return { name, version, role, ends: twice(implementation) };
}

async function findOthers(peers: readonly Named[], warn: (line: string) => void): Promise<Contestant[]> {
  const given = [...peers];
  const fromEnvironment = Deno.env.get("WIREGUARD_GO");
  if (fromEnvironment !== undefined && fromEnvironment !== "") given.push({ name: "", value: fromEnvironment });
  given.push({ name: "", value: WIREGUARD_GO.needs });
  const found: Contestant[] = [];
  for (const { name, value } of given) {
    const contestant = await daemon(name, value, []);
    if (contestant === null) warn(`${value} does not run here: left out`);
    else if (!found.some((other) => other.name === contestant.name)) found.push(contestant);
  }
  for (const program of ["boringtun-cli", "gotatun"]) {
    const contestant = await daemon(program, program, ["--disable-drop-privileges"]);
    if (contestant === null) warn(`${program} is not installed: left out`);
    else found.push(contestant);
  }
  if (await hasKernelModule()) found.push(await kernelContestant());
  else warn("The kernel has no WireGuard: left out");
  return found;
}

/** A wireguard-go, or what is called like one; its name has its version in it unless it was given. */
async function daemon(name: string, path: string, args: readonly string[]): Promise<Contestant | null> {
  const version = await versionOf([path]);
  if (version === null) return null;
  const full = name === "" ? `wireguard-go ${version.replace(/^0\.0\./, "")}` : name;
  const command = (): Promise<readonly string[]> => Promise.resolve([path, ...args]);
  return { name: full, version, role: "peer", ends: twice({ name: full, needs: path, stickySource: true, command }) };
}

async function kernelContestant(): Promise<Contestant> {
  const version = (await Deno.readTextFile("/proc/sys/kernel/osrelease")).trim();
  return { name: "Linux kernel", version, role: "peer", ends: [{ kind: "kernel" }, { kind: "kernel" }] };
}

async function hasKernelModule(): Promise<boolean> {
  const name = `cvk${Deno.pid.toString(36)}`;
  if ((await run(["ip", "link", "add", name, "type", "wireguard"])).code !== 0) return false;
  await run(["ip", "link", "delete", name]);
  return true;
}

/** The number in the first line of `PROGRAM --version`; null if it cannot be run. */
async function versionOf(command: readonly string[]): Promise<string | null> {
  try {
    const { code, stdout } = await run([...command, "--version"], { timeout: 20_000 });
    if (code !== 0) return null;
    return stdout.split("\n")[0].trim().split(" ").at(-1)?.replace(/^v/, "") ?? null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) return null;
    throw error;
  }
}

function twice(implementation: Implementation): readonly [Program, Program] {
  return [{ kind: "daemon", implementation }, { kind: "daemon", implementation }];
}

/** wireguard-go's versions end in a date. */
function newest(contestants: readonly Contestant[]): Contestant | null {
  const dated = contestants.filter(({ version }) => /\.\d{8}/.test(version));
  return dated.toSorted((a, b) => dateOf(b) - dateOf(a)).at(0) ?? null;
}

function dateOf({ version }: Contestant): number {
  return Number(version.match(/\.(\d{8})/)?.[1] ?? 0);
}

function mix(sender: Contestant, receiver: Contestant): Contestant {
  if (sender.ends === null || receiver.ends === null) throw new RangeError("Cannot mix without two programs");
  return {
    name: `${sender.name} → ${receiver.name}`,
    version: `${sender.version}, ${receiver.version}`,
    role: "mixed",
    ends: [sender.ends[0], receiver.ends[1]],
  };
}
