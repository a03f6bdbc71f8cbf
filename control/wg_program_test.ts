/** The real `wg` drives our server, as on any host: it looks for sockets in one directory only. */
import assert from "node:assert/strict";
import { encodeBase64, encodeHex } from "../crypto/encoding.ts";
import { clampPrivateKey } from "../crypto/keys.ts";
import { realSuite } from "../crypto/real_suite.ts";
import { libc } from "../ffi/libc.ts";
import { BAD_MAC1, REASON_SLOTS, REPLAYED } from "../tunnel/reasons.ts";
import { Configuration } from "./configuration.ts";
import { interfaceIndex } from "./interface_index.ts";
import { MemoryTarget } from "./memory_target.ts";
import { UapiServer } from "./uapi_server.ts";
import { UapiSocket } from "./uapi_socket.ts";

const lack = await lacking();
const ignore = lack !== "";
const skipped = ignore ? ` (SKIPPED: ${lack})` : "";
// Opened once and for good: within a test it would count as a leak.
if (!ignore) libc();

function key(byte: number): string {
  return encodeBase64(new Uint8Array(32).fill(byte));
}
const privateBytes = new Uint8Array(32).fill(0x41);
clampPrivateKey(privateBytes);
const PRIVATE = encodeBase64(privateBytes);
const PUBLIC = encodeBase64(realSuite.publicKey(privateBytes));

/** What is missing for these tests, or nothing. */
async function lacking(): Promise<string> {
  if (Deno.build.os !== "linux") return "needs Linux";
  if (Deno.uid() !== 0) return "needs root";
  try {
    await new Deno.Command("wg", { args: ["--version"], stdout: "null", stderr: "null" }).output();
    return "";
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "needs wg";
    throw error;
  }
}

interface Result {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

class Fixture {
  readonly name: string;
  readonly target: MemoryTarget;
  readonly #directory: string;

  constructor(name: string, target: MemoryTarget, directory: string) {
    this.name = name;
    this.target = target;
    this.#directory = directory;
  }

  /** Runs `wg`; `NAME` among the arguments is the interface. */
  async run(...args: string[]): Promise<Result> {
    const command = new Deno.Command("wg", {
      args: args.map((arg) => arg === "NAME" ? this.name : arg),
      env: { WG_COLOR_MODE: "never", WG_HIDE_KEYS: "always" },
    });
    const { code, stdout, stderr } = await command.output();
    return { code, out: new TextDecoder().decode(stdout), error: new TextDecoder().decode(stderr) };
  }

  /** Runs `wg`, which must succeed without a word on stderr. */
  async wg(...args: string[]): Promise<string> {
    const { code, out, error } = await this.run(...args);
    assert.deepEqual({ code, error }, { code: 0, error: "" }, `wg ${args.join(" ")}`);
    return out;
  }

  /** Runs `wg VERB NAME FILE` on a file of this content. */
  async conf(verb: string, content: string): Promise<void> {
    const file = `${this.#directory}/conf`;
    await Deno.writeTextFile(file, content, { mode: 0o600 });
    await this.wg(verb, "NAME", file);
  }

