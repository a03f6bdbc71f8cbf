import assert from "node:assert/strict";
import { realSuite } from "../crypto/real_suite.ts";
import { Configuration } from "./configuration.ts";
import { ask, MemoryTarget } from "./memory_target.ts";
import { SocketFile } from "./socket_file.ts";
import { UapiServer } from "./uapi_server.ts";
import { isUapiServed, UAPI_DIRECTORY, UapiSocket, uapiSocketNames, uapiSocketPath } from "./uapi_socket.ts";

const isLinux = Deno.build.os === "linux";

/** Runs `f` in a new directory, which is removed afterwards. */
async function inDirectory(f: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "culvert-uapi-" });
  try {
    await f(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Milliseconds until `happened` resolves; fails after a second. */
async function within(happened: Promise<unknown>): Promise<number> {
  const start = performance.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((_, reject) => timer = setTimeout(() => reject(new Error("Not within a second")), 1000));
  try {
    await Promise.race([happened, late]);
  } finally {
    clearTimeout(timer);
  }
  return performance.now() - start;
}

Deno.test("uapiSocketPath() takes interface names only", () => {
  assert.equal(uapiSocketPath("wg0"), `${UAPI_DIRECTORY}/wg0.sock`);
  assert.equal(uapiSocketPath("a_=+.-Z9", "/x"), "/x/a_=+.-Z9.sock");
  for (const name of ["", "a/b", "..", ".", "sixteen_letters_", "wg 0", "wg\n", "wg\0", "ä"]) {
    assert.throws(() => uapiSocketPath(name), RangeError, name);
  }
});

Deno.test({
  name: "UapiSocket.bind() makes a directory 0755 and a socket for its owner alone, whatever the umask",
  ignore: !isLinux,
  fn: async () => {
    await inDirectory(async (base) => {
      for (const umask of [0o000, 0o077]) {
        const directory = `${base}/${umask}/wireguard`;
        const former = Deno.umask(umask);
        try {
          await Deno.mkdir(`${base}/${umask}`, { mode: 0o755 });
          const socket = await UapiSocket.bind("wg0", directory);
          assert.equal(Deno.umask(), umask);
          assert.equal((await Deno.lstat(directory)).mode! & 0o7777, 0o755);
          const file = await Deno.lstat(`${directory}/wg0.sock`);
          assert.equal(file.isSocket, true);
          assert.equal(file.mode! & 0o7777, 0o700);
          await socket.close();
          await assert.rejects(Deno.lstat(`${directory}/wg0.sock`), Deno.errors.NotFound);
        } finally {
          Deno.umask(former);
        }
      }
    });
  },
});

Deno.test("UapiSocket.bind() refuses a name that is served and leaves it alone", async () => {
  await inDirectory(async (directory) => {
    const first = await UapiSocket.bind("wg0", directory);
    const probe = first.accept().then((connection) => connection?.close());
    await assert.rejects(UapiSocket.bind("wg0", directory), Deno.errors.AddrInUse);
    await probe;
    assert.ok(first.file.isInPlace());
    await first.close();
  });
});

Deno.test("UapiSocket.bind() replaces a stale socket but no other file", async () => {
  await inDirectory(async (directory) => {
    const path = `${directory}/wg0.sock`;
    // Closing the listener unlinks the name it was bound to, and leaves the other without a server.
    const killed = Deno.listen({ transport: "unix", path: `${path}.bound` });
    await Deno.link(`${path}.bound`, path);
    killed.close();
    assert.equal((await Deno.lstat(path)).isSocket, true);
    assert.equal(await isUapiServed(path), false);
    const socket = await UapiSocket.bind("wg0", directory);
    await socket.close();
    assert.deepEqual([...Deno.readDirSync(directory)].filter(({ name }) => name !== "wg0.sock.bound"), []);
    await Deno.writeTextFile(path, "precious");
    await assert.rejects(UapiSocket.bind("wg0", directory), /not a socket/);
    assert.equal(await Deno.readTextFile(path), "precious");
  });
});

Deno.test("UapiSocket.close() leaves a file that is no longer ours", async () => {
  await inDirectory(async (directory) => {
    const socket = await UapiSocket.bind("wg0", directory);
    await Deno.remove(socket.file.path);
    const other = await UapiSocket.bind("wg0", directory);
    await socket.close();
    assert.ok(other.file.isInPlace());
    await other.close();
    await other.close();
    assert.equal(SocketFile.at(other.file.path), null);
  });
});

Deno.test("UapiSocket.accept() ends with null when the socket is closed", async () => {
  await inDirectory(async (directory) => {
    const socket = await UapiSocket.bind("wg0", directory);
    const pending = socket.accept();
    await socket.close();
    assert.equal(await pending, null);
    assert.equal(await socket.accept(), null);
  });
});

Deno.test("SocketFile.watch() tells within half a second of removal, renaming and replacement", async () => {
  const ways = [
    (path: string) => Deno.remove(path),
    (path: string) => Deno.rename(path, `${path}.old`),
    async (path: string) => {
      await Deno.writeTextFile(`${path}.new`, "");
      await Deno.rename(`${path}.new`, path);
    },
  ];
  for (const spoil of ways) {
    await inDirectory(async (directory) => {
      const socket = await UapiSocket.bind("wg0", directory);
      let calls = 0;
      let tell = (): void => {};
      const gone = new Promise<void>((resolve) => tell = resolve);
      const watch = socket.file.watch(() => {
        calls++;
        tell();
      });
      // What does not concern the file is not told.
      await Deno.writeTextFile(`${directory}/other`, "");
      await Deno.chmod(socket.file.path, 0o600);
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal(calls, 0);
      await spoil(socket.file.path);
      assert.ok(await within(gone) < 500);
      await watch.close();
      await socket.close();
      assert.equal(calls, 1);
    });
  }
});

Deno.test("SocketFile.watch() tells of a file that had gone before, and nothing once closed", async () => {
  await inDirectory(async (directory) => {
    const socket = await UapiSocket.bind("wg0", directory);
    const quiet = socket.file.watch(() => assert.fail("Told after close"));
    await quiet.close();
    await Deno.remove(socket.file.path);
    let watch: { close(): Promise<void> } | undefined;
    const gone = new Promise<void>((resolve) => watch = socket.file.watch(resolve));
    assert.ok(await within(gone) < 500);
    await watch?.close();
    await socket.close();
  });
});

Deno.test("uapiSocketNames() lists socket files, and nothing where there is no directory", async () => {
  await inDirectory(async (directory) => {
    assert.deepEqual(await uapiSocketNames(`${directory}/none`), []);
    const sockets = [await UapiSocket.bind("wg1", directory), await UapiSocket.bind("wg0", directory)];
    await Deno.writeTextFile(`${directory}/wg0.name`, "");
    assert.deepEqual(await uapiSocketNames(directory), ["wg0", "wg1"]);
    for (const socket of sockets) await socket.close();
  });
});

Deno.test("UapiServer on a socket survives random bytes, half requests and clients that vanish", async () => {
  await inDirectory(async (directory) => {
    const socket = await UapiSocket.bind("wg0", directory);
    const errors: string[] = [];
    const log = { error: (message: string) => void errors.push(message), debug: () => {} };
    const server = new UapiServer(socket, new Configuration({ suite: realSuite, target: new MemoryTarget(), log }), {
      log,
    });
    const connect = (): Promise<Deno.UnixConn> => Deno.connect({ transport: "unix", path: socket.file.path });
    const halfOpen = await Promise.all(Array.from({ length: 200 }, connect));
    for (const client of halfOpen) await client.write(new TextEncoder().encode("set=1\nprivate_key="));
    const garbage = new Uint8Array(1 << 20);
    for (let i = 0; i < garbage.length; i += 65_536) crypto.getRandomValues(garbage.subarray(i, i + 65_536));
    for (let round = 0; round < 20; round++) {
      const client = await connect();
      // The server closes at the first line that is no operation, mostly while this is being written.
      await client.write(garbage.subarray(round * 1000)).catch(() => {});
      const vanishing = await connect();
      await vanishing.write(new TextEncoder().encode("get=1\n\n"));
      vanishing.close();
      const honest = await connect();
      assert.equal(await ask(honest, "get=1\n\n"), "culvert_features=endpoints\nerrno=0\n\n");
      honest.close();
      client.close();
    }
    assert.ok(server.connections >= 200);
    for (const client of halfOpen) client.close();
    await server.close();
    assert.deepEqual(errors, []);
  });
});
