/** The packets that a leak test tries to get out of the host, past the tunnel. */
import type { ProbeTarget } from "../ffi/probe_socket.ts";
import { echoPayload, type Payload, plainPayload, queryPayload } from "./leak_payload.ts";
import type { LeakScene, OutsideInterface } from "./leak_scene.ts";

const DNS_PORT = 53;
const HTTPS_PORT = 443;
const DISCARD_PORT = 9;
/** Where nothing listens as a rule. */
const FIRST_RANDOM_PORT = 40_000;
const RANDOM_PORTS = 20_000;
/** Endpoints of a tunnel with more are not all tried. */
const MAX_ENDPOINTS = 8;

/** Public resolvers, which are known for their addresses: two, so that no single odd route decides. */
const PUBLIC: Readonly<Record<4 | 6, readonly Uint8Array[]>> = {
  4: [Uint8Array.of(9, 9, 9, 9), Uint8Array.of(1, 1, 1, 1)],
  6: [
    Uint8Array.of(0x26, 0x20, 0, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfe),
    Uint8Array.of(0x26, 6, 0x47, 0, 0x47, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x11, 0x11),
  ],
};
const FAMILIES = [4, 6] as const;

/** One packet to be sent. */
export interface Probe extends ProbeTarget {
  /** What it stands for, in words. */
  readonly what: string;
  readonly family: 4 | 6;
  readonly payload: Payload;
  /** It must get out, or the test proves nothing. */
  readonly isWitness: boolean;
}

/** Whose secrets are at stake. */
export interface LeakSubject {
  /** The mark that encrypted packets carry, 0 for none. */
  readonly mark: number;
  readonly endpoints: readonly { readonly address: Uint8Array; readonly port: number }[];
  /** Name servers that were in use before the tunnel. */
  readonly nameServers: readonly Uint8Array[];
}

/** All that is tried, witnesses first. */
export function listProbes(scene: LeakScene, subject: LeakSubject): Probe[] {
  return [
    ...scene.outside.flatMap((outside) => FAMILIES.map((family) => witness(outside, family, subject))),
    ...FAMILIES.flatMap((family) => publicProbes(family)),
    ...subject.nameServers.flatMap((address) => queries("the name server before the tunnel", address)),
    ...scene.outside.flatMap((outside) => FAMILIES.flatMap((family) => boundProbes(outside, family))),
    ...scene.outside.flatMap(lanProbes),
    ...subject.endpoints.slice(0, MAX_ENDPOINTS).flatMap(endpointProbes),
  ];
}

/** As the tunnel's own packets leave, so must this. */
function witness({ name }: OutsideInterface, family: 4 | 6, { endpoints, mark }: LeakSubject): Probe {
  const endpoint = endpoints.find(({ address }) => familyOf(address) === family);
  const address = endpoint?.address ?? PUBLIC[family][0];
  const what = mark === 0 ? "witness" : `witness with the mark 0x${mark.toString(16)}`;
  return { ...probe(what, "udp", address, DISCARD_PORT), device: name, mark, isWitness: true };
}

function publicProbes(family: 4 | 6): Probe[] {
  const [first, second] = PUBLIC[family];
  return [...everyKind("a public address", first), ...queries("a public name server", second)];
}

/** Past all routes, as some programs choose the interface themselves. */
function boundProbes({ name }: OutsideInterface, family: 4 | 6): Probe[] {
  const [first, second] = PUBLIC[family];
  const probes = [...everyKind("a public address", first), ...queries("a public name server", second)];
  return probes.map((each) => ({ ...each, what: `${each.what}, bound to ${name}`, device: name }));
}

/** Whoever runs the local network can make any address a local one (TunnelCrack, LocalNet). */
function lanProbes({ name, neighbours }: OutsideInterface): Probe[] {
  return neighbours.flatMap(({ address, scope, isGateway }) => {
    if (isGateway) return everyKind(`the gateway on ${name}`, address, scope);
    return [{ ...probe(`a neighbour on ${name}`, "udp", address, randomPort()), scope }];
  });
}

/** What goes to the server's own address beside WireGuard (TunnelCrack, ServerIP). */
function endpointProbes({ address, port }: LeakSubject["endpoints"][number]): Probe[] {
  return [
    probe("the endpoint, unmarked", "udp", address, port),
    probe("the endpoint, unmarked", "tcp", address, HTTPS_PORT),
    probe("the endpoint, unmarked", "icmp", address, 0),
  ];
}

function everyKind(what: string, address: Uint8Array, scope = 0): Probe[] {
  const port = randomPort();
  return (["udp", "tcp", "icmp"] as const).map((kind) => ({
    ...probe(what, kind, address, kind === "icmp" ? 0 : port),
    scope,
  }));
}

function queries(what: string, address: Uint8Array): Probe[] {
  return (["udp", "tcp"] as const).map((kind) => ({
    ...probe(what, kind, address, DNS_PORT),
    payload: queryPayload(),
  }));
}

function probe(what: string, kind: ProbeTarget["kind"], address: Uint8Array, port: number): Probe {
  const family = familyOf(address);
  const payload = kind === "icmp" ? echoPayload(family) : plainPayload();
  return { what, kind, address, port, scope: 0, mark: 0, device: "", family, payload, isWitness: false };
}

function familyOf(address: Uint8Array): 4 | 6 {
  return address.length === 4 ? 4 : 6;
}

function randomPort(): number {
  return FIRST_RANDOM_PORT + crypto.getRandomValues(new Uint16Array(1))[0] % RANDOM_PORTS;
}
