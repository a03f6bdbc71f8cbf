/**
 * One side of a TCP connection that is full both ways at once, run inside a namespace: `serve|connect ADDRESS PORT
 * BYTES`. Writes are of seeded random sizes, most of them small, and leave at once. The last line printed is JSON with
 * SHA-256 hashes of what was sent and of what was received.
 */

import { createHash } from "node:crypto";

const LARGEST_WRITE = 1 << 17;

const [role, hostname, port, size] = Deno.args;
const bytes = Number(size);
let state = role === "serve" ? 0x9e3779b9 : 0x7f4a7c15;

const connection = await open();
// Without this the kernel would join the small writes into packets all of one size.
connection.setNoDelay(true);
const [sent, received] = await Promise.all([send(), receive()]);
connection.close();
await print(JSON.stringify({ sent, received }));

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
  const words = new Uint32Array(LARGEST_WRITE / 4);
  const chunk = new Uint8Array(words.buffer);
  for (let left = bytes; left > 0;) {
    // As many between 1 and 2 bytes as between 64 and 128 KiB.
    const length = Math.min(left, Math.floor(2 ** (17 * random() / 2 ** 32)));
    for (let i = 0; i < (length + 3) >> 2; i++) words[i] = random();
    const part = chunk.subarray(0, length);
    hash.update(part);
    for (let written = 0; written < length;) written += await connection.write(part.subarray(written));
    left -= length;
  }
  return hash.digest("hex");
}

async function receive(): Promise<string> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(LARGEST_WRITE);
  for (let left = bytes; left > 0;) {
    const length = await connection.read(buffer.subarray(0, Math.min(left, buffer.length)));
    if (length === null) throw new Error(`The connection ended ${left} bytes early`);
    hash.update(buffer.subarray(0, length));
    left -= length;
  }
  return hash.digest("hex");
}

/** xorshift32. */
function random(): number {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return state >>> 0;
}

async function print(line: string): Promise<void> {
  await Deno.stdout.write(new TextEncoder().encode(`${line}\n`));
}
