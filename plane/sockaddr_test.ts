import assert from "node:assert/strict";
import fc from "fast-check";
import { EINVAL, ENETUNREACH } from "../ffi/errno.ts";
import { close } from "../ffi/file.ts";
import { errno, libc } from "../ffi/libc.ts";
import { Address } from "../ffi/memory.ts";
import { POLLIN, PollSet } from "../ffi/poll.ts";
import {
  IOVEC_BASE,
  IOVEC_LENGTH,
  MSG_CTRUNC,
  MSGHDR_BYTES,
  MSGHDR_CONTROL,
  MSGHDR_CONTROL_LENGTH,
  MSGHDR_FLAGS,
  MSGHDR_IOV,
  MSGHDR_IOV_COUNT,
  MSGHDR_NAME,
  MSGHDR_NAME_LENGTH,
  SOCKADDR_IN6_BYTES,
  SOCKADDR_IN_BYTES,
} from "../ffi/socket.ts";
import { inTestNamespace, rootTest, setUpLoopback } from "../ffi/testing.ts";
import { enableGro, openUdp } from "../ffi/udp.ts";
import {
  ENDPOINT_BYTES,
  ENDPOINT_FAMILY,
  ENDPOINT_SOURCE,
  ENDPOINT_SOURCE_IFINDEX,
  endpointRecord,
} from "../tunnel/endpoint.ts";
import {
  clearSource,
  readControl,
  readSockaddr,
  RECEIVE_CONTROL_ROOM,
  SOCKADDR_ROOM,
  SOURCE_CONTROL_ROOM,
  writeSockaddr,
  writeSource,
} from "./sockaddr.ts";

const LOOPBACK4 = Uint8Array.of(127, 0, 0, 1);
const LOOPBACK6 = bytes16(0, 1);
const OTHER4 = Uint8Array.of(127, 0, 0, 2);
const OTHER6 = bytes16(0x20, 2);
const LINK_LOCAL = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9);

/** Where the record lies in its buffer: not at 0, so that offsets count. */
const AT = 48;
const MAPPED_PREFIX = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

function bytes16(first: number, last: number): Uint8Array<ArrayBuffer> {
  const address = new Uint8Array(16);
  address[0] = first;
  address[15] = last;
  return address;
}

function viewWith(record: Uint8Array): DataView {
  const buffer = new Uint8Array(3 * ENDPOINT_BYTES).fill(0xee);
  buffer.set(record, AT);
  return new DataView(buffer.buffer);
}

function recordOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, AT, ENDPOINT_BYTES).slice();
}

function sourceOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, AT + ENDPOINT_SOURCE, 16).slice();
}

function setSource(view: DataView, address: Uint8Array, ifindex: number): void {
  clearSource(view, AT);
  new Uint8Array(view.buffer).set(address, AT + ENDPOINT_SOURCE);
  view.setUint32(AT + ENDPOINT_SOURCE_IFINDEX, ifindex, true);
}

Deno.test("writeSockaddr() writes sockaddr_in", () => {
  const view = new DataView(new Uint8Array(64).fill(0xaa).buffer);
  const length = writeSockaddr(view, 8, viewWith(endpointRecord(Uint8Array.of(10, 1, 2, 3), 51820)), AT);
  assert.equal(length, SOCKADDR_IN_BYTES);
  assert.deepEqual(
    [...new Uint8Array(view.buffer, 8, 17)],
    [2, 0, 0xca, 0x6c, 10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0xaa],
  );
});

Deno.test("writeSockaddr() writes sockaddr_in6 with its scope", () => {
  const view = new DataView(new Uint8Array(64).fill(0xaa).buffer);
  const length = writeSockaddr(view, 8, viewWith(endpointRecord(LINK_LOCAL, 51820, 0x01020304)), AT);
  assert.equal(length, SOCKADDR_IN6_BYTES);
  assert.deepEqual(
    [...new Uint8Array(view.buffer, 8, 29)],
    [10, 0, 0xca, 0x6c, 0, 0, 0, 0, ...LINK_LOCAL, 4, 3, 2, 1, 0xaa],
  );
});

