/**
 * Sends stray datagrams, run inside a namespace: `FROM PORT TO PORT`. Every length up to 2,000 with each message type
 * and random bytes, then some of the greatest lengths.
 */

const [hostname, port, target, targetPort] = Deno.args;
const socket = Deno.listenDatagram({ transport: "udp", hostname, port: Number(port) });
const to: Deno.NetAddr = { transport: "udp", hostname: target, port: Number(targetPort) };

for (let length = 0; length <= 2_000; length++) {
  for (const type of length === 0 ? [0] : [1 + (length % 5), length % 256]) await send(length, type);
}
// Right lengths with right types: only the secrets are wrong.
for (const [type, length] of [[1, 148], [2, 92], [3, 64], [4, 32], [4, 1452]]) {
  for (let i = 0; i < 100; i++) await send(length, type);
}
for (const length of [9_000, 30_000, 65_487]) await send(length, 4);
socket.close();

async function send(length: number, type: number): Promise<void> {
  const bytes = crypto.getRandomValues(new Uint8Array(Math.min(length, 4_096)));
  const datagram = new Uint8Array(length);
  datagram.set(bytes);
  if (length > 0) datagram.fill(0, 0, Math.min(4, length))[0] = type;
  await socket.send(datagram, to);
}
