import assert from "node:assert/strict";
import { EADDRINUSE, SyscallError } from "../ffi/errno.ts";
import { POLLIN, PollSet } from "../ffi/poll.ts";
import { libc } from "../ffi/libc.ts";
import { inNamespace } from "../ffi/namespace.ts";
import { setOption, SO_SNDBUF, SOL_SOCKET } from "../ffi/socket.ts";
import { rootTest } from "../ffi/testing.ts";
import { parseEndpoint } from "../tunnel/address_text.ts";
import { ENDPOINT_BYTES } from "../tunnel/endpoint.ts";
import { formatEndpoint } from "../tunnel/address_text.ts";
import { DeviceTables } from "../tunnel/tables.ts";
import { Arena, SEND, SEND_BYTES, SEND_SLOTS } from "./arena.ts";
import { BatchPort } from "./batch_port.ts";
import { DatagramPort } from "./datagram_port.ts";
import { End, until } from "./testing.ts";
import type { SendFaults, UdpPort } from "./udp_port.ts";

const CAPACITY = { peers: 4, keypairs: 8 };

// Opened here, so that the leak sanitizer does not lay it at the door of the first test.
libc();

interface Received {
  readonly first: number;
  readonly length: number;
  /** All bytes are as the first. */
  readonly isUniform: boolean;
  readonly from: string;
  /** The source address of the record. */
  readonly source: string;
}

class Faults implements SendFaults {
  readonly cleared: number[] = [];
  /** Length and peer of what was not sent. */
  readonly dropped: [number, number][] = [];
  readonly #tables: DeviceTables;

  constructor(tables: DeviceTables) {
    this.#tables = tables;
  }

  clearSource(peer: number): void {
    this.cleared.push(peer);
    this.#tables.endpoints.fill(0, peer * ENDPOINT_BYTES + 24, peer * ENDPOINT_BYTES + 44);
  }

  countUnsent(length: number, peer: number): void {
    this.dropped.push([length, peer]);
  }
}

/** A port with its surroundings, and a way to wait for what it receives, whatever its carrier. */
class Fixture {
  readonly arena = new Arena();
  readonly tables = DeviceTables.create(CAPACITY);
  readonly faults = new Faults(this.tables);
  readonly received: Received[] = [];
  readonly port: UdpPort;
  readonly #batch: BatchPort | null;
  readonly #datagram: DatagramPort | null;

  constructor(carrier: "batch" | "datagram", usesOffload: boolean) {
    const { arena, tables } = this;
    this.#batch = carrier === "batch" ? new BatchPort(arena, tables, usesOffload) : null;
    this.#datagram = carrier === "batch" ? null : new DatagramPort(arena, tables, (error) => assert.fail(`${error}`));
    this.port = (this.#batch ?? this.#datagram)!;
    this.port.faults = this.faults;
    if (this.#datagram !== null) this.#datagram.onDatagram = (...datagram): void => this.#note(...datagram);
  }

  /** Sends to the endpoint in a peer's slot. */
  send(peer: number, content: Uint8Array): void {
    const at = this.port.reserve(content.length + 100);
    assert.ok(at >= SEND && at + content.length <= SEND + SEND_BYTES);
    this.arena.bytes.set(content, at);
    this.port.commit(content.length, peer, peer);
  }

  setEndpoint(peer: number, text: string, source?: { offset: number; bytes: number[] }): void {
    const record = parseEndpoint(text)!;
    if (source !== undefined) record.set(source.bytes, source.offset);
    this.tables.endpoints.set(record, peer * ENDPOINT_BYTES);
  }

  async receive(count: number): Promise<void> {
    await until(`${count} datagrams are there`, () => {
      this.#poll();
      return this.received.length >= count;
    });
  }

  async dispose(): Promise<void> {
    this.port.close();
    await this.#datagram?.settled();
  }

  #poll(): void {
    const batch = this.#batch;
    if (batch === null) return;
    for (const descriptor of [batch.descriptor4, batch.descriptor6]) {
      if (descriptor < 0) continue;
      const readable = new PollSet(1);
      const slot = readable.add(descriptor, POLLIN);
      readable.wait(0);
      if ((readable.revents(slot) & POLLIN) === 0) continue;
      assert.ok(batch.fill(descriptor) >= 0);
      for (let length = batch.next(); length >= 0; length = batch.next()) {
        this.#note(batch.offset, length, batch.endpoint);
      }
    }
  }

  #note(offset: number, length: number, endpoint: number): void {
    const record = this.tables.endpoints.slice(endpoint * ENDPOINT_BYTES, (endpoint + 1) * ENDPOINT_BYTES);
    this.received.push({
      first: this.arena.bytes[offset],
      length,
      isUniform: this.arena.bytes.subarray(offset, offset + length).every((byte) => byte === this.arena.bytes[offset]),
      from: formatEndpoint(record, 0),
      source: [...record.subarray(28, 44)].join(" "),
    });
  }
}