Deno.test("writeSockaddr() and writeSource() write nothing of an empty record", () => {
  const view = new DataView(new ArrayBuffer(64));
  assert.equal(writeSockaddr(view, 0, viewWith(new Uint8Array(ENDPOINT_BYTES)), AT), 0);
  assert.equal(writeSource(view, 0, viewWith(new Uint8Array(ENDPOINT_BYTES)), AT, true), 0);
  assert.deepEqual(new Uint8Array(view.buffer), new Uint8Array(64));
});

Deno.test("readSockaddr() restores what writeSockaddr() wrote, and touches no other byte", () => {
  const addresses = fc.oneof(
    fc.uint8Array({ minLength: 4, maxLength: 4 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }).filter((a) => MAPPED_PREFIX.some((byte, i) => a[i] !== byte)),
  );
  fc.assert(fc.property(addresses, fc.nat(0xffff), fc.nat(0xffff_ffff), (address, port, scope) => {
    const record = endpointRecord(address, port, address.length === 16 ? scope : 0);
    const view = new DataView(new ArrayBuffer(SOCKADDR_ROOM));
    assert.ok(writeSockaddr(view, 0, viewWith(record), AT) > 0);
    const target = new Uint8Array(3 * ENDPOINT_BYTES).fill(0xee);
    // The last four bytes of a record are spare and nobody's.
    target.fill(0, AT + ENDPOINT_BYTES - 4, AT + ENDPOINT_BYTES);
    assert.equal(readSockaddr(view, 0, new DataView(target.buffer), AT), true);
    assert.deepEqual(target.slice(AT, AT + ENDPOINT_BYTES), record);
    assert.ok(target.subarray(0, AT).every((byte) => byte === 0xee));
    assert.ok(target.subarray(AT + ENDPOINT_BYTES).every((byte) => byte === 0xee));
  }));
});

Deno.test("readSockaddr() makes an IPv4-mapped address IPv4", () => {
  const view = new DataView(new ArrayBuffer(SOCKADDR_ROOM));
  const mapped = Uint8Array.of(...MAPPED_PREFIX, 10, 1, 2, 3);
  writeSockaddr(view, 0, viewWith(endpointRecord(mapped, 7)), AT);
  const records = viewWith(new Uint8Array(ENDPOINT_BYTES).fill(0xee).fill(0, ENDPOINT_BYTES - 4));
  assert.equal(readSockaddr(view, 0, records, AT), true);
  assert.deepEqual(recordOf(records), endpointRecord(Uint8Array.of(10, 1, 2, 3), 7));
});

Deno.test("readSockaddr() empties the record for another family", () => {
  const records = viewWith(endpointRecord(LOOPBACK4, 7));
  assert.equal(readSockaddr(new DataView(Uint8Array.of(1, 0, 1, 1, 1, 1, 1, 1).buffer), 0, records, AT), false);
  assert.equal(records.getUint16(AT + ENDPOINT_FAMILY, true), 0);
});

Deno.test("readControl() restores what writeSource() wrote", () => {
  for (const [address, source] of [[LOOPBACK4, OTHER4], [LOOPBACK6, OTHER6]]) {
    const records = viewWith(endpointRecord(address, 7));
    setSource(records, source, 0x01020304);
    const before = recordOf(records);
    const view = new DataView(new Uint8Array(64).fill(0xaa).buffer);
    const length = writeSource(view, 8, records, AT, true);
    assert.ok(length <= SOURCE_CONTROL_ROOM);
    assert.equal(view.getUint8(8 + length), 0xaa);
    clearSource(records, AT);
    assert.equal(readControl(view, 8, length, records, AT), 0);
    assert.deepEqual(recordOf(records), before);
  }
});

