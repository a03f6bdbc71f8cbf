/** How the program starts and ends: what wg-quick, a supervisor and a person at a shell rely on. */

import { match, notStrictEqual as notEqual, ok, strictEqual as equal } from "node:assert/strict";
import { accepts, Daemon, hasInterface, keyFile, makeKeys, socketPathOf, startDetached } from "./daemon.ts";
import { culvert, type Implementation, WIREGUARD_GO } from "./implementation.ts";
import { type Host, Lab, uniqueInterface } from "./lab.ts";
import { exists, must, type Output, readText, run, waitFor } from "./process.ts";
import { netnsTest } from "./requirements.ts";
import { v8Flags } from "../../plane/v8_flags.ts";

const CULVERT = culvert();
/** wireguard-go is the control: what it does here is what users of it expect. */
const BOTH = [WIREGUARD_GO, CULVERT];
const INHERIT = new URL("./inherit.ts", import.meta.url).pathname;

for (const implementation of BOTH) {
  const test = (what: string, body: (host: Host) => Promise<void>): void =>
    netnsTest(`${implementation.name} ${what}`, [implementation.needs], async () => {
      await using lab = new Lab();
      await body(await lab.host());
    });

  test("returns only when its control socket answers", async (host) => {
    for (let i = 0; i < 3; i++) {
      const daemon = await Daemon.detached(host, implementation);
      // No retry: wg-quick configures at once.
      const key = await keyFile(host, (await makeKeys()).privateKey);
      await daemon.set("private-key", key, "listen-port", "7777");
      equal((await daemon.show()).listenPort, 7777);
      daemon.signal("SIGTERM");
      await daemon.gone();
    }
  });

  test("makes a control socket only root can use", async (host) => {
    const daemon = await Daemon.detached(host, implementation);
    const socket = Deno.statSync(daemon.socketPath);
    equal(socket.mode! & 0o777, 0o700);
    equal(socket.uid, 0);
    equal(Deno.statSync("/var/run/wireguard").mode! & 0o777, 0o755);
  });

  test("detaches from its caller", async (host) => {
    const daemon = await Daemon.detached(host, implementation);
    for (const stream of [0, 1, 2]) equal(Deno.readLinkSync(`/proc/${daemon.pid}/fd/${stream}`), "/dev/null");
    // wireguard-go stays in the session of its caller, so a hang-up of the terminal reaches it.
    if (implementation !== WIREGUARD_GO) notEqual(sessionOf(daemon.pid), sessionOf(Deno.pid));
  });

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`ends on ${signal} and leaves nothing`, async (host) => {
      const daemon = await Daemon.detached(host, implementation);
      await daemon.link("up");
      daemon.signal(signal);
      await daemon.gone();
    });
  }

  test("ends when its control socket is removed", async (host) => {
    const daemon = await Daemon.detached(host, implementation);
    Deno.removeSync(daemon.socketPath);
    await daemon.gone();
  });

  test("ends when its interface is deleted", async (host) => {
    for (const state of ["up", "down"]) {
      const daemon = await Daemon.detached(host, implementation);
      await daemon.link(state);
      await daemon.ip("link", "delete", daemon.interfaceName);
      await daemon.gone();
    }
  });

  test("takes the place of a stale control socket", async (host) => {
    const name = uniqueInterface();
    await Deno.mkdir("/var/run/wireguard", { recursive: true });
    Deno.listen({ transport: "unix", path: `/var/run/wireguard/${name}.sock` }).close();
    const daemon = await Daemon.detached(host, implementation, { name });
    equal((await daemon.show()).peers.length, 0);
  });

  test("refuses a name whose control socket answers and leaves its owner alone", async (host) => {
    const daemon = await Daemon.detached(host, implementation);
    const elsewhere = await host.lab.host();
    for (const place of [host, elsewhere]) {
      const { output } = await tryToStart(place, implementation, daemon.interfaceName);
      equal(output.code, 1);
    }
    equal(await hasInterface(elsewhere, daemon.interfaceName), false);
    equal((await daemon.show()).peers.length, 0);
  });

  test("takes a TUN device from WG_TUN_FD", async (host) => {
    const name = uniqueInterface();
    const daemon = await foregroundThrough(host, implementation, name, ["--tun", name]);
    await daemon.link("up");
    equal(JSON.parse(await daemon.ip("-j", "link", "show", "dev", name))[0].mtu, 1420);
    daemon.signal("SIGTERM");
    await waitFor("the interface to go", async () => !await hasInterface(host, name), 5_000);
  });

  test("listens on WG_UAPI_FD", async (host) => {
    const name = uniqueInterface();
    await Deno.mkdir("/var/run/wireguard", { recursive: true });
    const socket = `/var/run/wireguard/${name}.sock`;
    const daemon = await foregroundThrough(host, implementation, name, ["--tun", name, "--uapi", socket]);
    await daemon.set("fwmark", "0x22");
    equal((await daemon.show()).fwmark, "0x22");
    // Several clients, one after the other and at once.
    const replies = await Promise.all(Array.from({ length: 8 }, () => daemon.uapi("get=1\n\n")));
    for (const reply of replies) match(reply, /^fwmark=34$[^]*^errno=0\n\n/m);
    daemon.signal("SIGTERM");
    await waitFor("the interface to go", async () => !await hasInterface(host, name), 5_000);
  });

  test("says as much as LOG_LEVEL asks for", async (host) => {
    for (const [level, speaks] of [["debug", true], ["verbose", true], ["error", false], ["silent", false]] as const) {
      const daemon = await Daemon.foreground(host, implementation, { env: { LOG_LEVEL: level } });
      await daemon.link("up");
      await daemon.set("listen-port", "7778");
      daemon.signal("SIGTERM");
      await daemon.gone();
      equal(daemon.log() !== "", speaks, `${level}: ${daemon.log()}`);
    }
  });

  test("keeps its streams in the background when LOG_LEVEL is set", async (host) => {
    const daemon = await Daemon.detached(host, implementation, { env: { LOG_LEVEL: "debug" } });
    await daemon.link("up");
    await waitFor("a line in the log", () => daemon.log() !== "");
  });

  test("runs in the foreground with WG_PROCESS_FOREGROUND", async (host) => {
    const name = uniqueInterface();
    const process = host.spawn([...await implementation.command(), name], { WG_PROCESS_FOREGROUND: "1" });
    await waitFor("the socket", () => exists(`/var/run/wireguard/${name}.sock`));
    equal(process.exited, false);
    process.signal("SIGINT");
    await process.end();
    equal(await hasInterface(host, name), false);
  });
}

