/**
 * Sends captured Ethernet frames once more: `INTERFACE FILE INDEX…`, run inside a namespace. FILE is a pcap file of
 * tcpdump with UDP over IPv4; INDEX counts its frames from 0.
 *
 * Between veth ends the kernel leaves the UDP checksum to a card that does not exist, so what was captured is not the
 * checksum; it is sent as 0, none.
 */

const AF_PACKET = 17;
const SOCK_RAW = 3;
const ETHERNET_BYTES = 14;
const UDP_CHECKSUM = 6;

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  if_nametoindex: { parameters: ["buffer"], result: "u32" },
  sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "isize" },
});

const [device, file, ...indices] = Deno.args;
const frames = readFrames(Deno.readFileSync(file));
const socket = libc.symbols.socket(AF_PACKET, SOCK_RAW, 0);
if (socket < 0) throw new Error("socket(AF_PACKET) failed");
const address = new DataView(new ArrayBuffer(20)); // struct sockaddr_ll
address.setUint16(0, AF_PACKET, true);
address.setInt32(4, libc.symbols.if_nametoindex(new TextEncoder().encode(`${device}\0`)), true);
for (const index of indices) {
  const frame = frames[Number(index)];
  const udp = ETHERNET_BYTES + 4 * (frame[ETHERNET_BYTES] & 15);
  frame.fill(0, udp + UDP_CHECKSUM, udp + UDP_CHECKSUM + 2);
  const sent = libc.symbols.sendto(socket, frame, BigInt(frame.length), 0, new Uint8Array(address.buffer), 20);
  if (sent !== BigInt(frame.length)) throw new Error(`Frame ${index} of ${frames.length} was not sent`);
}

/** The frames of a little-endian pcap file: a 24-byte header, then records with a 16-byte header each. */
function readFrames(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>[] {
  const view = new DataView(bytes.buffer);
  const found: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 24; at + 16 <= bytes.length;) {
    const length = view.getUint32(at + 8, true);
    found.push(bytes.slice(at + 16, at + 16 + length));
    at += 16 + length;
  }
  return found;
}