Deno.test("writeSource() pins the interface only when told to, or for a link-local source", () => {
  const ifindexAt = { v4: 16, v6: 32 };
  const view = new DataView(new ArrayBuffer(SOURCE_CONTROL_ROOM));
  const pinned = (address: Uint8Array, source: Uint8Array, pin: boolean): number => {
    const records = viewWith(endpointRecord(address, 7));
    setSource(records, source, 5);
    writeSource(view, 0, records, AT, pin);
    return view.getUint32(address.length === 4 ? ifindexAt.v4 : ifindexAt.v6, true);
  };
  assert.equal(pinned(LOOPBACK4, OTHER4, false), 0);
  assert.equal(pinned(LOOPBACK4, OTHER4, true), 5);
  assert.equal(pinned(LOOPBACK6, OTHER6, false), 0);
  assert.equal(pinned(LOOPBACK6, OTHER6, true), 5);
  assert.equal(pinned(LOOPBACK6, LINK_LOCAL, false), 5);
});

Deno.test("readControl() takes no multicast group for a source, and a mapped one as IPv4", () => {
  const received = (address: Uint8Array): DataView => {
    const records = viewWith(endpointRecord(LOOPBACK6, 7));
    setSource(records, address, 5);
    const view = new DataView(new ArrayBuffer(SOURCE_CONTROL_ROOM));
    const length = writeSource(view, 0, records, AT, true);
    clearSource(records, AT);
    readControl(view, 0, length, records, AT);
    return records;
  };
  assert.deepEqual(recordOf(received(bytes16(0xff, 1))), endpointRecord(LOOPBACK6, 7));
  const mapped = received(Uint8Array.of(...MAPPED_PREFIX, 10, 1, 2, 3));
  assert.deepEqual([...sourceOf(mapped)], [10, 1, 2, 3, ...new Uint8Array(12)]);
});

Deno.test("clearSource() leaves destination and spare bytes alone", () => {
  const record = endpointRecord(LOOPBACK6, 7, 3);
  const records = viewWith(record);
  setSource(records, OTHER6, 5);
  clearSource(records, AT);
  assert.deepEqual(recordOf(records), record);
});

Deno.test("readControl() survives anything", () => {
  const records = viewWith(endpointRecord(LOOPBACK6, 7));
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), fc.nat(64), fc.nat(64), (control, size, length) => {
      control.set([size, 0, 0, 0], 0);
      const segment = readControl(new DataView(control.slice().buffer), 0, length, records, AT);
      assert.ok(segment >= 0 && Number.isInteger(segment));
    }),
    { numRuns: 2_000 },
  );
});

/** A socket with one message's structures, as the batch carrier lays them out. */
class Endpoint {
  readonly fd: number;
  readonly port: number;
  readonly records = viewWith(new Uint8Array(ENDPOINT_BYTES));
  readonly #bytes = new Uint8Array(4096);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #address = new Address(this.#bytes);
  static readonly #NAME = 64;
  static readonly #IOV = 96;
  static readonly #CONTROL = 128;
  static readonly #PAYLOAD = 256;

  constructor(family: 4 | 6) {
    ({ fd: this.fd, port: this.port } = openUdp(family, 0));
    this.#address.write(this.#view, MSGHDR_NAME, Endpoint.#NAME);
    this.#address.write(this.#view, MSGHDR_IOV, Endpoint.#IOV);
    this.#address.write(this.#view, MSGHDR_CONTROL, Endpoint.#CONTROL);
    this.#address.write(this.#view, Endpoint.#IOV + IOVEC_BASE, Endpoint.#PAYLOAD);
    this.#view.setUint32(MSGHDR_IOV_COUNT, 1, true);
  }

