import assert from "node:assert/strict";
import fc from "fast-check";
import { realSuite } from "../crypto/real_suite.ts";
import { Configuration } from "./configuration.ts";
import { ask, MemoryListener, MemoryTarget } from "./memory_target.ts";
import { type UapiConnection, type UapiLimits, UapiServer } from "./uapi_server.ts";

const P1 = "01".repeat(32);
function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

interface Fixture {
  readonly target: MemoryTarget;
  readonly listener: MemoryListener;
  readonly server: UapiServer;
  readonly errors: string[];
}

function start(limits?: Partial<UapiLimits>): Fixture {
  const target = new MemoryTarget();
  const listener = new MemoryListener();
  const errors: string[] = [];
  const log = { error: (message: string) => void errors.push(message), debug: () => {} };
  const server = new UapiServer(listener, new Configuration({ suite: realSuite, target, log }), { log, limits });
  return { target, listener, server, errors };
}

/** True if the server closed this connection without saying anything. */
async function isClosedSilently(client: UapiConnection): Promise<boolean> {
  return await client.read(new Uint8Array(1)) === null;
}

Deno.test("UapiServer answers several requests on one connection, in order", async () => {
  const { listener, server, target } = start();
  const client = listener.connect();
  assert.equal(await ask(client, "set=1\nlisten_port=7\n\n"), "errno=0\n\n");
  assert.equal(await ask(client, "get=1\n\n"), "listen_port=7\nculvert_features=endpoints\nerrno=0\n\n");
  assert.equal(await ask(client, "set=1\nlisten_port=x\nfwmark=3\n\n"), "errno=-22\n\n");
  assert.equal(await ask(client, "get=1\nx\n\n"), "errno=22\n\n");
  await client.write(ascii("set=1\nfwmark=1\n\nset=1\nfwmark=2\n\nget=1\n\n"));
  let replies = "";
  while (!replies.endsWith("fwmark=2\nculvert_features=endpoints\nerrno=0\n\n")) replies += await ask(client, "");
  assert.equal(replies, "errno=0\n\nerrno=0\n\nlisten_port=7\nfwmark=2\nculvert_features=endpoints\nerrno=0\n\n");
  assert.equal(target.fwmark, 2);
  client.close();
  await server.close();
});

Deno.test("UapiServer has memory released after a large request and a large reply, and after no others", async () => {
  const listener = new MemoryListener();
  const handler = { set: () => Promise.resolve(0), get: () => Promise.resolve(new Uint8Array(replyBytes).fill(10)) };
  let released = 0;
  const server = new UapiServer(listener, handler, { releaseMemory: () => released++ });
  const client = listener.connect();
  const request = (lines: number): string => `set=1\n${"replace_peers=true\n".repeat(lines)}\n`;
  let replyBytes = 1_000;
  await ask(client, request(10));
  await ask(client, "get=1\n\n");
  assert.equal(released, 0);
  await ask(client, request(5_000));
  assert.equal(released, 1);
  replyBytes = 600_000;
  await client.write(ascii("get=1\n\n"));
  const buffer = new Uint8Array(64 * 1024);
  for (let read = 0; read < replyBytes;) read += (await client.read(buffer))!;
  await ask(client, request(1));
  assert.equal(released, 2);
  client.close();
  await server.close();
});

Deno.test("UapiServer closes without a reply on an unknown operation and on CRLF", async () => {
  const { listener, server } = start();
  for (const request of ["hello=1\n", "get=1\r\n\r\n", "set=1\r\nlisten_port=1\r\n\r\n", "\n", "get=1 \n\n"]) {
    const client = listener.connect();
    await client.write(ascii(request));
    assert.ok(await isClosedSilently(client), JSON.stringify(request));
  }
  await server.close();
});

Deno.test("UapiServer applies nothing of a request whose client stops half-way", async () => {
  const { listener, server, target } = start();
  for (const end of ["", "\n", `\npublic_key=${P1}`, `\npublic_key=${P1}\n`]) {
    const client = listener.connect();
    await client.write(ascii(`set=1\nfwmark=5${end}`));
    client.close();
  }
  assert.equal(await ask(listener.connect(), "get=1\n\n"), "culvert_features=endpoints\nerrno=0\n\n");
  assert.deepEqual(target.applied, []);
  await server.close();
});

Deno.test("UapiServer serves others while a client sends byte by byte and another does not read", async () => {
  const { listener, server, target } = start();
  const slow = listener.connect();
  const deaf = listener.connect();
  await deaf.write(ascii("get=1\n\n".repeat(100)));
  for (const [i, byte] of ascii("set=1\nfwmark=9\n\n").entries()) {
    await slow.write(Uint8Array.of(byte));
    assert.equal(await ask(listener.connect(), `set=1\nlisten_port=${i + 1}\n\n`), "errno=0\n\n");
  }
  assert.equal(await ask(slow, ""), "errno=0\n\n");
  assert.equal(target.fwmark, 9);
  await server.close();
});

