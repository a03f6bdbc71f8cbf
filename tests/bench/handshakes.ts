/** Handshakes a second, the daemon in either role, against the generator. */
import { type KeyPair, makeKeys } from "../netns/daemon.ts";
import type { Host, Lab, Link } from "../netns/lab.ts";
import { PORTS } from "../netns/tunnel.ts";
import { FIRST_PORT, peerAddress, peerPublicKey, PEERS_NETWORK } from "./bench_peers.ts";
import type { Contestant } from "./contestants.ts";
import type { GeneratorResult, GeneratorTask } from "./handshake_generator.ts";
import type { BenchContext, Measurement, Sample, Take } from "./metric.ts";
import { bringUp, type Interface, setConfiguration, startInterface } from "./scene.ts";

const GENERATOR = new URL("./handshake_generator.ts", import.meta.url).pathname;

/** Peers that shake hands once in a run. The initiator's need a socket each. */
const RESPONDER_PEERS = 1_000;
const INITIATOR_PEERS = 400;
const GENERATOR_TIMEOUT = 60_000;
/** Of all handshakes begun; fewer completed say that the daemon, or the generator, is at fault. */
const LEAST_COMPLETED = 0.9;

export const HANDSHAKES: Measurement = {
  name: "handshakes",
  about: `Handshakes with ${RESPONDER_PEERS} initiating and ${INITIATOR_PEERS} responding peers`,
  metrics: [
    { name: "handshakes-responder", label: "Handshakes as responder", unit: "1/s", better: "more" },
    { name: "handshakes-initiator", label: "Handshakes as initiator", unit: "1/s", better: "more" },
    {
      name: "generator-busy",
      label: "Load of the generator that answers it",
      unit: "% of a core",
      better: "less",
      isAside: true,
    },
  ],
  includes: ({ role }) => role !== "mixed" && role !== "link",
  open,
};

/** A daemon on host a that a generator on host b plays with. */
export interface Target {
  readonly interface: Interface;
  readonly keys: KeyPair;
  readonly link: Link;
  readonly generatorHost: Host;
}

export async function openTarget(lab: Lab, ends: Contestant["ends"]): Promise<Target> {
  if (ends === null) throw new RangeError("Cannot shake hands with what has no program");
  const { a, b, link } = await lab.pair();
  const target = { interface: await startInterface(a, ends[0]), keys: await makeKeys(), link, generatorHost: b };
  await setConfiguration(target.interface, own(target));
  await bringUp(target.interface, 1);
  await a.must(["ip", "route", "add", PEERS_NETWORK, "dev", target.interface.name]);
  return target;
}

/** The `[Interface]` section of a target. */
export function own({ keys }: Target): string {
  return `[Interface]\nPrivateKey = ${keys.privateKey}\nListenPort = ${PORTS[0]}\n`;
}

/** Has the generator play `count` peers that the target knows. */
export async function generate(
  target: Target,
  role: GeneratorTask["role"],
  count: number,
): Promise<GeneratorResult> {
  const task: GeneratorTask = {
    role,
    count,
    target: target.keys.publicKey,
    targetAddress: target.link.place(1).outer(4),
    targetPort: PORTS[0],
    ownAddress: target.link.place(2).outer(4),
    targetNamespace: `/var/run/netns/${target.interface.host.name}`,
  };
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const command = [Deno.execPath(), "run", "-A", "--cached-only", "--config", config, GENERATOR, JSON.stringify(task)];
  const text = await target.generatorHost.must(command, { timeout: GENERATOR_TIMEOUT });
  const result: GeneratorResult = JSON.parse(text.trim().split("\n").at(-1)!);
  if (result.completed < count * LEAST_COMPLETED) {
    throw new Error(`Only ${result.completed} of ${count} handshakes were completed`);
  }
  return result;
}

async function open(bench: BenchContext, contestant: Contestant): Promise<Take> {
  const target = await openTarget(bench.lab, contestant.ends);
  return async (): Promise<Sample> => {
    await setConfiguration(target.interface, own(target) + initiatingPeers());
    const responder = await generate(target, "initiate", RESPONDER_PEERS);
    // Peers without any session again, so that each has to initiate.
    await setConfiguration(target.interface, own(target));
    await setConfiguration(target.interface, own(target) + respondingPeers(target));
    const initiator = await generate(target, "respond", INITIATOR_PEERS);
    await setConfiguration(target.interface, own(target));
    return {
      "handshakes-responder": responder.completed / responder.seconds,
      "handshakes-initiator": initiator.completed / initiator.seconds,
      "generator-busy": initiator.busy,
    };
  };
}

function initiatingPeers(): string {
  return sections(RESPONDER_PEERS, () => "");
}

function respondingPeers({ link }: Target): string {
  const address = link.place(2).outer(4);
  return sections(INITIATOR_PEERS, (number) => `Endpoint = ${address}:${FIRST_PORT + number}\n`);
}

function sections(count: number, more: (number: number) => string): string {
  const texts: string[] = [];
  for (let number = 0; number < count; number++) {
    const key = peerPublicKey(number);
    texts.push(`[Peer]\nPublicKey = ${key}\nAllowedIPs = ${peerAddress(number)}/32\n${more(number)}`);
  }
  return texts.join("");
}
