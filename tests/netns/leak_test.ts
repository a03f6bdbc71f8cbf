/** Peers that come and go leave no descriptor and no memory behind in the running daemon. */

import { ok, strictEqual as equal } from "node:assert/strict";
import { Daemon, keyFile, makeKeys } from "./daemon.ts";
import { CULVERTS } from "./implementation.ts";
import { Lab } from "./lab.ts";
import { sleep } from "./process.ts";
import { netnsTest } from "./requirements.ts";
import { bringUp } from "./tunnel.ts";

const PEERS = 10_000;
const BATCH = 500;
/** So many until the garbage collector's heap has found its size: measured over 100,000, it grows until about 70,000. */
const WARM_UP_PEERS = 75_000;
/** Resident memory may grow this much over all of them, the garbage collector's play: 2.5 kB a peer. */
const MOST_GROWTH = 24 << 20;

for (const implementation of CULVERTS) {
  netnsTest(
    `${implementation.name} leaves no descriptor and no memory behind when ${PEERS} peers come and go`,
    [implementation.needs],
    async () => {
      await using lab = new Lab();
      const { a } = await lab.pair();
      const daemon = await Daemon.foreground(a, implementation);
      await daemon.set("private-key", await keyFile(a, (await makeKeys()).privateKey), "listen-port", "7777");
      await bringUp(daemon, 1);
      // The first peers compile code and let the garbage collector find the size of its heap.
      for (let i = 0; i < WARM_UP_PEERS; i += BATCH) await comeAndGo(daemon);
      await sleep(1_000);
      const descriptors = daemon.descriptors();
      const before = daemon.residentBytes();
      for (let i = 0; i < PEERS; i += BATCH) await comeAndGo(daemon);
      await sleep(1_000);
      const growth = daemon.residentBytes() - before;
      equal(daemon.descriptors(), descriptors);
      ok(growth < MOST_GROWTH, `Resident memory grew by ${growth} bytes`);
      equal((await daemon.show()).peers.length, 0);
    },
  );
}

/** A batch of peers, each with an endpoint where nobody answers, so that a handshake begins; then all are removed. */
async function comeAndGo(daemon: Daemon): Promise<void> {
  const keys = Array.from({ length: BATCH }, randomKey);
  const added = keys.map((key, i) =>
    [
      `public_key=${key}`,
      `endpoint=10.77.0.2:${1000 + i}`,
      `persistent_keepalive_interval=${i % 2 === 0 ? 25 : 0}`,
      `allowed_ip=10.${i >> 8}.${i & 255}.0/24`,
      `allowed_ip=fd00:${i.toString(16)}::/64`,
    ].join("\n")
  );
  equal(await daemon.uapi(`set=1\n${added.join("\n")}\n\n`), "errno=0\n\n");
  equal((await daemon.show()).peers.length, BATCH);
  const removed = keys.map((key) => `public_key=${key}\nremove=true`);
  equal(await daemon.uapi(`set=1\n${removed.join("\n")}\n\n`), "errno=0\n\n");
}

function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
