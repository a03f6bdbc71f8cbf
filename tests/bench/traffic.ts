/** Measurements of a tunnel that stands: how much goes through it, how fast, and what that costs. */
import { ping } from "../netns/tunnel.ts";
import { sleep } from "../netns/process.ts";
import type { Contestant } from "./contestants.ts";
import { transfer, type TransferOptions } from "./iperf.ts";
import type { BenchContext, Measurement, Metric, Sample, Take } from "./metric.ts";
import { type BenchTunnel, processorTime, residentBytes, setOuterFamily } from "./scene.ts";

/** UDP payload that fills a packet of the tunnel's MTU of 1420 over IPv4. */
const FULL_DATAGRAM = 1420 - 28;
const SMALL_DATAGRAM = 64;

const PINGS = 200;
const PING_INTERVAL = 0.005;
const PING_INTERVAL_LOADED = 0.02;

const MEGABIT: Pick<Metric, "unit" | "better"> = { unit: "Mbit/s", better: "more" };

export const TCP: Measurement = {
  name: "tcp",
  about: "TCP, one flow, client to server, and the processor time both daemons spend on it",
  metrics: [
    { ...MEGABIT, name: "tcp", label: "TCP, one flow", goal: 1.5, floor: 1.3 },
    {
      name: "cpu",
      label: "CPU per gigabit, both ends",
      unit: "ms",
      better: "less",
      goal: 0.65,
      floor: 0.75,
    },
    { name: "system", label: "of that, in the kernel", unit: "%", better: "less", isAside: true },
  ],
  includes: () => true,
  open: onTunnel(async (tunnel, { seconds }) => {
    const before = processorTime(tunnel);
    const { seconds: took, receivedBytes } = await transfer(tunnel, { seconds });
    const after = processorTime(tunnel);
    const sample = { tcp: megabits(receivedBytes, took) };
    if (before === null || after === null) return sample;
    const [user, system] = [after.user - before.user, after.system - before.system];
    return { ...sample, cpu: (user + system) / gigabits(receivedBytes), system: 100 * system / (user + system) };
  }),
};

export const TCP_FOUR: Measurement = throughput(
  "tcp4",
  { ...MEGABIT, name: "tcp4", label: "TCP, four flows", goal: 1.4, floor: 1.3 },
  { flows: 4 },
);

export const TCP_BOTH: Measurement = throughput(
  "both",
  { ...MEGABIT, name: "both", label: "TCP both ways, sum", goal: 1.4, floor: 1.3 },
  { direction: "both" },
  (contestant) => isWhole(contestant) || contestant.role === "mixed",
);

export const TCP_REVERSE: Measurement = throughput(
  "reverse",
  { ...MEGABIT, name: "reverse", label: "TCP, server to client" },
  { direction: "reverse" },
  (contestant) => isWhole(contestant) || contestant.role === "mixed",
);

export const TCP_IPV6: Measurement = {
  name: "ipv6",
  about: "TCP, one flow, IPv6 inside and outside",
  metrics: [{ ...MEGABIT, name: "ipv6", label: "TCP over IPv6", goal: 1.4, floor: 1.3 }],
  includes: isWhole,
  open: onTunnel(async (tunnel, { seconds }) => {
    await setOuterFamily(tunnel, 6);
    try {
      const { seconds: took, receivedBytes } = await transfer(tunnel, { seconds, family: 6 });
      return { ipv6: megabits(receivedBytes, took) };
    } finally {
      await setOuterFamily(tunnel, 4);
    }
  }),
};

export const UDP_SMALL: Measurement = {
  name: "udp-small",
  about: "UDP flood of 64-byte datagrams: how many the server's iperf3 receives",
  metrics: [
    { name: "udp-small", label: "UDP, 64 bytes, received", unit: "kpps", better: "more", goal: 3, floor: 2.5 },
  ],
  includes: isWhole,
  open: onTunnel(async (tunnel, { seconds }) => {
    const { seconds: took, receivedBytes } = await transfer(tunnel, { seconds, datagramBytes: SMALL_DATAGRAM });
    return { "udp-small": receivedBytes / SMALL_DATAGRAM / took / 1000 };
  }),
};

export const UDP_FULL: Measurement = throughput(
  "udp-mtu",
  { ...MEGABIT, name: "udp-mtu", label: "UDP at the MTU, received" },
  { datagramBytes: FULL_DATAGRAM },
);

