/** Strangers that send more handshake messages than a host can deal with. */
import { INIT_BYTES, TYPE_INITIATION } from "../../tunnel/messages.ts";
import { UNDER_LOAD_AFTER, UNDER_LOAD_QUEUE } from "../../tunnel/limits.ts";
import type { Host } from "./host.ts";

export interface Load {
  stop(): void;
}

/** Keeps a host under load from now on, as strangers with worthless messages do. */
export function underLoad(host: Host): Load {
  const { network } = host;
  let isOver = false;
  const wave = (): void => {
    if (isOver) return;
    fillQueue(host);
    while (host.device.processHandshakes(64, host.now) > 0);
    network.after(UNDER_LOAD_AFTER / 2, wave);
  };
  wave();
  return {
    stop(): void {
      isOver = true;
    },
  };
}

/** Queues as many worthless initiations as it takes to be under load. */
function fillQueue(host: Host): void {
  const junk = new Uint8Array(INIT_BYTES);
  junk[0] = TYPE_INITIATION;
  const source = host.record.slice();
  source[2] ^= 1;
  for (let i = 0; i < UNDER_LOAD_QUEUE; i++) {
    junk[4] = i;
    host.receive(junk, source);
  }
}
