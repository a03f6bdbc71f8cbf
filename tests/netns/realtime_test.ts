/**
 * Six minutes of real time with traffic: rekeys every 120 seconds that lose nothing, and no packet accepted under a key
 * older than 180 seconds.
 *
 * Datagrams for the second claim are held back on the way: the far end's firewall drops them after they were captured,
 * so their counters are unused and only the age of the key decides when they are sent again.
 */

import { ok, strictEqual as equal } from "node:assert/strict";
import { Capture } from "./capture.ts";
import { firstHandshake } from "./daemon.ts";
import { culvert, CULVERT_BATCH, CULVERT_DATAGRAM, type Implementation, WIREGUARD_GO } from "./implementation.ts";
import { Lab } from "./lab.ts";
import { sleep } from "./process.ts";
import { netnsTest } from "./requirements.ts";
import { type End, inner, openTunnel, parsePing, type Tunnel } from "./tunnel.ts";

/** A firewall sees joined datagrams as one, and would let a held one pass together with another. */
const UNJOINED = culvert("--carrier", "batch", "--no-offload");

const PAIRS: readonly (readonly [Implementation, Implementation])[] = [
  [UNJOINED, WIREGUARD_GO],
  [WIREGUARD_GO, CULVERT_BATCH],
  [WIREGUARD_GO, CULVERT_DATAGRAM],
  [CULVERT_DATAGRAM, CULVERT_BATCH],
];

const SECONDS = 365;
const REKEY_AFTER_SECONDS = 120;
const REJECT_AFTER_SECONDS = 180;
/** Ten pings a second and a poll of once a second: a rekey shows at most this much later. */
const SLACK_SECONDS = 2;

/** Payload of the held pings, the IP packet it makes and the UDP length on the wire: no other traffic is of this size. */
const HELD_PAYLOAD = 500;
const HELD_PACKET = HELD_PAYLOAD + 28;
const HELD_UDP_LENGTH = HELD_PACKET + 32 + 8;
const HELD = 10;
/** Of the held datagrams, sent again while their key is good; each is answered. */
const ACCEPTED = 2;

// A CI script that runs this file beside the others says so.
if (Deno.env.get("CULVERT_REALTIME") !== "elsewhere") {
  netnsTest(
    "six minutes of traffic lose no packet at a rekey and keys older than 180 s are refused",
    [WIREGUARD_GO.needs, CULVERT_BATCH.needs, "nft", "ping", "tcpdump"],
    async () => {
      await Promise.all(PAIRS.map(async ([near, far]) => {
        try {
          await watch(near, far);
        } catch (error) {
          throw new Error(`${near.name} to ${far.name}: ${(error as Error).message}`, { cause: error });
        }
      }));
    },
    (SECONDS + 120) * 1000,
  );
}

async function watch(initiator: Implementation, responder: Implementation): Promise<void> {
  await using lab = new Lab();
  const tunnel = await openTunnel(lab, [initiator, responder], { knows: [1] });
  const [near, far] = tunnel.ends;
  const pinging = near.host.spawn(["ping", "-n", "-q", "-i", "0.1", "-c", `${SECONDS * 10}`, inner(2)]);
  const start = await firstHandshake(far.daemon);
  const log = new HandshakeLog(tunnel);
  try {
    await checkOldKeys(near, far, start);
    await sleepUntil(start + SECONDS);
  } finally {
    await log.stop();
  }
  for (const times of log.seen) checkRekeys([...times]);
  await pinging.end(60_000);
  const { sent, text } = parsePing({ code: 0, stdout: pinging.output(), stderr: "" });
  equal(sent, SECONDS * 10);
  await sleep(1_000);
  equal(await near.host.echoReplies(), sent + ACCEPTED, text);
}

async function checkOldKeys(near: End, far: End, start: number): Promise<void> {
  await sleepUntil(start + 15);
  const held = await holdBack(near, far);
  await far.host.nft(`table inet arrived {
    chain input {
      type filter hook input priority 0;
      iifname "${far.daemon.interfaceName}" meta length ${HELD_PACKET} counter comment "arrived"
    }
  }`);
  // After the first rekey the key is the previous one, and still good.
  await sleepUntil(start + REKEY_AFTER_SECONDS + 20);
  const good = Array.from({ length: ACCEPTED }, (_, i) => i);
  await inject(near, held, good);
  equal(await far.host.counted("arrived"), ACCEPTED, "The first key was refused before its time");
  await inject(near, held, good);
  equal(await far.host.counted("arrived"), ACCEPTED, "A datagram was accepted twice");
  await sleepUntil(start + REJECT_AFTER_SECONDS + 5);
  await inject(near, held, Array.from({ length: HELD - ACCEPTED }, (_, i) => i + ACCEPTED));
  equal(await far.host.counted("arrived"), ACCEPTED, `A key older than ${REJECT_AFTER_SECONDS} s was accepted`);
}

/** Unix times of the handshakes that either end has shown, looked at once a second. */
class HandshakeLog {
  readonly seen: readonly Set<number>[];
  readonly #tunnel: Tunnel;
  readonly #running: Promise<void>;
  #stopped = false;

  constructor(tunnel: Tunnel) {
    this.#tunnel = tunnel;
    this.seen = tunnel.ends.map(() => new Set<number>());
    this.#running = this.#sample();
    // Reported by stop().
    this.#running.catch(() => {});
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #sample(): Promise<void> {
    while (!this.#stopped) {
      for (const [i, end] of this.#tunnel.ends.entries()) {
        this.seen[i].add((await end.daemon.show()).peers[0].latestHandshake);
      }
      await sleep(1_000);
    }
  }
}

function checkRekeys(times: readonly number[]): void {
  equal(times.length, 1 + Math.floor(SECONDS / REKEY_AFTER_SECONDS), `Handshakes at ${times}`);
  for (let i = 1; i < times.length; i++) {
    const gap = times[i] - times[i - 1];
    ok(gap >= REKEY_AFTER_SECONDS - 1 && gap <= REKEY_AFTER_SECONDS + SLACK_SECONDS, `Handshakes at ${times}`);
  }
}

/** Sends pings whose datagrams the far end's firewall drops, and returns the capture of them. */
async function holdBack(near: End, far: End): Promise<Capture> {
  await far.host.nft(`table inet held {
    chain input {
      type filter hook input priority 0;
      udp length ${HELD_UDP_LENGTH} drop
    }
  }`);
  const capture = await Capture.start(far.host, far.device, `udp[4:2] = ${HELD_UDP_LENGTH}`);
  const args = ["-q", "-c", `${HELD}`, "-i", "0.05", "-W", "1", "-s", `${HELD_PAYLOAD}`];
  // The other pings go on meanwhile, so ping's own count is asked for.
  equal(parsePing(await near.host.run(["ping", "-n", ...args, inner(2)])).received, 0);
  await capture.stop();
  equal((await capture.read("udp", ["udp.length"])).length, HELD);
  await far.host.must(["nft", "delete", "table", "inet", "held"]);
  return capture;
}

/** Sends captured frames again, just as they were: from the same addresses, so that no endpoint moves. */
async function inject(near: End, { file }: Capture, frames: readonly number[]): Promise<void> {
  const script = new URL("./inject.ts", import.meta.url).pathname;
  await near.host.must([Deno.execPath(), "run", "-A", "--no-lock", script, near.device, file, ...frames.map(String)]);
  await sleep(500);
}

async function sleepUntil(unixSeconds: number): Promise<void> {
  await sleep(Math.max(0, unixSeconds * 1000 - Date.now()));
}
