/**
 * A tunnel between two hosts: each end a daemon of any implementation, configured with `wg` and `ip` alone.
 *
 *     192.168.200.1, fd00:200::1                      192.168.200.2, fd00:200::2
 *     end 1 ══════════════════ 10.S.0.0/24 or fd00:S::/64 ═══════════════ end 2
 */

import { Daemon, keyFile, type KeyPair, makeKeys, type StartOptions } from "./daemon.ts";
import type { Implementation } from "./implementation.ts";
import type { Host, Lab, Place } from "./lab.ts";
import { must, type Output, sleep, waitFor } from "./process.ts";

export const PORTS: readonly [number, number] = [51820, 51821];

export interface End extends Place {
  readonly side: 1 | 2;
  readonly daemon: Daemon;
  readonly keys: KeyPair;
}

export interface Tunnel {
  readonly ends: readonly [End, End];
}

export interface TunnelOptions {
  readonly family?: 4 | 6;
  readonly presharedKey?: boolean;
  /** Ends that know the other's endpoint; an end that does not learns it from the other's handshake. Default both. */
  readonly knows?: readonly (1 | 2)[];
  readonly start?: readonly [StartOptions, StartOptions];
  /** Whether the tunnel carries IPv6, where a host can. Default true. */
  readonly innerIpv6?: boolean;
}

/** Inner address of an end. */
export function inner(side: 1 | 2, family: 4 | 6 = 4): string {
  return family === 4 ? `192.168.200.${side}` : `fd00:200::${side}`;
}

/** Two hosts, a link, a daemon in each, configured and up. No packet has been sent yet. */
export async function openTunnel(
  lab: Lab,
  implementations: readonly [Implementation, Implementation],
  options: TunnelOptions = {},
): Promise<Tunnel> {
  const { link } = await lab.pair();
  return await openTunnelBetween([link.place(1), link.place(2)], implementations, options);
}

/** The same between two places that already reach each other. */
export async function openTunnelBetween(
  places: readonly [Place, Place],
  implementations: readonly [Implementation, Implementation],
  options: TunnelOptions = {},
): Promise<Tunnel> {
  const ends: End[] = [];
  for (const side of [1, 2] as const) {
    const place = places[side - 1];
    const daemon = await Daemon.foreground(place.host, implementations[side - 1], options.start?.[side - 1]);
    ends.push({ ...place, side, daemon, keys: await makeKeys() });
  }
  const presharedKey = options.presharedKey ? (await must(["wg", "genpsk"])).trim() : null;
  const tunnel: Tunnel = { ends: [ends[0], ends[1]] };
  for (const end of tunnel.ends) await configure(end, other(tunnel, end), presharedKey, options);
  for (const end of tunnel.ends) await bringUp(end.daemon, end.side, options.innerIpv6);
  return tunnel;
}

export function other(tunnel: Tunnel, end: End): End {
  return tunnel.ends[2 - end.side];
}

/** Inner addresses, MTU and link up, as wg-quick would do it. */
export async function bringUp(daemon: Daemon, side: 1 | 2, ipv6 = true): Promise<void> {
  const device = ["dev", daemon.interfaceName];
  await daemon.ip("address", "add", `${inner(side, 4)}/24`, ...device);
  if (ipv6) await daemon.ip("address", "add", `${inner(side, 6)}/64`, ...device, "nodad");
  await daemon.link("mtu", "1420", "up");
}

async function configure(end: End, peer: End, presharedKey: string | null, options: TunnelOptions): Promise<void> {
  const family = options.family ?? 4;
  const words = ["private-key", await keyFile(end.host, end.keys.privateKey), "listen-port", `${PORTS[end.side - 1]}`];
  words.push("peer", peer.keys.publicKey);
  if (presharedKey !== null) words.push("preshared-key", await keyFile(end.host, presharedKey));
  if (options.knows?.includes(end.side) ?? true) words.push("endpoint", endpointText(peer, family));
  words.push("allowed-ips", `${inner(peer.side, 4)}/32,${inner(peer.side, 6)}/128`);
  await end.daemon.set(...words);
}

/** Where `end` listens, as `wg` writes it. */
export function endpointText(end: End, family: 4 | 6): string {
  const address = end.outer(family);
  return `${family === 4 ? address : `[${address}]`}:${PORTS[end.side - 1]}`;
}

export interface PingResult {
  readonly sent: number;
  /** More than were sent if one was delivered twice. */
  readonly received: number;
  /** Everything that ping printed. */
  readonly text: string;
}

/**
 * Runs ping with these arguments. Nothing else may ping from this host meanwhile.
 *
 * ping waits only twice its longest round trip after its last request, which is too short on a busy machine; so replies
 * are counted by the kernel, and for up to a second more.
 */
export async function ping(
  host: Host,
  address: string,
  args: readonly string[],
  timeout = 60_000,
): Promise<PingResult> {
  const before = await host.echoReplies();
  const { sent, text } = parsePing(await host.run(["ping", "-n", ...args, address], { timeout }));
  let received = await host.echoReplies() - before;
  for (let tries = 0; tries < 20 && received < sent; tries++) {
    await sleep(50);
    received = await host.echoReplies() - before;
  }
  return { sent, received, text };
}

export function parsePing({ stdout, stderr }: Output): PingResult {
  const counts = stdout.match(/(\d+) packets transmitted, (\d+) received/);
  if (counts === null) throw new Error(`ping printed no summary: ${stdout}${stderr}`);
  return { sent: Number(counts[1]), received: Number(counts[2]), text: stdout };
}

/** Waits until one ping gets through. */
export async function untilReachable(host: Host, address: string, timeout = 15_000): Promise<void> {
  await waitFor(
    `a reply from ${address}`,
    async () => (await ping(host, address, ["-c", "1", "-W", "1"])).received === 1,
    timeout,
  );
}

export interface TransferResult {
  /** Hash of what one side sent and of what the other received. */
  readonly sent: string;
  readonly received: string;
  readonly seconds: number;
}

const PEER_SCRIPT = new URL("./tcp_peer.ts", import.meta.url).pathname;

/**
 * Sends `bytes` of seeded random data through the tunnel by TCP, from `from` to `to` and then back over the same
 * connection.
 */
export async function transfer(from: End, to: End, bytes: number, timeout = 120_000): Promise<TransferResult[]> {
  const script = [Deno.execPath(), "run", "-A", "--no-lock", "--cached-only", PEER_SCRIPT];
  const server = to.host.spawn([...script, "serve", inner(to.side), "7000", `${bytes}`]);
  await waitFor("the TCP server", () => server.output().includes("listening"), 20_000);
  const client = from.host.spawn([...script, "connect", inner(to.side), "7000", `${bytes}`]);
  for (const process of [client, server]) {
    const code = await process.end(timeout);
    if (code !== 0) throw new Error(`A TCP peer failed: ${client.output()} ${server.output()}`);
  }
  const [near, far] = [client, server].map((process) => JSON.parse(process.output().trim().split("\n").at(-1)!));
  return [
    { sent: near.sent, received: far.received, seconds: near.sendSeconds },
    { sent: far.sent, received: near.received, seconds: near.receiveSeconds },
  ];
}