  async dump(): Promise<string[][]> {
    const out = await this.wg("show", "NAME", "dump");
    return out.trimEnd().split("\n").map((line) => line.split("\t"));
  }
}

async function served(f: (fixture: Fixture) => Promise<void>, capacity = 64): Promise<void> {
  const name = `cvt${Deno.pid}`;
  const target = new MemoryTarget(capacity);
  const errors: string[] = [];
  const log = { error: (message: string) => void errors.push(message), debug: () => {} };
  const socket = await UapiSocket.bind(name);
  const server = new UapiServer(socket, new Configuration({ suite: realSuite, target, log }), { log, interfaceIndex });
  const directory = await Deno.makeTempDir({ prefix: "culvert-wg-" });
  try {
    await f(new Fixture(name, target, directory));
  } finally {
    await server.close();
    await Deno.remove(directory, { recursive: true });
  }
  assert.deepEqual(errors, []);
}

Deno.test({
  name: `wg set and wg show dump agree${skipped}`,
  ignore,
  fn: () =>
    served(async (fixture) => {
      const { target, wg } = { target: fixture.target, wg: fixture.wg.bind(fixture) };
      assert.deepEqual(await fixture.dump(), [["(none)", "(none)", "0", "off"]]);
      const keyFile = await Deno.makeTempFile();
      await Deno.writeTextFile(keyFile, PRIVATE + "\n");
      await wg("set", "NAME", "listen-port", "51820", "fwmark", "0x1234", "private-key", keyFile);
      await Deno.writeTextFile(keyFile, key(9));
      await wg(
        "set",
        "NAME",
        "peer",
        key(1),
        "preshared-key",
        keyFile,
        "endpoint",
        "[fe80::1%lo]:7",
        "allowed-ips",
        "10.0.0.0/8,2001:db8::/32",
        "persistent-keepalive",
        "25",
      );
      await Deno.remove(keyFile);
      await wg("set", "NAME", "peer", key(2), "allowed-ips", "10.2.0.0/16", "peer", key(3));
      target.tables.lastHandshake[0] = 1_700_000_000_500;
      target.tables.rxBytes[0] = 1234;
      target.tables.txBytes[0] = 5678;
      assert.deepEqual(await fixture.dump(), [
        [PRIVATE, PUBLIC, "51820", "0x1234"],
        [key(1), key(9), "[fe80::1%lo]:7", "10.0.0.0/8,2001:db8::/32", "1700000000", "1234", "5678", "25"],
        [key(2), "(none)", "(none)", "10.2.0.0/16", "0", "0", "0", "off"],
        [key(3), "(none)", "(none)", "(none)", "0", "0", "0", "off"],
      ]);
      await wg(
        "set",
        "NAME",
        "peer",
        key(2),
        "remove",
        "peer",
        key(1),
        "preshared-key",
        "/dev/null",
        "allowed-ips",
        "",
      );
      assert.deepEqual((await fixture.dump()).slice(1), [
        [key(1), "(none)", "[fe80::1%lo]:7", "(none)", "1700000000", "1234", "5678", "25"],
        [key(3), "(none)", "(none)", "(none)", "0", "0", "0", "off"],
      ]);
    }),
});

Deno.test({
  name: `wg lists the interface and prints it for people${skipped}`,
  ignore,
  fn: () =>
    served(async (fixture) => {
      await fixture.wg("set", "NAME", "listen-port", "7", "peer", key(1), "allowed-ips", "10.0.0.0/8");
      assert.ok((await fixture.wg("show", "interfaces")).trim().split(" ").includes(fixture.name));
      assert.equal(
        await fixture.wg("show", "NAME"),
        `interface: ${fixture.name}\n  listening port: 7\n\npeer: ${key(1)}\n  allowed ips: 10.0.0.0/8\n`,
      );
      assert.match(await fixture.wg("show", "all", "dump"), new RegExp(`^${fixture.name}\t\\(none\\)\t`, "m"));
    }),
});

Deno.test({
  name: `wg ignores drop counters${skipped}`,
  ignore,
  fn: () =>
    served(async (fixture) => {
      await fixture.wg("set", "NAME", "peer", key(1), "peer", key(2), "allowed-ips", "10.0.0.0/8");
      const before = await fixture.dump();
      fixture.target.tables.deviceDrops[BAD_MAC1] = 3;
      for (const slot of [0, 1]) fixture.target.tables.peerDrops[REASON_SLOTS * slot + REPLAYED] = 4;
      assert.deepEqual(await fixture.dump(), before);
    }),
});

Deno.test({
  name: `wg names the errors of refused requests${skipped}`,
  ignore,
  fn: () =>
    served(async (fixture) => {
      fixture.target.takenPorts.add(99);
      const { code, error } = await fixture.run("set", "NAME", "listen-port", "99", "fwmark", "5");
      assert.equal(code, 1);
      assert.match(error, /Address already in use/);
      assert.deepEqual(await fixture.dump(), [["(none)", "(none)", "0", "off"]]);
      const full = Array.from({ length: 65 }, (_, i) => ["peer", key(i + 1)]).flat();
      const refused = await fixture.run("set", "NAME", ...full);
      assert.equal(refused.code, 1);
      assert.match(refused.error, /No space left on device/);
      assert.deepEqual(await fixture.dump(), [["(none)", "(none)", "0", "off"]]);
    }),
});

Deno.test({
  name: `wg setconf, addconf and showconf${skipped}`,
  ignore,
  fn: () =>
    served(async (fixture) => {
      const content = `[Interface]
ListenPort = 5000
FwMark = 0x7
PrivateKey = ${PRIVATE}

[Peer]
PublicKey = ${key(1)}
PresharedKey = ${key(9)}
AllowedIPs = 10.0.0.0/8, ::/0
Endpoint = 192.0.2.1:51820
PersistentKeepalive = 25

[Peer]
PublicKey = ${key(2)}
AllowedIPs = 10.2.0.0/16
`;
      await fixture.wg("set", "NAME", "peer", key(77), "allowed-ips", "10.0.0.0/8");
      await fixture.conf("setconf", content);
      assert.equal(await fixture.wg("showconf", "NAME"), content);
      await fixture.conf("addconf", `[Peer]\nPublicKey = ${key(3)}\nAllowedIPs = 10.0.0.0/8\n`);
      assert.deepEqual((await fixture.wg("show", "NAME", "allowed-ips")).trimEnd().split("\n"), [
        `${key(1)}\t::/0`,
        `${key(2)}\t10.2.0.0/16`,
        `${key(3)}\t10.0.0.0/8`,
      ]);
      assert.equal((await fixture.dump())[0][2], "5000");
      await fixture.conf("setconf", "[Interface]\n");
      // Port 0 is a random port here, as on any device that is up.
      assert.equal(await fixture.wg("showconf", "NAME"), "[Interface]\nListenPort = 40000\n\n");
    }),
});

Deno.test({
  name: `wg syncconf keeps the slots of peers that stay and chooses a new port without ListenPort${skipped}`,
  ignore,
  fn: () =>
    served(async (fixture) => {
      const peer = (byte: number, more = ""): string => `[Peer]\nPublicKey = ${key(byte)}\n${more}\n`;
      const device = `[Interface]\nPrivateKey = ${PRIVATE}\n`;
      await fixture.conf(
        "setconf",
        device + peer(1, `PresharedKey = ${key(9)}`) + peer(2, "PersistentKeepalive = 5") + peer(3),
      );
      const former = fixture.target.applied.length;
      await fixture.conf("syncconf", device + peer(1) + peer(3, "AllowedIPs = 10.3.0.0/16") + peer(4));
      const operations = fixture.target.applied.slice(former).map(({ op }) => op);
      assert.ok(!operations.includes("private-key"));
      assert.equal(operations.filter((op) => op === "remove-peer").length, 1);
      assert.deepEqual([...fixture.target.peers].map(([slot, { publicKey }]) => [slot, publicKey[0]]).sort(), [
        [0, 1],
        [1, 4],
        [2, 3],
      ]);
      const [, ...peers] = await fixture.dump();
      assert.deepEqual(
        new Set(peers.map(([publicKey, , , allowedIps]) => `${publicKey} ${allowedIps}`)),
        new Set([
          `${key(1)} (none)`,
          `${key(3)} 10.3.0.0/16`,
          `${key(4)} (none)`,
        ]),
      );
      const ports: string[] = [];
      for (let i = 0; i < 2; i++) {
        await fixture.conf("syncconf", device);
        ports.push((await fixture.dump())[0][2]);
      }
      assert.notEqual(ports[0], ports[1]);
      assert.equal(fixture.target.peers.size, 0);
    }),
});

Deno.test({
  name: `wg setconf sets 10,000 peers with ten allowed IPs each within two seconds${skipped}`,
  ignore,
  fn: () =>
    served(async (fixture) => {
      let content = `[Interface]\nPrivateKey = ${PRIVATE}\nListenPort = 51820\n`;
      for (let i = 0; i < 10_000; i++) {
        const publicKey = new Uint8Array(32).fill(1);
        new DataView(publicKey.buffer).setUint32(0, i);
        const ips = Array.from({ length: 10 }, (_, j) => ip(10 * i + j)).join(", ");
        content += `[Peer]\nPublicKey = ${encodeBase64(publicKey)}\nPresharedKey = ${key(9)}\n` +
          `Endpoint = 192.0.2.1:51820\nPersistentKeepalive = 25\nAllowedIPs = ${ips}\n`;
      }
      let start = performance.now();
      await fixture.conf("setconf", content);
      const setting = performance.now() - start;
      assert.equal(fixture.target.peers.size, 10_000);
      const last = fixture.target.peers.get(9_999);
      assert.equal(encodeHex(last!.publicKey.subarray(0, 4)), "0000270f");
      assert.deepEqual([...last!.allowedIps], Array.from({ length: 10 }, (_, j) => ip(99_990 + j)));
      start = performance.now();
      assert.equal((await fixture.dump()).length, 10_001);
      const reading = performance.now() - start;
      report(`setconf ${setting.toFixed(0)} ms, show dump ${reading.toFixed(0)} ms`);
      assert.ok(setting < 2000 && reading < 2000, `setconf ${setting} ms, show dump ${reading} ms`);
    }, 10_000),
});

/** A host address, another for each number; every other one IPv6. */
function ip(number: number): string {
  if (number % 2 === 1) return `2001:db8::${(number >> 8 >> 8).toString(16)}:${(number & 0xffff).toString(16)}/128`;
  return `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}/32`;
}

function report(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`  ${line}\n`));
}
