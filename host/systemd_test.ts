import assert from "node:assert/strict";
import { close } from "../ffi/file.ts";
import { libc } from "../ffi/libc.ts";
import { AF_UNIX, createSocket, SOCK_DGRAM } from "../ffi/socket.ts";
import "../ffi/testing.ts";
import { notifySystemd } from "./systemd.ts";

Deno.test("notifySystemd() tells a socket file the state", async () => {
  const folder = await Deno.makeTempDir();
  const manager = Deno.listenDatagram({ transport: "unixpacket", path: `${folder}/notify` });
  try {
    notifySystemd("READY=1", `${folder}/notify`);
    assert.equal(new TextDecoder().decode((await manager.receive())[0]), "READY=1");
  } finally {
    manager.close();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("notifySystemd() tells an abstract socket the state", () => {
  const name = `culvert-${crypto.randomUUID()}`;
  const fd = createSocket(AF_UNIX, SOCK_DGRAM);
  try {
    const address = new TextEncoder().encode(`\u0001\0\0${name}`);
    assert.equal(libc().bind(fd, address, address.length), 0);
    notifySystemd("STOPPING=1", `@${name}`);
    const buffer = new Uint8Array(99);
    const length = libc().recv(fd, buffer, buffer.length, 0);
    assert.equal(new TextDecoder().decode(buffer.subarray(0, length)), "STOPPING=1");
  } finally {
    close(fd);
  }
});

Deno.test("notifySystemd() minds neither that nobody asked, nor that nobody listens", () => {
  notifySystemd("READY=1", "");
  notifySystemd("READY=1", "/nonexistent/socket");
});
