/** From starting the daemon to the first answered ping, its configuration and the handshake included. */
import { makeKeys } from "../netns/daemon.ts";
import { waitFor } from "../netns/process.ts";
import { inner, ping, PORTS } from "../netns/tunnel.ts";
import type { Contestant } from "./contestants.ts";
import type { BenchContext, Measurement, Sample, Take } from "./metric.ts";
import { bringUp, setConfiguration, startInterface, stopInterface } from "./scene.ts";

export const START: Measurement = {
  name: "start",
  about: "Milliseconds from starting a daemon to the first answered ping, wg setconf and ip included",
  metrics: [{ name: "start", label: "Start to first ping", unit: "ms", better: "less" }],
  includes: ({ role }) => role !== "mixed" && role !== "link",
  open,
};

async function open({ lab }: BenchContext, { ends }: Contestant): Promise<Take> {
  if (ends === null) throw new RangeError("Cannot start what has no program");
  const { a, b, link } = await lab.pair();
  const [own, far] = [await makeKeys(), await makeKeys()];
  const server = await startInterface(b, ends[1]);
  const peer = `[Peer]\nPublicKey = ${own.publicKey}\nAllowedIPs = ${inner(1)}/32\n`;
  const [port] = PORTS;
  await setConfiguration(server, `[Interface]\nPrivateKey = ${far.privateKey}\nListenPort = ${port}\n${peer}`);
  await bringUp(server, 2);
  const text = `[Interface]\nPrivateKey = ${own.privateKey}\n[Peer]\nPublicKey = ${far.publicKey}\n` +
    `Endpoint = ${link.place(2).outer(4)}:${port}\nAllowedIPs = ${inner(2)}/32\n`;
  return async (): Promise<Sample> => {
    const started = performance.now();
    const client = await startInterface(a, ends[0]);
    await setConfiguration(client, text);
    await bringUp(client, 1);
    await waitFor("the first ping", async () => {
      return (await ping(a, inner(2), ["-q", "-c", "1", "-W", "2"])).received === 1;
    });
    const milliseconds = performance.now() - started;
    await stopInterface(client);
    return { start: milliseconds };
  };
}