Deno.test("UapiServer closes the client that was silent longest when there are too many", async () => {
  const { listener, server } = start({ connections: 3 });
  const [first, second, third] = [listener.connect(), listener.connect(), listener.connect()];
  for (const client of [first, second, third]) {
    assert.equal(await ask(client, "get=1\n\n"), "culvert_features=endpoints\nerrno=0\n\n");
  }
  await ask(first, "get=1\n\n");
  assert.equal(await ask(listener.connect(), "get=1\n\n"), "culvert_features=endpoints\nerrno=0\n\n");
  assert.ok(await isClosedSilently(second));
  assert.equal(await ask(first, "get=1\n\n"), "culvert_features=endpoints\nerrno=0\n\n");
  assert.equal(await ask(third, "get=1\n\n"), "culvert_features=endpoints\nerrno=0\n\n");
  await server.close();
});

Deno.test("UapiServer closes the client that was silent longest when halves of requests grow too large", async () => {
  const { listener, server } = start({ heldBytes: 10_000 });
  const first = listener.connect();
  await first.write(ascii("set=1\n" + "fwmark=1\n".repeat(600)));
  await ask(listener.connect(), "get=1\n\n");
  const second = listener.connect();
  await second.write(ascii("set=1\n" + "fwmark=2\n".repeat(600)));
  assert.ok(await isClosedSilently(first));
  assert.equal(await ask(second, "\n"), "errno=0\n\n");
  await server.close();
});

Deno.test("UapiServer answers EIO, logs and goes on when its handler throws", async () => {
  const listener = new MemoryListener();
  const errors: string[] = [];
  const fail = (): Promise<never> => Promise.reject(new TypeError("fault of ours"));
  const log = { error: (message: string) => void errors.push(message), debug: () => {} };
  const server = new UapiServer(listener, { set: fail, get: fail }, { log });
  const client = listener.connect();
  assert.equal(await ask(client, "get=1\n\n"), "errno=5\n\n");
  assert.equal(await ask(client, "set=1\n\n"), "errno=-5\n\n");
  assert.equal(errors.length, 2);
  assert.match(errors[0], /fault of ours/);
  await server.close();
});

Deno.test("UapiServer goes on accepting after accept failed", async () => {
  const listener = new MemoryListener();
  const accept = listener.accept.bind(listener);
  let failures = 2;
  listener.accept = () => failures-- > 0 ? Promise.reject(new Error("EMFILE")) : accept();
  const errors: string[] = [];
  const target = new MemoryTarget();
  const log = { error: (message: string) => void errors.push(message), debug: () => {} };
  const server = new UapiServer(listener, new Configuration({ suite: realSuite, target }), { log });
  assert.equal(await ask(listener.connect(), "get=1\n\n"), "culvert_features=endpoints\nerrno=0\n\n");
  assert.equal(errors.length, 1);
  failures = 1_000_000;
  assert.equal(await ask(listener.connect(), "get=1\n\n"), "culvert_features=endpoints\nerrno=0\n\n");
  assert.equal(errors.length, 2, "The server should pause after a failed accept now, and close nevertheless");
  await server.close();
});

Deno.test("UapiServer.close() finishes the request that is being applied and ends idle connections", async () => {
  const { listener, server, target } = start();
  const idle = listener.connect();
  await ask(idle, "get=1\n\n");
  let release = (): void => {};
  const applying = new Promise<void>((started) => {
    target.delay = () => {
      started();
      return new Promise((resolve) => release = resolve);
    };
  });
  const busy = listener.connect();
  await busy.write(ascii("set=1\nfwmark=4\n\n"));
  await applying;
  const closing = server.close();
  assert.ok(await isClosedSilently(idle));
  release();
  await closing;
  assert.equal(target.fwmark, 4);
  assert.equal(server.connections, 0);
});

Deno.test("UapiServer survives any bytes in any pieces from many clients", async () => {
  const { listener, server, errors, target } = start({ connections: 32, heldBytes: 100_000 });
  const word = fc.constantFrom(
    "set=1\n",
    "get=1\n",
    "\n",
    "\n\n",
    `public_key=${P1}\n`,
    `private_key=${P1}\n`,
    "allowed_ip=10.0.0.0/8\n",
    "listen_port=",
    "=",
    "remove=true\n",
    "replace_peers=true\n",
    "update_only=true\n",
    "endpoint=[::1]:1\n",
    "x".repeat(5000),
    "\0",
    "\r\n",
  );
  const piece = fc.oneof(word.map(ascii), fc.uint8Array({ maxLength: 300 }));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(39), piece), { size: "large", maxLength: 200 }), async (script) => {
      const clients = Array.from({ length: 40 }, () => listener.connect());
      for (const [number, bytes] of script) {
        // The server may have closed this client already, which is its right.
        await Promise.resolve().then(() => clients[number].write(bytes)).catch(() => {});
        if (number % 13 === 0) clients[number].close();
      }
      const honest = listener.connect();
      assert.equal(await ask(honest, "set=1\nreplace_peers=true\n\n"), "errno=0\n\n");
      assert.match(
        await ask(honest, "get=1\n\n"),
        /^(private_key=[0-9a-f]{64}\n)?(listen_port=\d+\n)?culvert_features=endpoints\nerrno=0\n\n$/,
      );
      honest.close();
    }),
    { numRuns: 100 },
  );
  await server.close();
  assert.equal(server.connections, 0);
  assert.equal(target.peers.size, 0);
  assert.deepEqual(errors, []);
});
