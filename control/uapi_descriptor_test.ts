import assert from "node:assert/strict";
import { realSuite } from "../crypto/real_suite.ts";
import { SyscallError } from "../ffi/errno.ts";
import { close } from "../ffi/file.ts";
import { libc } from "../ffi/libc.ts";
import { listenUnix } from "../ffi/unix.ts";
import { Configuration } from "./configuration.ts";
import { ask, MemoryTarget } from "./memory_target.ts";
import { DescriptorListener } from "./uapi_descriptor.ts";
import { UapiServer } from "./uapi_server.ts";

const ignore = Deno.build.os !== "linux";
// Opened once and for good: within a test it would count as a leak.
if (!ignore) libc();

interface Fixture {
  readonly target: MemoryTarget;
  readonly server: UapiServer;
  readonly errors: string[];
  connect(): Promise<Deno.UnixConn>;
}

/** Serves on the descriptor of a socket in a new directory. */
async function served(f: (fixture: Fixture) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "culvert-uapi-" });
  const path = `${directory}/wg0.sock`;
  const errors: string[] = [];
  const log = { error: (message: string) => void errors.push(message), debug: () => {} };
  const target = new MemoryTarget(512);
  const configuration = new Configuration({ suite: realSuite, target, log });
  const server = new UapiServer(new DescriptorListener(listenUnix(path)), configuration, { log });
  try {
    await f({ target, server, errors, connect: () => Deno.connect({ transport: "unix", path }) });
  } finally {
    await server.close();
    await Deno.remove(directory, { recursive: true });
  }
  assert.deepEqual(errors, []);
}

Deno.test({
  name: "DescriptorListener serves clients one after the other and several at a time",
  ignore,
  fn: () =>
    served(async ({ connect, target }) => {
      const clients = await Promise.all([connect(), connect(), connect()]);
      const replies = await Promise.all(clients.map((client, i) => ask(client, `set=1\nfwmark=${i + 1}\n\n`)));
      assert.deepEqual(replies, ["errno=0\n\n", "errno=0\n\n", "errno=0\n\n"]);
      for (const client of clients) {
        assert.equal(
          await ask(client, "get=1\n\n"),
          `fwmark=${target.fwmark}\nculvert_features=endpoints\nerrno=0\n\n`,
        );
        client.close();
      }
    }),
});

Deno.test({
  name: "DescriptorListener carries requests and replies larger than the socket's buffers",
  ignore,
  fn: () =>
    served(async ({ connect, target }) => {
      let request = "set=1\n";
      for (let peer = 0; peer < 512; peer++) {
        request += `public_key=${peer.toString(16).padStart(64, "0")}\n`;
        for (let i = 0; i < 40; i++) request += `allowed_ip=10.${peer >> 3}.${(peer & 7) * 32}.${i}/32\n`;
      }
      const client = await connect();
      const bytes = new TextEncoder().encode(request + "\n");
      for (let sent = 0; sent < bytes.length;) sent += await client.write(bytes.subarray(sent));
      assert.equal(await ask(client, ""), "errno=0\n\n");
      assert.equal(target.peers.size, 512);
      const reply = await ask(client, "get=1\n\n");
      assert.equal(reply.match(/^public_key=/gm)?.length, 512);
      assert.ok(reply.length > 600_000);
      client.close();
    }),
});

Deno.test({
  name: "DescriptorListener survives half requests, random bytes and clients that vanish",
  ignore,
  fn: () =>
    served(async ({ connect, server }) => {
      const halfOpen = await Promise.all(Array.from({ length: 100 }, connect));
      for (const client of halfOpen) await client.write(new TextEncoder().encode("set=1\nfwmark="));
      for (let round = 0; round < 10; round++) {
        const garbage = await connect();
        await garbage.write(crypto.getRandomValues(new Uint8Array(60_000))).catch(() => {});
        const vanishing = await connect();
        await vanishing.write(new TextEncoder().encode("get=1\n\n"));
        vanishing.close();
        const honest = await connect();
        assert.equal(await ask(honest, "get=1\n\n"), "culvert_features=endpoints\nerrno=0\n\n");
        honest.close();
        garbage.close();
      }
      assert.ok(server.connections >= 100);
      await server.close();
      assert.equal(server.connections, 0);
      for (const client of halfOpen) client.close();
    }),
});

Deno.test({
  name: "DescriptorListener closes with and without clients, also right after it was made",
  ignore,
  fn: async () => {
    for (let round = 0; round < 20; round++) {
      await served(async ({ connect }) => {
        if (round % 2 === 1) (await connect()).close();
      });
    }
  },
});

Deno.test({
  name: "DescriptorListener refuses a descriptor that is no listening unix socket",
  ignore,
  fn: async () => {
    const file = await Deno.makeTempFile();
    const { open, O_RDONLY } = await import("../ffi/file.ts");
    const fd = open(file, O_RDONLY);
    assert.throws(() => new DescriptorListener(fd), SyscallError);
    close(fd);
    await Deno.remove(file);
    assert.throws(() => new DescriptorListener(987_654), SyscallError);
  },
});
