import assert from "node:assert/strict";
import { EADDRINUSE, SyscallError } from "../ffi/errno.ts";
import { createEventfd, drainEventfd } from "../ffi/eventfd.ts";
import { close } from "../ffi/file.ts";
import "../ffi/testing.ts";
import { closeUdpPair, openUdpPair, type UdpPair } from "../ffi/udp.ts";
import { Crew, crewBytes, CrewMember, CrewSockets } from "./crew.ts";

Deno.test("Crew.assign() returns once a helper has ended, though it follows nothing", () => {
  const eventfd = createEventfd();
  try {
    const buffer = new SharedArrayBuffer(crewBytes(1));
    const member = new CrewMember(buffer, 0);
    member.follow(() => assert.fail("There is no order yet"));
    member.end();
    new Crew(buffer, [eventfd]).assign([{ fd4: 5, fd6: -1, port: 0 }]);
    assert.ok(drainEventfd(eventfd));
  } finally {
    close(eventfd);
  }
});

Deno.test("CrewMember.follow() hands over an order once", () => {
  const buffer = new SharedArrayBuffer(crewBytes(2));
  const words = new Int32Array(buffer);
  // An order as the owner writes it: line 1 is the second helper's.
  words.set([1, 0, 5, 6], 16);
  const member = new CrewMember(buffer, 1);
  const taken: UdpPair[] = [];
  member.follow((pair) => taken.push(pair));
  member.follow((pair) => taken.push(pair));
  assert.deepEqual(taken, [{ fd4: 5, fd6: 6, port: 0 }]);
  assert.equal(words[17], 1);
});

Deno.test("CrewSockets.open() refuses a port that another program has, even one that would share it", () => {
  const buffer = new SharedArrayBuffer(crewBytes(1));
  new CrewMember(buffer, 0).end();
  const eventfd = createEventfd();
  const taken = openUdpPair(0, { reusePort: true });
  const sockets = new CrewSockets(new Crew(buffer, [eventfd]), false);
  try {
    assert.throws(
      () => sockets.open(taken.port, 0, () => assert.fail("Nothing to use")),
      (error) => error instanceof SyscallError && error.errno === EADDRINUSE,
    );
    let used: UdpPair | null = null;
    sockets.open(0, 0, (pair) => used = pair);
    // And nobody joins ours but by sharing; our own user's programs might, no others.
    assert.throws(() => openUdpPair(used!.port), SyscallError);
  } finally {
    sockets.close(() => {});
    closeUdpPair(taken);
    close(eventfd);
  }
});
