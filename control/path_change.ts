/** Telling the device that the network around it has changed: peer by peer, and not all of many at once. */
import { publicKeyOf } from "../tunnel/public_key_text.ts";
import { ENDPOINT_BYTES } from "../tunnel/endpoint.ts";
import { isInitiating } from "../tunnel/peer_health.ts";
import { NONE } from "../tunnel/tables.ts";
import type { Configuration } from "./configuration.ts";

/** With a pause of some milliseconds in between, 10,000 peers take about a second, and no packet waits for long. */
const PEERS_AT_ONCE = 128;
const PAUSE = 10;

/**
 * Has every peer with a session told where we are now, and those called that have something to say.
 *
 * @param keepsSource whether a peer at this endpoint is still to be reached from the source in its record
 * @param isCurrent asked before each part: false ends it, since another change has come or all is ending
 */
export async function announcePath(
  configuration: Pick<Configuration, "read" | "direct">,
  keepsSource: (record: Uint8Array) => boolean,
  isCurrent: () => boolean,
): Promise<void> {
  const record = new Uint8Array(ENDPOINT_BYTES);
  const peers = await configuration.read((model, { tables }) =>
    [...model.peers()].filter(({ slot, keepalive }) =>
      tables.currentKeypair[slot] !== NONE || keepalive > 0 || isInitiating(tables, slot)
    ).map(({ name, slot }) => ({ name, slot }))
  );
  for (let at = 0; at < peers.length && isCurrent(); at += PEERS_AT_ONCE) {
    if (at > 0) await new Promise((resolve) => setTimeout(resolve, PAUSE));
    await configuration.direct((model, { tables }) =>
      peers.slice(at, at + PEERS_AT_ONCE)
        .filter(({ name, slot }) => model.findPeer(publicKeyOf(name))?.slot === slot)
        .map(({ slot }) => {
          tables.readEndpoint(slot, record);
          return { op: "path-changed", peer: slot, keepsSource: keepsSource(record) };
        })
    );
  }
}
