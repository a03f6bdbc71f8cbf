import assert from "node:assert/strict";
import { EBADF } from "../ffi/errno.ts";
import { close, O_NONBLOCK, pipe, read, write } from "../ffi/file.ts";
import { openUdp } from "../ffi/udp.ts";
import { TUNNEL_WRITE_FAILED } from "../tunnel/reasons.ts";
import { libc } from "../ffi/libc.ts";
import { Arena, RECEIVE, TUN_PACKET } from "./arena.ts";
import { PlainTunPort, TUN_READS_PER_PASS } from "./tun_port.ts";

// Opened here, so that the leak sanitizer does not lay it at the door of the first test.
libc();

Deno.test("PlainTunPort.next() reads one packet after the other to where the IP header belongs", () => {
  withPipe((readFd, writeFd) => {
    const arena = new Arena();
    const port = new PlainTunPort(arena, readFd);
    port.startPass();
    assert.equal(port.next(), 0);
    write(writeFd, Uint8Array.of(1, 2, 3));
    assert.equal(port.next(), 0, "a pass that found nothing is over");
    port.startPass();
    assert.equal(port.next(), 3);
    assert.equal(port.offset, TUN_PACKET);
    assert.deepEqual(arena.bytes.slice(TUN_PACKET, TUN_PACKET + 3), Uint8Array.of(1, 2, 3));
    assert.equal(port.takeReadFault(), 0);
  });
});

Deno.test("PlainTunPort.next() reads a bounded number of packets in a pass", async () => {
  // A UDP socket keeps the borders of what is read, as a TUN device does.
  const { fd, port } = openUdp(4, 0);
  const sender = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  try {
    for (let i = 0; i < TUN_READS_PER_PASS + 5; i++) {
      await sender.send(Uint8Array.of(i), { transport: "udp", hostname: "127.0.0.1", port });
    }
    const tun = new PlainTunPort(new Arena(), fd);
    for (const expected of [TUN_READS_PER_PASS, 5, 0]) {
      tun.startPass();
      let count = 0;
      while (tun.next() > 0) count++;
      assert.equal(count, expected);
    }
  } finally {
    sender.close();
    close(fd);
  }
});

Deno.test("PlainTunPort.next() reports a read that fails once", () => {
  const port = new PlainTunPort(new Arena(), -1);
  port.startPass();
  assert.equal(port.next(), 0);
  assert.equal(port.takeReadFault(), EBADF);
  assert.equal(port.takeReadFault(), 0);
});

Deno.test("PlainTunPort.deliver() writes the packet from wherever it lies", () => {
  withPipe((readFd, writeFd) => {
    const arena = new Arena();
    const port = new PlainTunPort(arena, writeFd);
    arena.bytes.set([9, 8, 7, 6], RECEIVE + 65_536 + 16);
    port.deliver(RECEIVE + 65_536 + 16, 4, 0);
    port.flush();
    const out = new Uint8Array(10);
    assert.equal(read(readFd, out), 4);
    assert.deepEqual(out.slice(0, 4), Uint8Array.of(9, 8, 7, 6));
  });
});

Deno.test("PlainTunPort.deliver() counts a packet that cannot be written on its peer", () => {
  const drops: [number, number][] = [];
  const port = new PlainTunPort(new Arena(), -1);
  port.faults = { countDrop: (reason, peer) => void drops.push([reason, peer]) };
  port.deliver(RECEIVE, 20, 3);
  assert.deepEqual(drops, [[TUNNEL_WRITE_FAILED, 3]]);
});

function withPipe(f: (readFd: number, writeFd: number) => void): void {
  const { readFd, writeFd } = pipe(O_NONBLOCK);
  try {
    f(readFd, writeFd);
  } finally {
    close(readFd);
    close(writeFd);
  }
}
