/** How the demo talks: numbered steps, indented facts, packets spelled out. */
import { formatAddress } from "../../tunnel/address_text.ts";
import {
  DATA_COUNTER,
  DATA_HEADER_BYTES,
  DATA_OVERHEAD,
  DATA_RECEIVER,
  TYPE_COOKIE_REPLY,
  TYPE_DATA,
  TYPE_INITIATION,
  TYPE_RESPONSE,
} from "../../tunnel/messages.ts";

const IPV4_SOURCE = 12;
const IPV4_DESTINATION = 16;
const IPV4_PROTOCOL = 9;
const ICMP = 1;
const UDP = 17;
const UDP_BYTES = 8;
const SHOWN_BYTES = 48;

const isBold = Deno.stdout.isTerminal() && !Deno.noColor;
let steps = 0;

export function step(title: string): void {
  const line = `${++steps}. ${title}`;
  say(isBold ? `\n\x1b[1m${line}\x1b[0m` : `\n${line}`);
}

export function fact(text: string): void {
  say(`   ${text}`);
}

export function say(text: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
}

/** An outer packet: IPv4, UDP, one WireGuard message. @returns what it says, or null for anything else */
export function describeOuter(packet: Uint8Array): string | null {
  if (packet[IPV4_PROTOCOL] !== UDP) return null;
  const view = new DataView(packet.buffer, packet.byteOffset);
  const at = headerBytes(packet);
  const message = at + UDP_BYTES;
  const source = `${formatAddress(packet.subarray(IPV4_SOURCE, IPV4_SOURCE + 4))}:${view.getUint16(at)}`;
  const destination = `${formatAddress(packet.subarray(IPV4_DESTINATION, IPV4_DESTINATION + 4))}:${
    view.getUint16(at + 2)
  }`;
  const length = packet.length - message;
  const words = describeMessage(view, message, length);
  return words === null ? null : `${source} → ${destination}  UDP, ${length} bytes: ${words}`;
}

/** Whether an outer packet carries transport data. */
export function isData(packet: Uint8Array): boolean {
  return packet[IPV4_PROTOCOL] === UDP && packet[headerBytes(packet) + UDP_BYTES] === TYPE_DATA;
}

/** An inner packet. */
export function describeInner(packet: Uint8Array): string {
  const source = formatAddress(packet.subarray(IPV4_SOURCE, IPV4_SOURCE + 4));
  const destination = formatAddress(packet.subarray(IPV4_DESTINATION, IPV4_DESTINATION + 4));
  const kind = packet[IPV4_PROTOCOL] === ICMP ? icmpName(packet[headerBytes(packet)]) : "packet";
  return `${source} → ${destination}  IPv4, ${packet.length} bytes: ${kind}`;
}

/** The first bytes in hexadecimal, sixteen a line. */
export function dump(packet: Uint8Array): void {
  for (let at = 0; at < Math.min(packet.length, SHOWN_BYTES); at += 16) {
    const bytes = [...packet.subarray(at, at + 16)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    fact(`  ${at.toString(16).padStart(4, "0")}  ${bytes}`);
  }
  if (packet.length > SHOWN_BYTES) fact(`        … ${packet.length - SHOWN_BYTES} more`);
}

export function formatRate(bytes: number, seconds: number): string {
  const megabits = bytes * 8 / seconds / 1e6;
  return `${(bytes / 1e6).toFixed(0)} MB in ${seconds.toFixed(1)} s = ${megabits.toFixed(0)} Mbit/s`;
}

function describeMessage(view: DataView, at: number, length: number): string | null {
  switch (view.getUint32(at, true)) {
    case TYPE_INITIATION:
      return "handshake initiation";
    case TYPE_RESPONSE:
      return "handshake response";
    case TYPE_COOKIE_REPLY:
      return "cookie reply";
    case TYPE_DATA: {
      const index = view.getUint32(at + DATA_RECEIVER, true).toString(16).padStart(8, "0");
      const counter = view.getBigUint64(at + DATA_COUNTER, true);
      const sealed = `${DATA_HEADER_BYTES} header + ${length - DATA_OVERHEAD} sealed + 16 tag`;
      return `transport data for ${index}, counter ${counter} (${sealed})`;
    }
    default:
      return null;
  }
}

function icmpName(type: number): string {
  return type === 8 ? "ICMP echo request" : type === 0 ? "ICMP echo reply" : `ICMP type ${type}`;
}

function headerBytes(packet: Uint8Array): number {
  return (packet[0] & 15) * 4;
}
