/**
 * The same script, run by the real `wg` and over the raw control socket, against wireguard-go and against culvert:
 * the same output and the same exit codes, but for the improvements listed here.
 */

import { strictEqual as equal } from "node:assert/strict";
import { Daemon } from "./daemon.ts";
import { CULVERTS, type Implementation, WIREGUARD_GO } from "./implementation.ts";
import { Lab } from "./lab.ts";
import { must, type Output, run, sleep, waitFor } from "./process.ts";
import { netnsTest } from "./requirements.ts";
import { FILES, SCRIPT, type Step } from "./uapi_script.ts";

/** What one step showed: normalised, so that two interfaces can be compared. */
interface Observation {
  readonly does: string;
  /** Exit code of `wg`; 0 for a raw request. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** `wg show dump` before and after. */
  readonly before: string;
  readonly after: string;
}

/** A port that another program holds in both namespaces. */
const TAKEN_PORT = 12399;

/** Keys of wireguard-go's `get` reply; culvert may answer more, since `wg` ignores what it does not know. */
const KNOWN_KEYS = new Set([
  "private_key",
  "listen_port",
  "fwmark",
  "public_key",
  "preshared_key",
  "protocol_version",
  "endpoint",
  "last_handshake_time_sec",
  "last_handshake_time_nsec",
  "tx_bytes",
  "rx_bytes",
  "persistent_keepalive_interval",
  "allowed_ip",
  "errno",
]);

interface Improvement {
  readonly reason: string;
  readonly stdout: RegExp;
  /** A request that wireguard-go refuses and culvert carries out. */
  readonly carriedOut?: true;
}

/** Replies that differ on purpose. Besides these, a request that is refused changes nothing, see compare(). */
const IMPROVEMENTS: Readonly<Record<string, Improvement>> = {
  "refuses the peer line allowed_ip=-10.8.0.0/16": {
    reason: "the - prefix of newer wireguard-tools removes an allowed IP",
    stdout: /^errno=0\n\n$/,
    carriedOut: true,
  },
  "answers set then get": {
    reason: "wireguard-go forgets what was sent together with a set request",
    stdout: /^errno=0\n\n[^]*listen_port=12347\n[^]*errno=0\n\n$/,
  },
  "refuses a get with a line": {
    reason: "wg takes a positive number for the error of get, a negative one for that of set",
    stdout: /^errno=22\n\n$/,
  },
  "ignores half a request": {
    reason: "a request without its empty line may be the half of a longer one",
    stdout: /^$/,
  },
  "ignores half a line": {
    reason: "the same within a line",
    stdout: /^$/,
  },
};

for (const carrier of CULVERTS) {
  netnsTest(
    `wg on ${carrier.name} does and prints what it does on wireguard-go`,
    [WIREGUARD_GO.needs, carrier.needs, "ncat"],
    async () => {
      await using lab = new Lab();
      const wanted = await observe(lab, WIREGUARD_GO);
      const found = await observe(lab, carrier);
      const differences = SCRIPT.flatMap((step, i) => compare(step, wanted[i], found[i]));
      equal(differences.length, 0, differences.join("\n\n"));
    },
  );
}

/** What is not as it should be, in words. */
function compare(step: Step, wanted: Observation, found: Observation): string[] {
  const improvement = IMPROVEMENTS[step.does];
  const pairs: [string, string, string][] = [];
  if (improvement === undefined) {
    pairs.push(["exit code", `${wanted.code}`, `${found.code}`]);
    pairs.push(["output", wanted.stdout, found.stdout]);
    pairs.push(["complaint", wanted.stderr, found.stderr]);
  } else if (!improvement.stdout.test(found.stdout)) {
    pairs.push([improvement.reason, `${improvement.stdout}`, found.stdout]);
  } else if (improvement.stdout.test(wanted.stdout)) {
    pairs.push(["no improvement", "wireguard-go does it too", ""]);
  }
  if (!step.bad && wanted.code === 0) pairs.push(["state", wanted.after, found.after]);
  else if (!improvement?.carriedOut) pairs.push(["state after a refusal", found.before, found.after]);
  return pairs.filter(([, expected, actual]) => expected !== actual).map(([what, expected, actual]) =>
    `${step.does}: ${what}\n${onlyIn(expected, actual, "-")}\n${onlyIn(actual, expected, "+")}`
  );
}

/** Lines of one text that the other has not. */
function onlyIn(text: string, other: string, sign: string): string {
  const others = new Set(other.split("\n"));
  return text.split("\n").filter((line) => !others.has(line)).map((line) => `${sign} ${line}`).join("\n");
}

