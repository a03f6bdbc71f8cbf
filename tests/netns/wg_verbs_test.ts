/**
 * `wg`'s verbs, the same invocations once by the real `wg` and by culvert, each against an interface of its own:
 * the same output, the same exit codes and the same interface afterwards, but for the listed improvements.
 *
 * Each interface has a network namespace, and a mount namespace with control sockets, hosts and name servers of its
 * own, so all interfaces have one name and nothing needs to be replaced in what is printed.
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { CULVERT_FILE, program } from "./implementation.ts";
import { type Host, Lab } from "./lab.ts";
import { must, type Output, run, waitFor } from "./process.ts";
import { netnsTest } from "./requirements.ts";
import {
  type Aspect,
  FILES,
  IMPROVEMENTS,
  INTERFACE_IMPROVEMENTS,
  type Invocation,
  NAME,
  SCRIPT,
  SUBSTITUTED,
} from "./wg_verbs_script.ts";

const NEEDS = ["wireguard-go", "nsenter", "unshare", "bash", CULVERT_FILE];
const LIMIT = 600_000;

const HOSTS = "127.0.0.1 localhost\n192.0.2.77 vpn.test\n2001:db8::77 vpn6.test\n";
/** Nobody listens there, so every look-up fails at once, and may succeed later. */
const RESOLVER = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";

interface Outcome extends Output {
  /** `wg show … dump` afterwards. */
  readonly state: string;
}

netnsTest("culvert's verbs do and print what wg's do, on wireguard-go and on culvert", NEEDS, async () => {
  ok(SCRIPT.length >= 150, `only ${SCRIPT.length} invocations`);
  await using lab = new Lab();
  await writeFiles(lab.folder);
  const culvert = await program();
  const wg = await Cell.open(lab, "wg", "wireguard-go");
  const tried = [
    { cell: await Cell.open(lab, culvert, "wireguard-go"), improvements: IMPROVEMENTS },
    { cell: await Cell.open(lab, culvert, culvert), improvements: { ...IMPROVEMENTS, ...INTERFACE_IMPROVEMENTS } },
  ];
  const faults: string[] = [];
  for (const invocation of SCRIPT) {
    const words = invocation.words.join(" ");
    const [wanted, ...found] = await Promise.all(
      [wg, ...tried.map(({ cell }) => cell)].map((cell) => cell.perform(invocation)),
    );
    const differing = found.map((outcome) => differences(wanted, outcome));
    tried.forEach(({ improvements }, i) => {
      if (differing[i].join() === (improvements[words]?.differs ?? []).join()) return;
      const environment = JSON.stringify(invocation.env ?? {});
      faults.push(`${i}: ${words} ${environment}\nwg: ${show(wanted)}\nculvert: ${show(found[i])}\n${differing[i]}`);
    });
    if (differing.flat().length > 0) {
      await Promise.all([wg, ...tried.map(({ cell }) => cell)].map((cell) => cell.reset()));
    }
  }
  equal(faults.length, 0, faults.join("\n\n"));
  const asked = new Set(SCRIPT.map(({ words }) => words.join(" ")));
  const listed = Object.keys({ ...IMPROVEMENTS, ...INTERFACE_IMPROVEMENTS });
  deepEqual(listed.filter((words) => !asked.has(words)), []);
}, LIMIT);

