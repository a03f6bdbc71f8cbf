/** What 10,000 peers cost in memory, right after they were configured and with a session each. */
import { ok } from "node:assert/strict";
import { generate, openTarget, own } from "../bench/handshakes.ts";
import { manyPeers } from "../bench/bench_peers.ts";
import { residentBytes, setConfiguration } from "../bench/scene.ts";
import { CULVERT_BATCH, CULVERTS } from "./implementation.ts";
import { Lab } from "./lab.ts";
import { netnsTest } from "./requirements.ts";

const PEERS = 10_000;
/**
 * Bytes of a peer with ten allowed IPs. Measured: 2.9 KB right after the configuration and 5.1 KB with a session; before
 * peers lay in flat arrays and X25519 was libcrypto's, 4.3 and 14.
 */
const MOST_CONFIGURED = 4_096;
const MOST_WITH_SESSION = 8_192;
/** Each datagram of the other carrier is an object of the runtime's, and what the collector has not taken yet counts. */
const MOST_WITH_SESSION_DATAGRAM = 10_240;

for (const implementation of CULVERTS) {
  const mostWithSession = implementation === CULVERT_BATCH ? MOST_WITH_SESSION : MOST_WITH_SESSION_DATAGRAM;
  netnsTest(
    `${implementation.name} takes less than ${MOST_CONFIGURED} bytes for a peer, ${mostWithSession} with a session`,
    [implementation.needs, "wg"],
    async () => {
      await using lab = new Lab();
      const end = { kind: "daemon", implementation } as const;
      const target = await openTarget(lab, [end, end]);
      const perPeer = (): number => (residentBytes(target.interface)! - empty) / PEERS;
      const empty = residentBytes(target.interface)!;
      await setConfiguration(target.interface, own(target) + manyPeers(PEERS));
      const configured = perPeer();
      ok(configured < MOST_CONFIGURED, `${configured} bytes for a peer`);
      await generate(target, "initiate", PEERS);
      const connected = perPeer();
      ok(connected < mostWithSession, `${connected} bytes for a peer with a session`);
    },
  );
}