netnsTest(
  "culvert names the cause and the remedy in one line when it can't start",
  [CULVERT.needs, "setpriv"],
  async () => {
    await using lab = new Lab();
    const host = await lab.host();
    const taken = uniqueInterface();
    await must(["ip", "-n", host.name, "link", "add", taken, "type", "veth", "peer", `${taken}p`]);
    const [program] = await CULVERT.command();
    const name = uniqueInterface();
    const attempts: [string, readonly string[], RegExp][] = [
      ["a name in use", [program, taken], /in use|exists/i],
      ["a name that is too long", [program, "sixteen-letters-"], /15/],
      ["a name with a slash", [program, "a/b"], /name/i],
      [
        "no right",
        ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", program, name],
        /root|CAP_NET_ADMIN/,
      ],
      [
        "no TUN device",
        ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /dev/net && exec "$@"', "sh", program, name],
        /\/dev\/net\/tun/,
      ],
    ];
    for (const [what, command, wanted] of attempts) {
      for (const foreground of [[], ["-f"]]) {
        const { output, text } = await tryCommand(host, [...command.slice(0, -1), ...foreground, command.at(-1)!]);
        equal(output.code, 1, `${what}: ${text}`);
        equal(text.trimEnd().split("\n").length, 1, `${what}: ${text}`);
        match(text, wanted);
      }
      ok(!exists(`/var/run/wireguard/${name}.sock`), what);
    }
    equal(await hasInterface(host, taken), true);
  },
);

netnsTest("culvert gives V8 the flags for its fastest engine, and only for that", [CULVERT.needs], async () => {
  await using lab = new Lab();
  const host = await lab.host();
  // A compiled program has them built in.
  const flags = Deno.env.has("CULVERT_BIN") ? [] : v8Flags();
  // What the operator gives is kept.
  const env = { DENO_V8_FLAGS: "--no-opt" };
  for (const engine of ["auto", "noble"]) {
    const args = ["--engine", engine];
    const given = engine === "auto" ? ["--no-opt", ...flags] : ["--no-opt"];
    for (
      const daemon of [
        await Daemon.detached(host, CULVERT, { args, env }),
        await Daemon.foreground(host, CULVERT, { args, env }),
      ]
    ) {
      const found = readText(`/proc/${daemon.pid}/environ`).split("\0").find((line) =>
        line.startsWith("DENO_V8_FLAGS=")
      );
      equal(found, `DENO_V8_FLAGS=${given.join(",")}`);
      daemon.signal("SIGTERM");
      await daemon.gone();
    }
  }
});

netnsTest("culvert refuses wrong arguments", [CULVERT.needs], async () => {
  await using lab = new Lab();
  const host = await lab.host();
  const [program] = await CULVERT.command();
  for (const args of [[], ["--colour", "cv0"], ["cv0", "cv1"], ["--carrier", "pigeon", "cv0"], ["genky"]]) {
    const { code, stderr } = await host.run([program, ...args], { timeout: 20_000 });
    ok(code === 1 || code === 2, `${args}: exit code ${code}`);
    notEqual(stderr, "", `${args}`);
  }
});

netnsTest("culvert --version prints one line and exits 0", [CULVERT.needs], async () => {
  const output = await run([...await CULVERT.command(), "--version"]);
  equal(output.code, 0);
  match(output.stdout, /^culvert v?\d+\.\d+\.\d+.*\n$/);
});

function sessionOf(pid: number): string {
  return readText(`/proc/${pid}/stat`).replace(/^.*\) /, "").split(" ")[3];
}

/** Starts the program so that it inherits descriptors, in the foreground. */
async function foregroundThrough(
  host: Host,
  implementation: Implementation,
  name: string,
  options: readonly string[],
): Promise<Daemon> {
  const helper = [Deno.execPath(), "run", "-A", "--no-lock", INHERIT, ...options, "--"];
  const process = host.spawn([...helper, ...await implementation.command(), "-f", name], { LOG_LEVEL: "error" });
  await waitFor("it to answer", async () => {
    if (process.exited) throw new Error(process.output());
    return await accepts(socketPathOf(name)) && (await run(["wg", "show", name, "listen-port"])).code === 0;
  }, 20_000);
  // The helper waits for its only child, which is what the test speaks to.
  const children = readText(`/proc/${process.pid}/task/${process.pid}/children`).trim().split(" ");
  equal(children.length, 1);
  return new Daemon(host, name, Number(children[0]), () => process.output());
}

async function tryToStart(
  host: Host,
  implementation: Implementation,
  name: string,
): Promise<{ output: Output; text: string }> {
  const log = await Deno.makeTempFile({ dir: host.lab.folder });
  const output = await startDetached(host, implementation, name, log);
  return { output, text: readText(log) };
}

async function tryCommand(host: Host, command: readonly string[]): Promise<{ output: Output; text: string }> {
  const output = await host.run(command, { timeout: 20_000 });
  return { output, text: output.stderr };
}
