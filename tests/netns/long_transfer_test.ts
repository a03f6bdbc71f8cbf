/** A gigabyte each way, once per carrier. */

import { strictEqual as equal } from "node:assert/strict";
import { CULVERTS, WIREGUARD_GO } from "./implementation.ts";
import { Lab } from "./lab.ts";
import { netnsTest } from "./requirements.ts";
import { openTunnel, transfer } from "./tunnel.ts";

const BYTES = 1_000_000_000;

for (const carrier of CULVERTS) {
  netnsTest(
    `${carrier.name} carries a gigabyte each way to and from wireguard-go unchanged`,
    [carrier.needs, WIREGUARD_GO.needs],
    async () => {
      await using lab = new Lab();
      const { ends: [near, far] } = await openTunnel(lab, [carrier, WIREGUARD_GO]);
      for (const { sent, received } of await transfer(near, far, BYTES, 280_000)) equal(received, sent);
    },
    300_000,
  );
}
