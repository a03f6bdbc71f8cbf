/**
 * One side of a TCP transfer, run inside a namespace: `serve|connect ADDRESS PORT BYTES`.
 *
 * The client sends BYTES of seeded random data, then the server does the same. The last line printed is JSON with
 * SHA-256 hashes of what was sent and what was received, and how long each direction took.
 */

import { createHash } from "node:crypto";

const CHUNK = 1 << 16;

const [role, hostname, port, size] = Deno.args;
const bytes = Number(size);
const seed = role === "serve" ? 0x9e3779b9 : 0x7f4a7c15;

const connection = await open();
const started = performance.now();
let sent = "";
let received = "";
if (role === "connect") sent = await send();
else received = await receive();
const middle = performance.now();
if (role === "connect") received = await receive();
else sent = await send();
const ended = performance.now();
connection.close();
await print(JSON.stringify({
  sent,
  received,
  sendSeconds: (middle - started) / 1000,
  receiveSeconds: (ended - middle) / 1000,
}));

async function open(): Promise<Deno.TcpConn> {
  if (role === "connect") return await Deno.connect({ hostname, port: Number(port) });
  const listener = Deno.listen({ hostname, port: Number(port) });
  await print("listening");
  const accepted = await listener.accept();
  listener.close();
  return accepted;
}

async function send(): Promise<string> {
  const hash = createHash("sha256");
  const chunk = new Uint8Array(CHUNK);
  const words = new Uint32Array(chunk.buffer);
  let state = seed;
  for (let left = bytes; left > 0; left -= Math.min(left, CHUNK)) {
    for (let i = 0; i < words.length; i++) {
      // xorshift32
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[i] = state;
    }
    const part = chunk.subarray(0, Math.min(left, CHUNK));
    hash.update(part);
    for (let written = 0; written < part.length;) written += await connection.write(part.subarray(written));
  }
  return hash.digest("hex");
}

async function receive(): Promise<string> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(4 * CHUNK);
  for (let left = bytes; left > 0;) {
    const length = await connection.read(buffer.subarray(0, Math.min(left, buffer.length)));
    if (length === null) throw new Error(`The connection ended ${left} bytes early`);
    hash.update(buffer.subarray(0, length));
    left -= length;
  }
  return hash.digest("hex");
}

async function print(line: string): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(`${line}\n`));
}
