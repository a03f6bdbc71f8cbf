/**
 * culvert against wireguard-go and against itself: both outer families, each side as initiator, with and without a
 * preshared key, both carriers. Nothing may be lost and nothing changed.
 */

import { ok, strictEqual as equal } from "node:assert/strict";
import { CULVERT_BATCH, CULVERT_DATAGRAM, CULVERTS, type Implementation, WIREGUARD_GO } from "./implementation.ts";
import { Lab } from "./lab.ts";
import { waitFor } from "./process.ts";
import { netnsTest } from "./requirements.ts";
import { type End, endpointText, inner, openTunnel, other, ping, transfer, type Tunnel } from "./tunnel.ts";

const PINGS = 1000;
const TRANSFER_BYTES = 50_000_000;

interface Case {
  readonly initiator: Implementation;
  readonly responder: Implementation;
  readonly family: 4 | 6;
  readonly presharedKey: boolean;
}

// The first shows that the laboratory itself loses nothing.
const PAIRS: readonly (readonly [Implementation, Implementation])[] = [
  [WIREGUARD_GO, WIREGUARD_GO],
  ...CULVERTS.flatMap((carrier) => [[carrier, WIREGUARD_GO], [WIREGUARD_GO, carrier]] as const),
  [CULVERT_BATCH, CULVERT_BATCH],
  [CULVERT_BATCH, CULVERT_DATAGRAM],
  [CULVERT_DATAGRAM, CULVERT_BATCH],
  [CULVERT_DATAGRAM, CULVERT_DATAGRAM],
];

for (const [initiator, responder] of PAIRS) {
  for (const family of [4, 6] as const) {
    for (const presharedKey of initiator === responder && initiator === WIREGUARD_GO ? [true] : [false, true]) {
      register({ initiator, responder, family, presharedKey });
    }
  }
}

function register(test: Case): void {
  const { initiator, responder, family, presharedKey } = test;
  const name = `${initiator.name} initiates to ${responder.name} over IPv${family}` +
    `${presharedKey ? " with a preshared key" : ""} without losing or changing a byte`;
  netnsTest(name, [initiator.needs, responder.needs, "ping"], () => exercise(test));
}

async function exercise({ initiator, responder, family, presharedKey }: Case): Promise<void> {
  await using lab = new Lab();
  const tunnel = await openTunnel(lab, [initiator, responder], { family, presharedKey, knows: [1] });
  const [near, far] = tunnel.ends;
  try {
    const flood = await ping(near.host, inner(2), ["-q", "-f", "-c", `${PINGS}`]);
    equal(flood.received, PINGS, flood.text);
    const back = await ping(far.host, inner(1, 6), ["-q", "-f", "-c", `${PINGS}`]);
    equal(back.received, PINGS, back.text);
    // Nothing was lost, so what one end has sent is what the other has received.
    await waitFor("equal counters", () => sameCounters(tunnel.ends), 3_000, 100);
    for (const { sent, received } of await transfer(near, far, TRANSFER_BYTES)) equal(received, sent);
    await checkShown(tunnel, family, presharedKey);
  } catch (error) {
    throw new Error(`${near.daemon.log()}\n${far.daemon.log()}`, { cause: error });
  }
}

/** `wg show` on both ends: who, where, when, how much. */
async function checkShown(tunnel: Tunnel, family: 4 | 6, presharedKey: boolean): Promise<void> {
  for (const end of tunnel.ends) {
    const peer = other(tunnel, end);
    const state = await end.daemon.show();
    equal(state.publicKey, end.keys.publicKey);
    equal(state.peers.length, 1);
    const [shown] = state.peers;
    equal(shown.publicKey, peer.keys.publicKey);
    equal(shown.presharedKey !== "(none)", presharedKey);
    equal(shown.endpoint, endpointText(peer, family));
    equal(shown.allowedIps.toSorted().join(), [`${inner(peer.side)}/32`, `${inner(peer.side, 6)}/128`].join());
    const age = Date.now() / 1000 - shown.latestHandshake;
    ok(age >= -1 && age < 60, `The handshake is ${age} s old`);
    // Sent and received, each direction at least the transfer and not twice it.
    for (const bytes of [shown.sent, shown.received]) {
      ok(bytes > TRANSFER_BYTES && bytes < 1.5 * TRANSFER_BYTES, `${bytes} bytes are counted`);
    }
  }
}

async function sameCounters([near, far]: readonly [End, End]): Promise<boolean> {
  const [here, there] = [(await near.daemon.show()).peers[0], (await far.daemon.show()).peers[0]];
  return here.sent === there.received && here.received === there.sent;
}