netnsTest("culvert started as wg is wg", NEEDS, async () => {
  await using lab = new Lab();
  await writeFiles(lab.folder);
  const link = await wgLink(lab.folder);
  const cell = await Cell.open(lab, link, "wireguard-go");
  const [version, bare, bogus, help, generated, refused] = await Promise.all([
    cell.run({ words: ["--version"] }),
    cell.run({ words: [] }),
    cell.run({ words: ["bogus"] }),
    cell.run({ words: ["--help"] }),
    cell.run({ words: ["genkey"] }),
    cell.run({ words: ["genkey", "more"] }),
  ]);
  match(version.stdout, /^wireguard-tools v\d\S+ - \S/);
  match(bare.stdout, new RegExp(`^interface: ${NAME}\n`));
  deepEqual([bogus.code, bogus.stdout], [1, ""]);
  match(bogus.stderr, /^Invalid subcommand: `bogus'\nUsage: wg <cmd>/);
  equal(help.stdout, await must(["bash", "-c", "wg --help"]));
  match(generated.stdout, /^[A-Za-z0-9+/]{43}=\n$/);
  deepEqual([refused.code, refused.stderr], [1, "Usage: wg genkey\n"]);
  const publicKey = await cell.run({ words: ["pubkey"], stdin: "private.key" });
  equal(publicKey.stdout, await must(["wg", "pubkey"], { stdin: FILES["private.key"] }));
  const [short, wanted] = await Promise.all([
    cell.run({ words: ["pubkey"], stdin: "short.key" }),
    run(["bash", "-c", "wg pubkey"], { stdin: FILES["short.key"] }),
  ]);
  deepEqual(short, wanted);
}, LIMIT);

netnsTest("culvert prints every state of an interface byte for byte as wg does", NEEDS, async () => {
  const name = `cvf${Deno.pid.toString(36)}`;
  await must(["mkdir", "-p", "/var/run/wireguard"]);
  const server = new FixedServer(`/var/run/wireguard/${name}.sock`);
  const culvert = await program();
  try {
    for (const reply of replies()) {
      server.reply = reply;
      const verbs = [["show", name], ["show", name, "dump"], ["show", name, "transfer"], ["showconf", name]];
      for (const words of verbs) {
        await sameOutput(culvert, words, {});
        if (words.length > 2) continue;
        await sameOutput(culvert, words, { WG_COLOR_MODE: "always", WG_HIDE_KEYS: "never" });
      }
    }
  } finally {
    await server.close();
  }
}, LIMIT);

/** Times are told to the second, so both are asked again when one passed in between. */
async function sameOutput(culvert: string, words: string[], env: Record<string, string>): Promise<void> {
  for (let attempt = 1;; attempt++) {
    const wanted = await run(["wg", ...words], { env });
    const found = await run([culvert, ...words], { env });
    if (attempt < 4 && wanted.stdout !== found.stdout) continue;
    const asked = `${words.join(" ")} ${JSON.stringify(env)}`;
    const difference = firstDifference(wanted.stdout, found.stdout);
    equal(difference, null, `${asked}: ${difference}`);
    deepEqual({ asked, ...found, stdout: "" }, { asked, ...wanted, stdout: "" });
    return;
  }
}

/** The first line that is not the same, in both texts. */
function firstDifference(wanted: string, found: string): string | null {
  const lines = found.split("\n");
  const at = wanted.split("\n").findIndex((line, i) => line !== lines[i]);
  return wanted === found ? null : `line ${at}: ${wanted.split("\n")[at]} became ${lines[at]}`;
}

/** Answers to `get`: handshakes old, new, never and in the future; counters of every size; other programs' oddities. */
function* replies(): Generator<string> {
  const now = Math.floor(Date.now() / 1000);
  const ages = [0, 1, 59, 60, 61, 3600, 3661, 86_400, 90_061, 31_536_000, 31_536_000 * 2 + 90_122, -1000];
  const sizes = [
    0,
    1,
    1023,
    1024,
    1536,
    2 ** 20 - 1,
    2 ** 20,
    2 ** 30 - 1,
    2 ** 30,
    5 * 2 ** 30,
    2 ** 40 + 12_345,
    2 ** 52,
  ];
  const hex = (byte: number): string => byte.toString(16).padStart(2, "0").repeat(32);
  const device = `private_key=${hex(0x41)}\nlisten_port=51820\nfwmark=51820\n`;
  const peers = ages.map((age, i) =>
    `public_key=${hex(i + 1)}\npreshared_key=${hex(i % 3)}\nprotocol_version=1\n` +
    (i % 4 === 3
      ? ""
      : `endpoint=${
        i % 2 === 0 ? `192.0.2.${i}:${i}` : `[${i % 3 === 0 ? "fe80" : "2001:db8"}::${i}%${i % 5}]:${i}`
      }\n`) +
    `last_handshake_time_sec=${now - age}\nlast_handshake_time_nsec=${i * 1000}\n` +
    `tx_bytes=${sizes[i]}\nrx_bytes=${sizes[sizes.length - 1 - i]}\n` +
    `persistent_keepalive_interval=${[0, 1, 25, 60, 61, 3600, 3661, 65_535][i % 8]}\n` +
    ["10.0.0.0/8", "fd00::/64", "::ffff:1.2.3.4/128", "0.0.0.0/0"].slice(0, i % 5)
      .map((prefix) => `allowed_ip=${prefix}\n`).join("")
  );
  const never = `public_key=${hex(0x99)}\nlast_handshake_time_sec=0\nlast_handshake_time_nsec=0\n`;
  yield "errno=0\n\n";
  yield `${device}errno=0\n\n`;
  yield `${device}${never}${peers.join("")}errno=0\n\n`;
  yield `fwmark=1\n${never}unknown_key=1\nerrno=0\n\n`;
  for (const peer of peers) yield `listen_port=1\n${peer}errno=0\n\n`;
  yield "errno=5\n\n";
  yield `${device}listen_port=x\nerrno=0\n\n`;
  yield `${device}public_key=ff\nerrno=0\n\n`;
  yield `${device}${never}allowed_ip=10.0.0.0\nerrno=0\n\n`;
  yield `${device}nonsense\nerrno=0\n\n`;
}

/** A control socket that answers every request with the same text. */
class FixedServer {
  reply = "";
  readonly #listener: Deno.UnixListener;
  readonly #served: Promise<void>;

  constructor(path: string) {
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#served = this.#serve();
  }

  async close(): Promise<void> {
    this.#listener.close();
    await this.#served;
  }

  async #serve(): Promise<void> {
    for await (const connection of this.#listener) {
      try {
        // `wg` first connects only to see whether somebody is there.
        if (await connection.read(new Uint8Array(64)) !== null) {
          await connection.write(new TextEncoder().encode(this.reply));
        }
      } catch (error) {
        if (!(error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset)) throw error;
      } finally {
        connection.close();
      }
    }
  }
}

/** An interface in namespaces of its own, and the program that is tried on it. */
class Cell {
  readonly #host: Host;
  readonly #program: string;
  readonly #pid: number;

  private constructor(host: Host, program: string, pid: number) {
    this.#host = host;
    this.#program = program;
    this.#pid = pid;
  }

  static async open(lab: Lab, program: string, implementation: string): Promise<Cell> {
    const host = await lab.host();
    await must(["mkdir", "-p", "/run/wireguard"]);
    const mounts = ["hosts", "resolv.conf"].map((name) => `mount --bind ${lab.folder}/etc.${name} /etc/${name}`);
    const script = ["mount -t tmpfs none /run/wireguard", ...mounts, `exec ${implementation} -f ${NAME}`].join(" && ");
    const daemon = host.spawn(["unshare", "--mount", "sh", "-c", script], { WG_PROCESS_FOREGROUND: "1" });
    const cell = new Cell(host, program, daemon.pid);
    await waitFor(
      `${implementation} to answer`,
      async () => (await cell.#inside(`wg show ${NAME} listen-port`)).code === 0,
    );
    await must(["ip", "-n", host.name, "link", "set", "dev", NAME, "up"]);
    return cell;
  }

  async perform(invocation: Invocation): Promise<Outcome> {
    const output = await this.run(invocation);
    const { stdout } = await this.#inside(`wg show ${NAME} dump`);
    return { ...output, stdout: normalise(output.stdout), state: normalise(stdout) };
  }

  async run({ words, env = {}, stdin }: Invocation): Promise<Output> {
    const folder = this.#host.lab.folder;
    const path = (word: string): string => word in FILES ? quote(`${folder}/${word}`) : quote(word);
    const shown = words.map((word) => word in SUBSTITUTED ? `<(cat ${path(SUBSTITUTED[word])})` : path(word));
    const variables = Object.entries(env).map(([name, value]) => `${name}=${quote(value)}`);
    const input = stdin === undefined ? "" : ` < ${path(stdin)}`;
    return await this.#inside(`${[...variables, quote(this.#program), ...shown].join(" ")}${input}`);
  }

  async reset(): Promise<void> {
    equal((await this.#inside(`wg setconf ${NAME} ${this.#host.lab.folder}/base`)).code, 0);
  }

  #inside(command: string): Promise<Output> {
    return run(["nsenter", "-t", `${this.#pid}`, "--mount", "--net", "bash", "-c", command]);
  }
}

/** Where the outcomes are not the same. Texts of complaints differ, but not whether there is one. */
function differences(wanted: Outcome, found: Outcome): Aspect[] {
  const aspects: Aspect[] = [];
  if (wanted.code !== found.code) aspects.push("exit code");
  if (wanted.stdout !== found.stdout) aspects.push("stdout");
  if (wanted.state !== found.state) aspects.push("interface");
  const isOneSilent = (wanted.stderr !== "") !== (found.stderr !== "");
  if (isOneSilent && aspects.length === 0) aspects.push("complaint");
  return aspects;
}

function show({ code, stdout, stderr, state }: Outcome): string {
  return `exit code ${code}\n${stdout}\n${stderr}${state}`;
}

/** wireguard-go lists peers in random order, and the system chooses ports above 32767. The length tells of the rest. */
function normalise(text: string): string {
  const fixed = text.replace(/(?<![\d.:])(32[7-9]\d\d|3[3-9]\d{3}|[4-6]\d{4})(?![\d.])/g, "RANDOM");
  const isForPeople = fixed.startsWith("interface: ") || fixed.startsWith("\x1b") || fixed.startsWith("[Interface]");
  const parts = isForPeople ? fixed.split(/\n\n|\n$/) : fixed.split("\n");
  return `${parts.sort().join("\n")} (${fixed.length})`;
}

async function writeFiles(folder: string): Promise<void> {
  for (const [name, text] of Object.entries(FILES)) {
    if (name === "directory") await Deno.mkdir(`${folder}/${name}`);
    else await Deno.writeTextFile(`${folder}/${name}`, text, { mode: 0o600 });
  }
  await Deno.writeTextFile(`${folder}/etc.hosts`, HOSTS);
  await Deno.writeTextFile(`${folder}/etc.resolv.conf`, RESOLVER);
}

/** A program called `wg` that is culvert. */
async function wgLink(folder: string): Promise<string> {
  const path = `${folder}/wg`;
  const compiled = Deno.env.get("CULVERT_BIN");
  if (compiled !== undefined) {
    await Deno.symlink(compiled, path);
    return path;
  }
  const root = new URL("../../", import.meta.url).pathname;
  const words = ["run", "-A", "--cached-only", "--config", `${root}deno.json`, `${root}main.ts`].map(quote).join(" ");
  await Deno.writeTextFile(path, `#!/bin/bash\nexec -a wg ${quote(Deno.execPath())} ${words} "$@"\n`, { mode: 0o755 });
  return path;
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
