/**
 * The house's rules, read off the source: who may import whom, what the pure layers must not know, and the sizes that
 * the paper fixes.
 */
import assert from "node:assert/strict";
import manifest from "../deno.json" with { type: "json" };
import * as messages from "../tunnel/messages.ts";
import { ENDPOINT_BYTES } from "../tunnel/endpoint.ts";
import { REASON_NAMES, REASON_SLOTS } from "../tunnel/reasons.ts";

const ROOT = new URL("../", import.meta.url);

const PURE = ["tunnel", "crypto"];
const MIDDLE = ["config", "control", "host", "plane"];

/** What each part of the house may import, besides itself. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  main: ["cli", "mod", ...MIDDLE, ...PURE],
  cli: ["mod", ...MIDDLE, ...PURE],
  mod: [...MIDDLE, ...PURE],
  config: PURE,
  control: [...PURE, "ffi"],
  host: [...PURE, "ffi"],
  plane: [...PURE, "ffi"],
  tunnel: ["crypto"],
  crypto: [],
  ffi: [],
};

/** Packages and built-in modules, by the parts that may use them; parts not named may use any of `node:`. */
const MAY_USE: Record<string, RegExp> = {
  tunnel: /^$/,
  crypto: /^@noble\//,
  ffi: /^$/,
};
const EXCEPTIONS: Record<string, RegExp> = { "crypto/x25519.ts": /^(@noble\/|node:crypto$|node:buffer$)/ };