export const PING_IDLE: Measurement = {
  name: "ping",
  about: `${PINGS} pings ${PING_INTERVAL * 1000} ms apart through an idle tunnel`,
  metrics: [
    { name: "ping", label: "Ping, idle, average", unit: "µs", better: "less", goal: 1, floor: 1 },
    { name: "ping-least", label: "Ping, idle, least", unit: "µs", better: "less" },
  ],
  includes: (contestant) => contestant.role !== "mixed",
  open: onTunnel(async (tunnel) => {
    // What the measurement before has left in queues and collectors is not this one's.
    await sleep(200);
    const { average, least } = await pings(tunnel, PINGS, PING_INTERVAL);
    return { ping: average, "ping-least": least };
  }),
};

export const PING_LOADED: Measurement = {
  name: "ping-load",
  about: "Pings during a TCP transfer in the same direction",
  metrics: [{ name: "ping-load", label: "Ping under load, average", unit: "µs", better: "less", goal: 1, floor: 1 }],
  includes: isWhole,
  open: onTunnel(async (tunnel, { seconds }) => {
    const load = transfer(tunnel, { seconds: seconds + 1 });
    // A load that fails is reported below; until then nobody awaits it.
    load.catch(() => {});
    await sleep(500);
    const { average } = await pings(tunnel, Math.floor(seconds / PING_INTERVAL_LOADED), PING_INTERVAL_LOADED);
    await load;
    return { "ping-load": average };
  }),
};

export const MEMORY: Measurement = {
  name: "memory",
  about: "Resident memory of a daemon after all traffic so far, mean of both ends",
  metrics: [{ name: "memory", label: "Memory of a daemon", unit: "MB", better: "less" }],
  includes: isWhole,
  open: onTunnel(({ client, server }) => {
    const [a, b] = [residentBytes(client.interface), residentBytes(server.interface)];
    return Promise.resolve<Sample>(a === null || b === null ? {} : { memory: (a + b) / 2 / 1e6 });
  }),
};

/** Brings caches, compilers and congestion windows to where they stay. */
export async function warmUp(tunnel: BenchTunnel): Promise<void> {
  await transfer(tunnel, { seconds: 1 });
  await transfer(tunnel, { seconds: 1, direction: "reverse" });
}

export function megabits(bytes: number, seconds: number): number {
  return bytes * 8 / seconds / 1e6;
}

/** One program at both ends. */
function isWhole({ role }: Contestant): boolean {
  return role !== "mixed" && role !== "link";
}

function gigabits(bytes: number): number {
  return bytes * 8 / 1e9;
}

function throughput(
  name: string,
  metric: Metric,
  options: Omit<TransferOptions, "seconds">,
  includes: (contestant: Contestant) => boolean = isWhole,
): Measurement {
  return {
    name,
    about: metric.label,
    metrics: [metric],
    includes,
    open: onTunnel(async (tunnel, { seconds }) => {
      const { seconds: took, receivedBytes } = await transfer(tunnel, { ...options, seconds });
      return { [metric.name]: megabits(receivedBytes, took) };
    }),
  };
}

function onTunnel(
  measure: (tunnel: BenchTunnel, bench: BenchContext) => Promise<Sample>,
): (bench: BenchContext, contestant: Contestant) => Promise<Take> {
  return async (bench, contestant) => {
    const tunnel = await bench.tunnel(contestant);
    return () => measure(tunnel, bench);
  };
}

/** Round trips in microseconds. */
async function pings(
  { client, server }: BenchTunnel,
  count: number,
  interval: number,
): Promise<{ least: number; average: number }> {
  const timeout = count * interval * 1000 + 20_000;
  const args = ["-q", "-i", `${interval}`, "-c", `${count}`];
  const { received, text } = await ping(client.host, server.address(4), args, timeout);
  const times = text.match(/rtt min\/avg\/max\/mdev = ([\d.]+)\/([\d.]+)\//);
  // Under load some may be lost, as the flow's own packets are; more says that the tunnel hangs.
  if (times === null || received < count / 2) throw new Error(`Too few pings were answered: ${text}`);
  return { least: Number(times[1]) * 1000, average: Number(times[2]) * 1000 };
}
