import assert from "node:assert/strict";
import { isZero } from "../crypto/bytes.ts";
import { createEventfd, signalEventfd } from "../ffi/eventfd.ts";
import { close } from "../ffi/file.ts";
import { libc } from "../ffi/libc.ts";
import { packCommands } from "../tunnel/command_list.ts";
import type { DeviceCommand } from "../tunnel/commands.ts";
import { Control } from "./control.ts";
import type { Plane } from "./plane.ts";
import type { ApplyMessage, WorkerMessage } from "./worker_messages.ts";

// Opened here, so that the leak sanitizer does not lay it at the door of the first test.
libc();

for (const fails of [false, true]) {
  Deno.test(`Control.serve() erases the keys of a request that ${fails ? "fails" : "is applied"}`, async () => {
    const { port1, port2 } = new MessageChannel();
    const descriptor = createEventfd();
    const answered = Promise.withResolvers<WorkerMessage>();
    port1.onmessage = ({ data }: MessageEvent<WorkerMessage>): void => answered.resolve(data);
    const keys: Uint8Array[] = [];
    const apply = (_: unknown, device: Iterable<DeviceCommand>): void => {
      for (const command of device) if ("key" in command && command.key !== null) keys.push(command.key);
      assert.deepEqual(keys.map((key) => key[0]), [7, 8]);
      if (fails) throw new Error("refused");
    };
    const plane = { apply, state: { listenPort: 0, isUp: false, mtu: 0 } } as unknown as Plane;
    try {
      const device: DeviceCommand[] = [
        { op: "private-key", key: new Uint8Array(32).fill(7) },
        { op: "preshared-key", peer: 0, key: new Uint8Array(32).fill(8) },
        { op: "preshared-key", peer: 1, key: null },
      ];
      const message: ApplyMessage = { id: 1, plane: [], device: packCommands(device) };
      port1.postMessage(message);
      signalEventfd(descriptor);
      const control = new Control(port2, descriptor, new SharedArrayBuffer(4));
      const released = givenBack(() => assert.ok(control.serve(plane, 0)));
      assert.equal((await answered.promise).type, fails ? "refused" : "applied");
      assert.equal(released.length, 1);
      assert.ok(released[0].length > 64 && isZero(released[0]));
      assert.deepEqual(keys.map((key) => key.length), [0, 0], "the buffer is still there");
    } finally {
      port1.close();
      port2.close();
      close(descriptor);
    }
  });
}

/** What was in the buffers that were given back while `body` ran. */
function givenBack(body: () => void): Uint8Array[] {
  const { transfer } = ArrayBuffer.prototype;
  const contents: Uint8Array[] = [];
  ArrayBuffer.prototype.transfer = function (this: ArrayBuffer, length?: number): ArrayBuffer {
    contents.push(new Uint8Array(this.slice(0)));
    return transfer.call(this, length);
  };
  try {
    body();
  } finally {
    ArrayBuffer.prototype.transfer = transfer;
  }
  return contents;
}