async function withPorts(
  carrier: "batch" | "datagram",
  f: (one: Fixture, two: Fixture) => Promise<void>,
  usesOffload = true,
): Promise<void> {
  const one = new Fixture(carrier, usesOffload);
  const two = new Fixture(carrier, usesOffload);
  try {
    one.port.open(0, 0);
    two.port.open(0, 0);
    await f(one, two);
  } finally {
    await one.dispose();
    await two.dispose();
  }
}

for (const carrier of ["batch", "datagram"] as const) {
  for (const host of ["127.0.0.1", "[::1]"]) {
    Deno.test(`${carrier} port carries datagrams of all sizes to ${host}`, async () => {
      await withPorts(carrier, async (one, two) => {
        one.setEndpoint(0, `${host}:${two.port.port}`);
        const sizes = [1, 148, 1452, 9000, 65_000];
        for (const [i, size] of sizes.entries()) one.send(0, new Uint8Array(size).fill(65 + i));
        one.port.flush();
        await two.receive(sizes.length);
        assert.deepEqual(two.received.map(({ length }) => length), sizes);
        assert.deepEqual(two.received.map(({ first }) => first), sizes.map((_, i) => 65 + i));
        assert.ok(two.received.every(({ isUniform }) => isUniform));
        for (const { from } of two.received) assert.equal(from, `${host}:${one.port.port}`);
        assert.deepEqual(one.faults.dropped, []);
      });
    });
  }

  Deno.test(`${carrier} port sends what is committed without a flush once its buffer is full`, async () => {
    await withPorts(carrier, async (one, two) => {
      one.setEndpoint(0, `127.0.0.1:${two.port.port}`);
      one.setEndpoint(1, `[::1]:${two.port.port}`);
      const count = 2 * SEND_SLOTS + 1;
      for (let i = 0; i < count; i++) one.send(i % 7 === 0 ? 1 : 0, Uint8Array.of(i));
      one.port.flush();
      await two.receive(count);
      const numbers = two.received.map(({ first }) => first).sort((a, b) => a - b);
      assert.deepEqual(numbers, Array.from({ length: count }, (_, i) => i));
      assert.equal(two.received.filter(({ from }) => from.startsWith("[")).length, Math.ceil(count / 7));
    });
  });

  Deno.test(`${carrier} port counts what cannot be sent, and sends the rest`, async () => {
    await withPorts(carrier, async (one, two) => {
      one.setEndpoint(0, `127.0.0.1:${two.port.port}`);
      // Port 0 is EINVAL; slot 3 has no endpoint at all.
      one.setEndpoint(1, "127.0.0.1:0");
      one.setEndpoint(2, "[::1]:0");
      for (const peer of [1, 0, 2, 3, 0]) one.send(peer, new Uint8Array(1 + peer).fill(65 + peer));
      one.port.flush();
      await two.receive(2);
      await until("three drops are counted", () => one.faults.dropped.length === 3);
      const dropped = [...one.faults.dropped].sort(([, a], [, b]) => a - b);
      assert.deepEqual(dropped, [[2, 1], [3, 2], [4, 3]]);
      assert.deepEqual(two.received.map(({ first }) => first), [65, 65]);
    });
  });

  Deno.test(`${carrier} port counts what is sent while it is closed`, async () => {
    await withPorts(carrier, async (one, two) => {
      one.setEndpoint(0, `127.0.0.1:${two.port.port}`);
      one.port.close();
      assert.equal(one.port.port, 0);
      one.send(0, Uint8Array.of(1));
      one.port.flush();
      await until("the drop is counted", () => one.faults.dropped.length === 1);
      assert.deepEqual(one.faults.dropped, [[1, 0]]);
    });
  });

  Deno.test(`${carrier} port open() fails with EADDRINUSE and keeps what was open`, async () => {
    await withPorts(carrier, async (one, two) => {
      const before = one.port.port;
      assert.throws(
        () => one.port.open(two.port.port, 0),
        (error) => error instanceof SyscallError && error.errno === EADDRINUSE,
      );
      assert.equal(one.port.port, before);
      two.setEndpoint(0, `127.0.0.1:${before}`);
      two.send(0, Uint8Array.of(66));
      two.port.flush();
      await one.receive(1);
    });
  });

  Deno.test(`${carrier} port open() moves to another port`, async () => {
    await withPorts(carrier, async (one, two) => {
      const before = one.port.port;
      one.port.open(0, 0);
      assert.notEqual(one.port.port, before);
      two.setEndpoint(0, `[::1]:${one.port.port}`);
      two.send(0, Uint8Array.of(67));
      two.port.flush();
      await one.receive(1);
      assert.equal(one.received[0].first, 67);
    });
  });
}

Deno.test("batch port tells at which address of ours a datagram arrived, and answers from there", async () => {
  await withPorts("batch", async (one, two) => {
    one.setEndpoint(0, `127.0.0.9:${two.port.port}`);
    one.send(0, Uint8Array.of(65));
    one.port.flush();
    await two.receive(1);
    assert.match(two.received[0].source, /^127 0 0 9 0 /);
    // The record that came in, as roaming copies it, goes out.
    const scratch = CAPACITY.peers * ENDPOINT_BYTES;
    two.tables.endpoints.copyWithin(0, scratch, scratch + ENDPOINT_BYTES);
    two.send(0, Uint8Array.of(66));
    two.port.flush();
    await one.receive(1);
    assert.equal(one.received[0].from, `127.0.0.9:${two.port.port}`);
  });
});

