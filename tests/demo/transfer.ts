/**
 * One end of a TCP transfer: `receive ADDRESS PORT` prints "ready", takes one connection to its end and prints the
 * bytes it got; `send ADDRESS PORT SECONDS` fills a connection for that long.
 */
const CHUNK_BYTES = 256 * 1024;

const [role, hostname, port, seconds] = Deno.args;
const print = (line: string): number => Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));

if (role === "receive") {
  using listener = Deno.listen({ hostname, port: Number(port) });
  print("ready");
  using connection = await listener.accept();
  const buffer = new Uint8Array(CHUNK_BYTES);
  let bytes = 0;
  let start = 0;
  for (;;) {
    const count = await connection.read(buffer);
    if (count === null) break;
    if (bytes === 0) start = performance.now();
    bytes += count;
  }
  print(JSON.stringify({ bytes, seconds: (performance.now() - start) / 1000 }));
} else {
  using connection = await Deno.connect({ hostname, port: Number(port) });
  const chunk = new Uint8Array(CHUNK_BYTES);
  const end = performance.now() + Number(seconds) * 1000;
  while (performance.now() < end) await connection.write(chunk);
  await connection.closeWrite();
}