async function observe(lab: Lab, implementation: Implementation): Promise<Observation[]> {
  const host = await lab.host();
  await host.takePort(TAKEN_PORT);
  const daemon = await Daemon.foreground(host, implementation);
  await daemon.link("up");
  const paths = await writeFiles(lab);
  const observations: Observation[] = [];
  for (const step of SCRIPT) observations.push(await perform(daemon, step, paths));
  return observations;
}

async function writeFiles(lab: Lab): Promise<Map<string, string>> {
  const paths = new Map<string, string>();
  for (const [name, text] of Object.entries(FILES)) {
    const path = `${lab.folder}/${name}`;
    await Deno.writeTextFile(path, text);
    paths.set(`FILE:${name}`, path);
  }
  return paths;
}

async function perform(daemon: Daemon, step: Step, paths: Map<string, string>): Promise<Observation> {
  const before = await dump(daemon);
  const observation = { does: step.does, before, ...await ask(daemon, step, paths), after: await settled(daemon) };
  // wireguard-go keeps the lines before the bad one, so both must be put back to go on alike.
  if (step.bad) await must(["wg", "setconf", daemon.interfaceName, paths.get("FILE:base")!]);
  return observation;
}

async function ask(daemon: Daemon, step: Step, paths: Map<string, string>): Promise<Output> {
  if (step.raw !== undefined) {
    const reply = normaliseReply(await daemon.uapi(step.raw));
    return { code: 0, stdout: hideRandomPorts(unmap(reply)), stderr: "" };
  }
  const words = new Map([...paths, ["IF", daemon.interfaceName], ["IF:public", (await daemon.show()).publicKey]]);
  const { code, stdout, stderr } = await run(["wg", ...step.wg!.map((word) => words.get(word) ?? word)]);
  return { code, stdout: normalise(stdout, daemon), stderr: normalise(stderr, daemon) };
}

/**
 * The state once it stays the same: what could not be sent – the script's endpoints lead nowhere – is taken out of the
 * transfer counters when the failure comes back.
 */
async function settled(daemon: Daemon): Promise<string> {
  let last = await dump(daemon);
  return await waitFor("the state to settle", async () => {
    const previous = last;
    await sleep(10);
    last = await dump(daemon);
    return last === previous ? last : null;
  });
}

async function dump(daemon: Daemon): Promise<string> {
  return normalise(await must(["wg", "show", daemon.interfaceName, "dump"]), daemon);
}

/** Interface name and random ports replaced, peers sorted. */
function normalise(text: string, daemon: Daemon): string {
  const named = text.replaceAll(daemon.interfaceName, "IF").replaceAll(daemon.host.lab.folder, "FOLDER");
  return sortPeers(hideRandomPorts(unmap(named)));
}

/** Improvement: an IPv4 endpoint written as IPv6 is one endpoint with the IPv4 one, and shown as it is reported later. */
function unmap(text: string): string {
  return text.replace(/\[::ffff:([0-9.]+)\]/g, "$1");
}

/** Ports of the script are below 20000 or the greatest; Linux chooses others. */
function hideRandomPorts(text: string): string {
  return text.replace(
    /(?<=^\S+\t\S+\t|listening port: |ListenPort = |listen_port=|^)(\d{5})(?=\t|\n)/gm,
    (port) => Number(port) >= 20_000 ? "RANDOM" : port,
  );
}

/** wireguard-go lists peers in random order. */
function sortPeers(text: string): string {
  if (/^interface: |^\[Interface\]/.test(text)) {
    const [head, ...peers] = text.trimEnd().split(/\n\n(?=peer: |\[Peer\])|(?<=\n)\n(?=peer: |\[Peer\])/);
    return [head, ...peers.sort()].join("\n\n");
  }
  const lines = text.split("\n");
  // Only the first line of a dump has three tabs.
  const isDump = (lines[0].match(/\t/g)?.length ?? 0) === 3;
  const head = isDump ? lines.splice(0, 1) : [];
  return [...head, ...lines.sort()].join("\n");
}

/** Raw replies: known keys only, peers sorted. */
function normaliseReply(reply: string): string {
  return reply.split(/(?<=\n\n)/).map((one) => {
    const lines = one.split("\n").filter((line) => line === "" || KNOWN_KEYS.has(line.split("=")[0]));
    const [head, ...peers] = lines.join("\n").replace(/^(errno=)/m, "\n$1").split(/(?=public_key=)/);
    return peers.length === 0 ? lines.join("\n") : [head, ...peers.sort()].join("");
  }).join("");
}