rootTest("batch port waits for a full socket now and then only, and counts what does not fit", async () => {
  const end = new End(1);
  const fixture = new Fixture("batch", false);
  try {
    await end.run("ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1");
    await end.run("ip", "address", "add", "10.9.0.1/24", "dev", "veth0");
    for (const link of ["veth0", "veth1"]) await end.run("ip", "link", "set", link, "up");
    inNamespace(end.namespace, () => fixture.port.open(0, 0));
    setOption("SO_SNDBUF", (fixture.port as BatchPort).descriptor4, SOL_SOCKET, SO_SNDBUF, 1);
    // Nobody there: what is sent waits for an answer to ARP, and takes up the socket's buffer.
    fixture.setEndpoint(0, "10.9.0.9:9");
    const before = performance.now();
    for (let flush = 0; flush < 50; flush++) {
      for (let i = 0; i < 4; i++) fixture.send(0, new Uint8Array(1_000));
      fixture.port.flush();
    }
    const spent = performance.now() - before;
    assert.ok(spent < 100, `${spent} ms`);
    assert.ok(fixture.faults.dropped.length > 150 && fixture.faults.dropped.length < 200);
    assert.deepEqual(fixture.faults.cleared, [], "a full socket speaks of no address");
  } finally {
    await fixture.dispose();
    await end.dispose();
  }
});

Deno.test("batch port forgets a source address that is gone and sends all the same", async () => {
  await withPorts("batch", async (one, two) => {
    const source = { offset: 28, bytes: [192, 0, 2, 1] };
    one.setEndpoint(0, `127.0.0.1:${two.port.port}`, source);
    one.setEndpoint(1, `[::1]:${two.port.port}`, {
      offset: 28,
      bytes: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    });
    for (const peer of [0, 0, 1]) one.send(peer, Uint8Array.of(65 + peer));
    one.port.flush();
    await two.receive(3);
    assert.deepEqual(one.faults.cleared, [0, 0, 1]);
    assert.deepEqual(one.faults.dropped, []);
  }, false);
});

Deno.test("batch port forgets the source of joined datagrams that is gone, and joins on", async () => {
  await withPorts("batch", async (one, two) => {
    const gone = { offset: 28, bytes: [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] };
    one.setEndpoint(0, `[::1]:${two.port.port}`, gone);
    one.setEndpoint(1, `127.0.0.1:${two.port.port}`, { offset: 28, bytes: [192, 0, 2, 1] });
    for (const peer of [0, 0, 0]) one.send(peer, new Uint8Array(500).fill(65 + peer));
    for (const peer of [1, 1, 1]) one.send(peer, new Uint8Array(500).fill(65 + peer));
    one.port.flush();
    await two.receive(6);
    assert.deepEqual([...new Set(one.faults.cleared)], [0, 1]);
    assert.deepEqual(one.faults.dropped, []);
  });
});

Deno.test("batch port joins equal datagrams to one endpoint, a shorter one at the end, and takes them apart", async () => {
  await withPorts("batch", async (one, two) => {
    one.setEndpoint(0, `127.0.0.1:${two.port.port}`);
    one.setEndpoint(1, `[::1]:${two.port.port}`);
    const sent: [number, number][] = [[0, 900], [0, 900], [0, 900], [0, 300], [0, 900], [0, 901], [1, 901], [1, 901]];
    for (let i = 0; i < 150; i++) sent.push([1, 1452]);
    sent.forEach(([peer, size], i) => one.send(peer, new Uint8Array(size).fill(i)));
    one.port.flush();
    await two.receive(sent.length);
    const byFamily = (isSix: boolean): number[][] =>
      two.received.filter(({ from }) => from.startsWith("[") === isSix).map(({ first, length }) => [first, length]);
    const wanted = (peer: number): number[][] =>
      sent.map(([to, size], i) => [to, i, size]).filter(([to]) => to === peer).map(([, i, size]) => [i, size]);
    assert.deepEqual(byFamily(false), wanted(0));
    assert.deepEqual(byFamily(true), wanted(1));
    assert.ok(two.received.every(({ isUniform }) => isUniform));
    assert.deepEqual(one.faults.dropped, []);
  });
});

Deno.test("batch port fill() takes a bounded batch and then the rest", async () => {
  await withPorts("batch", async (one, two) => {
    one.setEndpoint(0, `127.0.0.1:${two.port.port}`);
    for (let i = 0; i < 20; i++) one.send(0, Uint8Array.of(i));
    one.port.flush();
    const batch = two.port as BatchPort;
    const counts: number[] = [];
    await until("all were taken", () => {
      const count = batch.fill(batch.descriptor4);
      if (count > 0) counts.push(count);
      return counts.reduce((sum, value) => sum + value, 0) === 20;
    });
    assert.deepEqual(counts, [8, 8, 4]);
    assert.equal(batch.fill(batch.descriptor4), 0);
    assert.equal(batch.next(), -1);
  }, false);
});
