import assert from "node:assert/strict";
import { IOVEC_BYTES, MMSGHDR_BYTES } from "../ffi/socket.ts";
import { DEVICE_SCRATCH_BYTES as NEEDED_SCRATCH_BYTES } from "../tunnel/device.ts";
import * as arena from "./arena.ts";
import { RECEIVE_CONTROL_ROOM, SOCKADDR_ROOM, SOURCE_CONTROL_ROOM } from "./sockaddr.ts";

Deno.test("Arena lays its regions out one behind the other, inside its memory", () => {
  const regions: [number, number][] = [
    [0, arena.ENGINE_BYTES],
    [arena.DEVICE_SCRATCH, arena.DEVICE_SCRATCH_BYTES],
    [arena.RECEIVE_MESSAGES, arena.RECEIVE_SLOTS * MMSGHDR_BYTES],
    [arena.RECEIVE_VECTORS, arena.RECEIVE_SLOTS * IOVEC_BYTES],
    [arena.RECEIVE_NAMES, arena.RECEIVE_SLOTS * arena.NAME_BYTES],
    [arena.RECEIVE_CONTROLS, arena.RECEIVE_SLOTS * arena.CONTROL_BYTES],
    [arena.SEND_MESSAGES, arena.SEND_SLOTS * MMSGHDR_BYTES],
    [arena.SEND_VECTORS, arena.SEND_SLOTS * IOVEC_BYTES],
    [arena.SEND_NAMES, arena.SEND_SLOTS * arena.NAME_BYTES],
    [arena.SEND_CONTROLS, arena.SEND_SLOTS * arena.CONTROL_BYTES],
    [arena.TUN_VECTORS, arena.TUN_VECTOR_SLOTS * IOVEC_BYTES],
    // An engine may write a block behind what it opens or seals.
    [arena.RECEIVE, arena.RECEIVE_SLOTS * arena.RECEIVE_SLOT_BYTES + 16],
    [arena.TUN_PACKET - arena.TUN_HEADER_ROOM, arena.TUN_HEADER_ROOM + arena.TUN_PACKET_BYTES + 16],
    [arena.SEND, arena.SEND_BYTES + 16],
  ];
  let end = 0;
  for (const [start, bytes] of regions) {
    assert.ok(start >= end, `${start} begins before ${end}`);
    assert.equal(start % 8, 0);
    end = start + bytes;
  }
  assert.ok(end <= new arena.Arena().bytes.length);
});

Deno.test("Arena has the room its users need", () => {
  assert.ok(arena.DEVICE_SCRATCH_BYTES >= NEEDED_SCRATCH_BYTES);
  assert.ok(arena.NAME_BYTES >= SOCKADDR_ROOM);
  assert.ok(arena.CONTROL_BYTES >= Math.max(RECEIVE_CONTROL_ROOM, SOURCE_CONTROL_ROOM));
  assert.ok(arena.SEND_BYTES >= 65_535 + 32 + 16, "the largest packet, sealed and padded");
});
