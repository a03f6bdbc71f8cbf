import assert from "node:assert/strict";
import fc from "fast-check";
import { commandList, packCommands, unpackCommands } from "./command_list.ts";
import type { DeviceCommand } from "./commands.ts";
import { ENDPOINT_BYTES } from "./endpoint.ts";

const peer = fc.nat(65_535);
const key = bytes(32);
const prefix = fc.record({
  op: fc.constantFrom("allowed-ip" as const, "remove-allowed-ip" as const),
  peer,
  address: fc.oneof(bytes(4), bytes(16)),
  cidr: fc.nat(128),
});
const command: fc.Arbitrary<DeviceCommand> = fc.oneof(
  fc.record({ op: fc.constant("private-key" as const), key: fc.option(key) }),
  fc.record({ op: fc.constant("add-peer" as const), peer, publicKey: key }),
  fc.record({ op: fc.constant("preshared-key" as const), peer, key: fc.option(key) }),
  fc.record({ op: fc.constant("endpoint" as const), peer, record: bytes(ENDPOINT_BYTES) }),
  fc.record({ op: fc.constant("keepalive" as const), peer, seconds: fc.nat(65_535) }),
  prefix,
  fc.record({
    op: fc.constantFrom("remove-peer" as const, "clear-allowed-ips" as const, "peer-configured" as const),
    peer,
  }),
  fc.record({
    op: fc.constantFrom("begin-candidates" as const, "forget-candidates" as const),
    peer,
  }),
  fc.record({ op: fc.constant("candidate" as const), peer, record: bytes(48) }),
  fc.record({ op: fc.constant("end-candidates" as const), peer, isSilent: fc.boolean() }),
  fc.record({ op: fc.constant("path-changed" as const), peer, keepsSource: fc.boolean() }),
);

function bytes(length: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: length, maxLength: length });
}

function copies(commands: Iterable<DeviceCommand>): DeviceCommand[] {
  return Array.from(commands, (command) => structuredClone(command));
}

Deno.test("commandList() and packCommands() keep every command, in order", () => {
  fc.assert(fc.property(fc.array(command, { maxLength: 300, size: "max" }), (made) => {
    const commands = copies(made);
    const list = commandList();
    for (const each of commands) list.push(each);
    assert.equal(list.length, commands.length);
    assert.deepEqual(copies(list), commands);
    const pieces = Array.from(list.pieces(), (piece) => copies(unpackCommands(new Uint8Array(packCommands(piece)))));
    assert.deepEqual(pieces.flat(), commands);
    assert.deepEqual(copies(unpackCommands(new Uint8Array(packCommands(commands)))), commands);
  }));
});

Deno.test("PackedList.clear() erases keys and gives memory back", () => {
  const list = commandList();
  list.push({ op: "preshared-key", peer: 1, key: new Uint8Array(32).fill(7) });
  const [{ bytes }] = list.pieces();
  assert.ok(bytes.includes(7));
  list.clear();
  assert.deepEqual([list.length, list.bytes, bytes.length], [0, 0, 0]);
});

Deno.test("commandList() keeps 10 allowed IPs of a peer in 250 bytes", () => {
  const list = commandList();
  for (let peer = 0; peer < 10_000; peer++) {
    for (let i = 0; i < 10; i++) {
      list.push({ op: "allowed-ip", peer, address: new Uint8Array(i < 5 ? 4 : 16), cidr: 32 });
    }
  }
  assert.ok(list.bytes < 250 * 10_000, `${list.bytes} bytes`);
});