/** Clocks, timers, randomness, input and output: all of that is handed in. */
const IMPURE = [
  /\bDate\b/,
  /\bperformance\b/,
  /\bset(Timeout|Interval|Immediate)\b/,
  /\bqueueMicrotask\b/,
  /\basync\b/,
  /\bawait\b/,
  /\bPromise\b/,
  /\bDeno\b/,
  /\bMath\.random\b/,
  /\bglobalThis\b/,
  /(?<![\w.])crypto\s*[.[]/,
  /\bconsole\b/,
];

Deno.test("imports run one way", async () => {
  const faults: string[] = [];
  for (const path of await sources()) {
    for (const target of importsOf(await read(path))) {
      if (target.startsWith(".") && !mayImport(path, target)) faults.push(`${path} imports ${target}`);
    }
  }
  assert.deepEqual(faults, []);
});

Deno.test("imports name only locked packages and what their layer may use", async () => {
  const faults: string[] = [];
  for (const path of await sources()) {
    for (const target of importsOf(await read(path))) {
      if (!target.startsWith(".") && !mayUse(path, target)) faults.push(`${path} imports ${target}`);
    }
  }
  assert.deepEqual(faults, []);
});

Deno.test("tunnel and crypto hold no clock, no socket and no randomness", async () => {
  const faults: string[] = [];
  for (const path of await sources()) {
    if (!PURE.includes(partOf(path))) continue;
    const code = withoutTextAndComments(await read(path));
    for (const pattern of IMPURE) if (pattern.test(code)) faults.push(`${path} uses ${pattern.source}`);
  }
  assert.deepEqual(faults, []);
});

Deno.test("only main.ts exits the process", async () => {
  const exiting: string[] = [];
  for (const path of await sources()) {
    const code = withoutTextAndComments(await read(path));
    if (/\bDeno\s*\.\s*exit\b|\bprocess\s*\.\s*(exit|abort)\b/.test(code)) exiting.push(path);
  }
  assert.deepEqual(exiting, ["main.ts"]);
});

Deno.test("message layouts have the sizes of the paper", () => {
  assert.equal(messages.INIT_BYTES, 148);
  assert.equal(messages.RESP_BYTES, 92);
  assert.equal(messages.COOKIE_REPLY_BYTES, 64);
  assert.equal(messages.DATA_HEADER_BYTES, 16);
  assert.equal(messages.DATA_OVERHEAD, 32);
  assert.equal(messages.INIT_MAC1, 116);
  assert.equal(messages.RESP_MAC1, 60);
});

Deno.test("records and reasons have the sizes that others count on", () => {
  assert.equal(ENDPOINT_BYTES, 48);
  assert.ok(REASON_NAMES.length <= REASON_SLOTS);
  assert.equal(new Set(REASON_NAMES).size, REASON_NAMES.length);
});

Deno.test("importsOf() finds every form of import", () => {
  const source = `import a from "./a.ts";\nimport {\n  b,\n} from "../b.ts";\nexport * from "c";\nimport "./d.ts";\n` +
    `await import("./e.ts"); new URL("./f.ts", import.meta.url); import type { G } from "./g.ts"; // from "./no.ts"\n`;
  assert.deepEqual(importsOf(source).sort(), ["../b.ts", "./a.ts", "./d.ts", "./e.ts", "./f.ts", "./g.ts", "c"]);
});

Deno.test("mayImport() refuses edges against the stream and between siblings", () => {
  assert.ok(mayImport("main.ts", "./cli/program.ts"));
  assert.ok(mayImport("plane/loop.ts", "../ffi/poll.ts"));
  assert.ok(mayImport("cli/genkey.ts", "../crypto/encoding.ts"));
  assert.ok(!mayImport("tunnel/device.ts", "../plane/loop.ts"));
  assert.ok(!mayImport("plane/loop.ts", "../host/process.ts"));
  assert.ok(!mayImport("cli/interface.ts", "../ffi/tun.ts"));
  assert.ok(!mayImport("ffi/tun.ts", "../tunnel/limits.ts"));
  assert.ok(!mayImport("plane/loop.ts", "../tests/sim/link.ts"));
});

Deno.test("withoutTextAndComments() leaves code only", () => {
  const source = "const a = \"Date\"; // Date\n/* Date */ const b = `Date ${now} Date`; const c = 'it\\'s Date';";
  const code = withoutTextAndComments(source);
  assert.ok(!code.includes("Date"), code);
  assert.ok(code.includes("const b") && code.includes("now"), code);
});

/** Tests and what they share, and the program that builds the kernel. */
const UNSHIPPED = /(_test|_conformance|_fixture)\.ts$|^crypto\/kernel\/build\.ts$/;

/** Paths of everything that is shipped, relative to the root; tests and their helpers may import what they like. */
async function sources(): Promise<string[]> {
  const paths: string[] = [];
  for (const part of Object.keys(MAY_IMPORT)) {
    if (part === "main" || part === "mod") paths.push(`${part}.ts`);
    else await collect(`${part}/`, paths);
  }
  assert.ok(paths.length > 20, `only ${paths.length} files found`);
  return paths.filter((path) => !UNSHIPPED.test(path)).sort();
}

async function collect(folder: string, into: string[]): Promise<void> {
  const url = new URL(folder, ROOT);
  // Git keeps no empty folders: a part of the house that is not built yet is not there.
  if (await Deno.stat(url).then(() => false, (error) => error instanceof Deno.errors.NotFound)) return;
  for await (const entry of Deno.readDir(url)) {
    if (entry.isDirectory) await collect(`${folder}${entry.name}/`, into);
    else if (entry.name.endsWith(".ts")) into.push(folder + entry.name);
  }
}

async function read(path: string): Promise<string> {
  return await Deno.readTextFile(new URL(path, ROOT));
}

/** The first folder, or the file's name at the root. */
function partOf(path: string): string {
  return path.split("/")[0].replace(/\.ts$/, "");
}

/** Everything a file loads, in any form. */
function importsOf(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\/|(?<=^|[\s;{}])\/\/.*$/gm, "");
  const forms = [
    /\bfrom\s*"([^"]+)"/g,
    /\bimport\s*"([^"]+)"/g,
    /\bimport\(\s*"([^"]+)"/g,
    /\bnew URL\(\s*"([^"]+)",\s*import\.meta\.url/g,
  ];
  return forms.flatMap((form) => [...code.matchAll(form)].map((match) => match[1]));
}

function mayImport(path: string, target: string): boolean {
  const resolved = new URL(target, new URL(path, "file:///")).pathname.slice(1);
  if (resolved === "deno.json") return partOf(path) === "cli";
  const from = partOf(path);
  const to = partOf(resolved);
  return from === to || (MAY_IMPORT[from] ?? []).includes(to);
}

function mayUse(path: string, target: string): boolean {
  const allowed = EXCEPTIONS[path] ?? MAY_USE[partOf(path)];
  if (allowed !== undefined) return allowed.test(target);
  const locked = Object.keys(manifest.imports).some((name) =>
    name.endsWith("/") ? target.startsWith(name) : target === name
  );
  return target.startsWith("node:") || (locked && target !== "fast-check");
}

/** The code of a file; the expressions inside template strings stay. */
function withoutTextAndComments(source: string): string {
  return source
    .replace(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, "")
    .replace(/`(?:[^`\\]|\\[\s\S])*`/g, (text) => (text.match(/\$\{[^}]*\}/g) ?? []).join(" "));
}