  /** Sends to, and from, what `records` says. @returns bytes or a negative errno */
  send(bytes: number, pin = false): number {
    const view = this.#view;
    view.setUint32(MSGHDR_NAME_LENGTH, writeSockaddr(view, Endpoint.#NAME, this.records, AT), true);
    view.setUint32(MSGHDR_CONTROL_LENGTH, writeSource(view, Endpoint.#CONTROL, this.records, AT, pin), true);
    view.setUint32(Endpoint.#IOV + IOVEC_LENGTH, bytes, true);
    const result = libc().sendmsg(this.fd, this.#bytes.subarray(0, MSGHDR_BYTES), 0);
    return result < 0 ? -errno() : result;
  }

  /** Receives a datagram, its sender and our address into `records`. @returns its length and segment size */
  receive(): [number, number] {
    const poll = new PollSet(1);
    poll.add(this.fd, POLLIN);
    assert.equal(poll.wait(2_000), 1, "no datagram arrived");
    const view = this.#view;
    view.setUint32(MSGHDR_NAME_LENGTH, SOCKADDR_ROOM, true);
    view.setUint32(MSGHDR_CONTROL_LENGTH, RECEIVE_CONTROL_ROOM, true);
    view.setUint32(Endpoint.#IOV + IOVEC_LENGTH, 3000, true);
    const length = libc().recvmsg(this.fd, this.#bytes.subarray(0, MSGHDR_BYTES), 0);
    assert.equal(view.getUint32(MSGHDR_FLAGS, true) & MSG_CTRUNC, 0, "control messages must fit");
    assert.ok(readSockaddr(view, Endpoint.#NAME, this.records, AT));
    const control = view.getUint32(MSGHDR_CONTROL_LENGTH, true);
    return [length, readControl(view, Endpoint.#CONTROL, control, this.records, AT)];
  }

  direct(address: Uint8Array, port: number): void {
    new Uint8Array(this.records.buffer).set(endpointRecord(address, port), AT);
  }
}

function withPair(family: 4 | 6, f: (a: Endpoint, b: Endpoint) => void): void {
  const [a, b] = [new Endpoint(family), new Endpoint(family)];
  try {
    f(a, b);
  } finally {
    close(a.fd);
    close(b.fd);
  }
}

const FAMILIES = [
  { family: 4, loopback: LOOPBACK4, other: OTHER4, absent: Uint8Array.of(192, 0, 2, 1), refusal: ENETUNREACH },
  { family: 6, loopback: LOOPBACK6, other: OTHER6, absent: bytes16(0x20, 99), refusal: EINVAL },
] as const;

for (const { family, loopback, other, absent, refusal } of FAMILIES) {
  rootTest(`an IPv${family} answer leaves from the address that was spoken to`, () => {
    inTestNamespace(() => {
      setUpLoopback(...(family === 6 ? [other] : []));
      withPair(family, (a, b) => {
        a.direct(other, b.port);
        assert.equal(a.send(5), 5);
        assert.deepEqual(b.receive(), [5, 0]);
        assert.deepEqual(sourceOf(b.records).subarray(0, other.length), other);
        assert.equal(b.records.getUint32(AT + ENDPOINT_SOURCE_IFINDEX, true), 1);
        for (const pin of [false, true]) {
          assert.equal(b.send(6, pin), 6);
          assert.deepEqual(a.receive(), [6, 0]);
          const sender = recordOf(a.records);
          sender.fill(0, ENDPOINT_SOURCE_IFINDEX);
          assert.deepEqual(sender, endpointRecord(other, b.port));
        }
      });
    });
  });

  rootTest(`an IPv${family} source that is no longer ours is refused, and works once cleared`, () => {
    inTestNamespace(() => {
      setUpLoopback();
      withPair(family, (a, b) => {
        a.direct(loopback, b.port);
        setSource(a.records, absent, 1);
        assert.equal(a.send(5), -refusal);
        clearSource(a.records, AT);
        assert.equal(a.send(5), 5);
      });
    });
  });

  rootTest(`readControl() tells the segment size of joined IPv${family} datagrams`, () => {
    inTestNamespace(() => {
      setUpLoopback();
      withPair(family, (a, b) => {
        assert.ok(enableGro(b.fd));
        const UDP_SEGMENT = 103;
        assert.equal(libc().setsockopt(a.fd, 17, UDP_SEGMENT, Int32Array.of(500), 4), 0);
        a.direct(loopback, b.port);
        assert.equal(a.send(1700), 1700);
        assert.deepEqual(b.receive(), [1700, 500]);
        assert.deepEqual(sourceOf(b.records).subarray(0, loopback.length), loopback);
      });
    });
  });
}
