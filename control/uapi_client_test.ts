import assert from "node:assert/strict";
import { encodeHex } from "../crypto/encoding.ts";
import { realSuite } from "../crypto/real_suite.ts";
import { endpointRecord } from "../tunnel/endpoint.ts";
import { STAGING_FULL } from "../tunnel/reasons.ts";
import { Configuration } from "./configuration.ts";
import { MemoryTarget } from "./memory_target.ts";
import { getDevice, listInterfaces, setDevice, UapiError } from "./uapi_client.ts";
import { UapiServer } from "./uapi_server.ts";
import { UapiSocket } from "./uapi_socket.ts";
import { wipeStatus } from "./uapi_status.ts";

function key(byte: number): Uint8Array {
  return new Uint8Array(32).fill(byte);
}

/** Serves an interface wg0 in a new directory. */
async function served(f: (directory: string, target: MemoryTarget) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "culvert-uapi-" });
  const target = new MemoryTarget();
  const server = new UapiServer(
    await UapiSocket.bind("wg0", directory),
    new Configuration({ suite: realSuite, target }),
  );
  try {
    await f(directory, target);
  } finally {
    await server.close();
    await Deno.remove(directory, { recursive: true });
  }
}

/** An interface wg0 that answers every request with `reply` and hangs up. */
async function answering(reply: string, f: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "culvert-uapi-" });
  const listener = Deno.listen({ transport: "unix", path: `${directory}/wg0.sock` });
  const answer = listener.accept().then(async (connection) => {
    await connection.read(new Uint8Array(1000));
    await connection.write(new TextEncoder().encode(reply));
    connection.close();
  });
  try {
    await f(directory);
    await answer;
  } finally {
    listener.close();
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("setDevice() and getDevice() configure and read an interface", async () => {
  await served(async (directory, target) => {
    target.tables.peerDrops[STAGING_FULL] = 12;
    target.tables.rxBytes[0] = 2 ** 45;
    await setDevice("wg0", [
      { key: "private_key", value: key(0x48) },
      { key: "listen_port", value: 51820 },
      { key: "public_key", value: key(3) },
      { key: "preshared_key", value: key(4) },
      { key: "endpoint", value: endpointRecord(Uint8Array.of(192, 0, 2, 1), 5) },
      { key: "allowed_ip", address: Uint8Array.of(10, 0, 0, 0), cidr: 8, remove: false },
    ], directory);
    const status = await getDevice("wg0", directory);
    assert.equal(encodeHex(status.privateKey!), "48".repeat(32));
    assert.equal(status.listenPort, 51820);
    assert.deepEqual(status.peers, [{
      publicKey: key(3),
      presharedKey: key(4),
      endpoint: "192.0.2.1:5",
      lastHandshakeSeconds: 0,
      lastHandshakeNanoseconds: 0,
      txBytes: 0,
      rxBytes: 2 ** 45,
      persistentKeepalive: 0,
      allowedIps: ["10.0.0.0/8"],
      endpointNames: [],
      drops: new Map([["staging_full", 12]]),
    }]);
    wipeStatus(status);
    assert.deepEqual([status.privateKey, status.peers[0].presharedKey], [key(0), key(0)]);
  });
});

Deno.test("setDevice() throws the errno of a refusal and nothing secret", async () => {
  await served(async (directory, target) => {
    target.takenPorts.add(99);
    const secret = key(0x48);
    const error = await setDevice(
      "wg0",
      [{ key: "private_key", value: secret }, { key: "listen_port", value: 99 }],
      directory,
    )
      .then(() => null, (error) => error);
    assert.ok(error instanceof UapiError);
    assert.equal(error.errno, 98);
    assert.equal(error.message, "Cannot configure wg0: error 98");
    assert.ok(!JSON.stringify(error).includes("4848"));
  });
});

Deno.test("getDevice() takes errno of either sign and refuses what is no reply", async () => {
  const errnos: [string, number][] = [
    ["errno=-22\n\n", 22],
    ["errno=5\n\n", 5],
    ["", 71],
    ["errno=0\n", 71],
    ["private_key=zz\nerrno=0\n\n", 71],
    ["nonsense", 71],
  ];
  for (const [reply, errno] of errnos) {
    await answering(reply, async (directory) => {
      await assert.rejects(getDevice("wg0", directory), (error) => error instanceof UapiError && error.errno === errno);
    });
  }
});

Deno.test("getDevice() throws NotFound without such an interface", async () => {
  await served(async (directory) => {
    await assert.rejects(getDevice("wg1", directory), Deno.errors.NotFound);
    await assert.rejects(getDevice("../wg0", directory), RangeError);
  });
});

Deno.test("listInterfaces() lists interfaces that are served, in alphabetical order", async () => {
  await served(async (directory) => {
    const other = new UapiServer(
      await UapiSocket.bind("a1", directory),
      new Configuration({ suite: realSuite, target: new MemoryTarget() }),
    );
    const stale = Deno.listen({ transport: "unix", path: `${directory}/stale` });
    await Deno.link(`${directory}/stale`, `${directory}/stale.sock`);
    stale.close();
    assert.deepEqual(await listInterfaces(directory), ["a1", "wg0"]);
    assert.deepEqual(await listInterfaces(`${directory}/none`), []);
    await other.close();
  });
});
