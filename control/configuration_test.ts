import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeHex } from "../crypto/encoding.ts";
import { clampPrivateKey } from "../crypto/keys.ts";
import { realSuite } from "../crypto/real_suite.ts";
import { Configuration } from "./configuration.ts";
import { ask, MemoryListener, MemoryTarget } from "./memory_target.ts";
import { UapiServer } from "./uapi_server.ts";
import { type DeviceStatus, parseGetReply } from "./uapi_status.ts";
import type { SetStatement } from "./uapi_request.ts";

function key(byte: number): Uint8Array {
  return new Uint8Array(32).fill(byte);
}
const privateA = key(0x41);
clampPrivateKey(privateA);
const privateB = key(0x59);
clampPrivateKey(privateB);

/** Names for keys in requests and states below. */
const KEYS: Record<string, string> = {
  A: encodeHex(privateA),
  UNCLAMPED_A: encodeHex(key(0x41)),
  B: encodeHex(privateB),
  OWN_A: encodeHex(realSuite.publicKey(privateA)),
  OWN_B: encodeHex(realSuite.publicKey(privateB)),
  P1: encodeHex(key(1)),
  P2: encodeHex(key(2)),
  P3: encodeHex(key(3)),
  P4: encodeHex(key(4)),
  P5: encodeHex(key(5)),
  PSK: encodeHex(key(0x77)),
  PSK2: encodeHex(key(0x78)),
  ZERO: encodeHex(key(0)),
};

/** `$NAME` becomes the key's hex digits; spaces separate lines. */
function lines(text: string): string {
  return text.split(" ").filter((line) => line !== "").map((line) => expand(line) + "\n").join("");
}

function expand(line: string): string {
  return line.replace(/\$([A-Z_0-9]+)/g, (_, name) => KEYS[name]);
}

function keyName(bytes: Uint8Array): string {
  const hex = encodeHex(bytes);
  return Object.keys(KEYS).find((name) => KEYS[name] === hex) ?? hex;
}

/** A device's configuration on one line. */
function describe(device: DeviceStatus): string {
  const words: string[] = [];
  if (device.privateKey !== null) words.push(keyName(device.privateKey));
  if (device.listenPort !== 0) words.push(`port=${device.listenPort}`);
  if (device.fwmark !== 0) words.push(`mark=${device.fwmark}`);
  for (const peer of device.peers) {
    words.push(`| ${keyName(peer.publicKey)}`);
    if (peer.presharedKey !== null) words.push(`psk=${keyName(peer.presharedKey)}`);
    if (peer.endpoint !== null) words.push(peer.endpoint);
    if (peer.persistentKeepalive !== 0) words.push(`keep=${peer.persistentKeepalive}`);
    words.push(...peer.allowedIps);
  }
  return words.join(" ");
}

/** What the target was told to be, in the same form; peers in the order of the reply. */
function describeTarget(target: MemoryTarget, order: DeviceStatus): string {
  const peers = order.peers.map((status) => {
    const peer = [...target.peers.values()].find((peer) => encodeHex(peer.publicKey) === encodeHex(status.publicKey));
    assert.ok(peer !== undefined, `Target lacks peer ${keyName(status.publicKey)}`);
    return {
      ...status,
      presharedKey: peer.presharedKey,
      persistentKeepalive: peer.keepalive,
      allowedIps: [...peer.allowedIps],
    };
  });
  assert.equal(target.peers.size, order.peers.length, "Target has peers that get does not show");
  const { privateKey, listenPort, fwmark } = target;
  return describe({ privateKey, listenPort, fwmark, peers, features: [], dns: [], drops: new Map() });
}

interface Case {
  readonly name: string;
  /** Set requests before, which must succeed. */
  readonly before?: readonly string[];
  /** The lines of the set request. */
  readonly set: string;
  /** What the reply says; 0 if not given. */
  readonly errno?: number;
  /** The state after it; without, it must be as before. */
  readonly state?: string;
  /** Operations of the commands that must have been applied. */
  readonly applied?: string;
}

const BASE = [
  "private_key=$A listen_port=5000 fwmark=7 public_key=$P1 preshared_key=$PSK endpoint=192.0.2.1:51820 " +
  "persistent_keepalive_interval=25 allowed_ip=10.0.0.0/8 allowed_ip=2001:db8::/32 public_key=$P2 allowed_ip=10.2.0.0/16",
];
const BASE_DEVICE = "A port=5000 mark=7";
const BASE_P1 = "| P1 psk=PSK 192.0.2.1:51820 keep=25 10.0.0.0/8 2001:db8::/32";
const BASE_P2 = "| P2 10.2.0.0/16";
const BASE_STATE = `${BASE_DEVICE} ${BASE_P1} ${BASE_P2}`;

const CASES: readonly Case[] = [
  // Device section.
  { name: "empty request", set: "" },
  { name: "private key", set: "private_key=$A", state: "A", applied: "private-key" },
  { name: "private key in capitals", set: `private_key=${KEYS.A.toUpperCase()}`, state: "A" },
  { name: "private key is clamped", set: "private_key=$UNCLAMPED_A", state: "A" },
  { name: "same private key", before: BASE, set: "private_key=$A", state: BASE_STATE, applied: "" },
  { name: "same private key, not clamped", before: BASE, set: "private_key=$UNCLAMPED_A", applied: "" },
  { name: "zeros remove the private key", before: ["private_key=$A"], set: "private_key=$ZERO", state: "" },
  { name: "zeros without a private key", set: "private_key=$ZERO", state: "", applied: "" },
  { name: "other private key", before: ["private_key=$A"], set: "private_key=$B", state: "B", applied: "private-key" },
  {
    name: "private key removes the peer that is ourselves",
    before: ["private_key=$A public_key=$OWN_B allowed_ip=10.0.0.0/8 public_key=$P1"],
    set: "private_key=$B",
    state: "B | P1",
    applied: "remove-peer private-key",
  },
  {
    name: "two private keys in one request",
    before: ["public_key=$OWN_A"],
    set: "private_key=$A private_key=$B",
    state: "B",
  },
  { name: "private key too short", before: BASE, set: `private_key=${KEYS.B.slice(1)}`, errno: -22 },
  { name: "private key too long", before: BASE, set: `private_key=${KEYS.B}0`, errno: -22 },
  { name: "private key not hex", before: BASE, set: `private_key=${"g".repeat(64)}`, errno: -22 },
  { name: "private key empty", before: BASE, set: "private_key=", errno: -22 },
  { name: "listen port", set: "listen_port=51820", state: "port=51820", applied: "listen-port" },
  { name: "same listen port does not bind again", before: BASE, set: "listen_port=5000", applied: "" },
  { name: "listen port with leading zeros", set: "listen_port=00051820", state: "port=51820" },
  { name: "port 0 chooses a port", set: "listen_port=0", state: "port=40000", applied: "listen-port" },
  { name: "port 0 again chooses another", before: ["listen_port=0"], set: "listen_port=0", state: "port=40001" },
  { name: "last of two ports", set: "listen_port=1 listen_port=2", state: "port=2", applied: "listen-port" },
  { name: "port there and back", before: BASE, set: "listen_port=1 listen_port=5000", applied: "" },
  { name: "listen port too large", before: BASE, set: "listen_port=65536", errno: -22 },
  { name: "listen port negative", before: BASE, set: "listen_port=-1", errno: -22 },
  { name: "listen port with sign", before: BASE, set: "listen_port=+1", errno: -22 },
  { name: "listen port empty", before: BASE, set: "listen_port=", errno: -22 },
  { name: "listen port in hex", before: BASE, set: "listen_port=0x10", errno: -22 },
  { name: "listen port taken", before: BASE, set: "listen_port=99 fwmark=9 private_key=$B public_key=$P3", errno: -98 },
  { name: "fwmark", set: "fwmark=4294967295", state: "mark=4294967295", applied: "fwmark" },
  { name: "same fwmark", before: BASE, set: "fwmark=7", applied: "" },
  { name: "fwmark off", before: ["fwmark=7"], set: "fwmark=0", state: "", applied: "fwmark" },
  { name: "fwmark too large", before: BASE, set: "fwmark=4294967296", errno: -22 },
  { name: "fwmark in hex", before: BASE, set: "fwmark=0x7", errno: -22 },
  { name: "replace peers", before: BASE, set: "replace_peers=true", state: BASE_DEVICE },
  {
    name: "replace peers takes the lowest slots again",
    before: BASE,
    set: "replace_peers=true public_key=$P3",
    state: `${BASE_DEVICE} | P3`,
    applied: "remove-peer remove-peer add-peer:0 peer-configured:0",
  },
  { name: "replace peers, another word", before: BASE, set: "replace_peers=false", errno: -22 },
  { name: "replace peers, capitals", before: BASE, set: "replace_peers=True", errno: -22 },
  { name: "unknown device key", before: BASE, set: "private_keys=$A", errno: -22 },
  { name: "peer key before a peer", before: BASE, set: "allowed_ip=10.0.0.0/8", errno: -22 },
  { name: "remove before a peer", before: BASE, set: "remove=true", errno: -22 },
  { name: "errno is no key", before: BASE, set: "errno=0", errno: -22 },
  { name: "line without =", before: BASE, set: "private_key", errno: -71 },
  { name: "first fault counts", before: BASE, set: "nonsense listen_port=x", errno: -71 },
  { name: "first fault counts, other way", before: BASE, set: "listen_port=x nonsense", errno: -22 },
  { name: "nothing before a fault is applied", before: BASE, set: "listen_port=6000 bad=1", errno: -22 },
  { name: "line of 4097 bytes", before: BASE, set: `fwmark=${"0".repeat(4090)}`, errno: -22 },
  { name: "line of 4096 bytes", set: `fwmark=${"0".repeat(4088)}5`, state: "mark=5" },
  { name: "CRLF within a request", before: BASE, set: "listen_port=6000\r", errno: -22 },

  // Peers.
  { name: "bare peer", set: "public_key=$P1", state: "| P1", applied: "add-peer:0 peer-configured:0" },
  { name: "public key too short", before: BASE, set: "public_key=12", errno: -22 },
  { name: "public key not hex", before: BASE, set: `public_key=${"z".repeat(64)}`, errno: -22 },
  { name: "existing peer alone", before: BASE, set: "public_key=$P2", applied: "peer-configured:1" },
  { name: "device key after a peer", before: BASE, set: "public_key=$P1 listen_port=1", errno: -22 },
  { name: "private key after a peer", before: BASE, set: "public_key=$P1 private_key=$B", errno: -22 },
  { name: "replace peers after a peer", before: BASE, set: "public_key=$P1 replace_peers=true", errno: -22 },
  { name: "unknown peer key", before: BASE, set: "public_key=$P3 name=bob", errno: -22 },
  { name: "read-only key", before: BASE, set: "public_key=$P1 rx_bytes=1", errno: -22 },
  {
    name: "own public key is ignored with its lines",
    before: ["private_key=$A public_key=$P1 allowed_ip=10.0.0.0/8"],
    set: "public_key=$OWN_A preshared_key=$PSK endpoint=192.0.2.9:1 allowed_ip=10.0.0.0/8 remove=true",
    applied: "",
  },
  {
    name: "own public key, bad line",
    before: ["private_key=$A"],
    set: "public_key=$OWN_A allowed_ip=10.0.0.0",
    errno: -22,
  },
  {
    name: "own public key by the private key of the same request",
    set: "private_key=$A public_key=$OWN_A public_key=$P1",
    state: "A | P1",
    applied: "private-key add-peer:0 peer-configured:0",
  },
  { name: "remove", before: BASE, set: "public_key=$P1 remove=true", state: `${BASE_DEVICE} ${BASE_P2}` },
  { name: "remove an unknown peer", before: BASE, set: "public_key=$P3 remove=true", applied: "" },
  {
    name: "lines after remove are ignored",
    before: BASE,
    set: "public_key=$P2 remove=true allowed_ip=10.0.0.0/8 endpoint=192.0.2.9:1",
    state: `${BASE_DEVICE} ${BASE_P1}`,
    applied: "remove-peer:1",
  },
  { name: "remove, another word", before: BASE, set: "public_key=$P1 remove=1", errno: -22 },
  {
    name: "remove and create again",
    before: BASE,
    set: "public_key=$P1 remove=true public_key=$P1",
    state: `${BASE_DEVICE} ${BASE_P2} | P1`,
    applied: "remove-peer:0 add-peer:0 peer-configured:0",
  },
  {
    name: "update only, unknown",
    before: BASE,
    set: "public_key=$P3 update_only=true allowed_ip=10.0.0.0/8",
    applied: "",
  },
  {
    name: "update only, known",
    before: BASE,
    set: "public_key=$P2 update_only=true persistent_keepalive_interval=5",
    state: `${BASE_DEVICE} ${BASE_P1} | P2 keep=5 10.2.0.0/16`,
  },
  {
    name: "update only after other lines drops the new peer",
    before: ["public_key=$P1 allowed_ip=10.0.0.0/8"],
    set: "public_key=$P3 allowed_ip=10.3.0.0/16 update_only=true persistent_keepalive_interval=5",
    state: "| P1 10.0.0.0/8",
  },
  { name: "update only, another word", before: BASE, set: "public_key=$P1 update_only=yes", errno: -22 },
  { name: "update only, block of the next peer", set: "public_key=$P1 update_only=true public_key=$P2", state: "| P2" },
  { name: "preshared key", set: "public_key=$P1 preshared_key=$PSK", state: "| P1 psk=PSK" },
  {
    name: "same preshared key",
    before: BASE,
    set: "public_key=$P1 preshared_key=$PSK",
    applied: "peer-configured:0",
  },
  {
    name: "other preshared key",
    before: ["public_key=$P1 preshared_key=$PSK"],
    set: "public_key=$P1 preshared_key=$PSK2",
    state: "| P1 psk=PSK2",
  },
  {
    name: "zeros remove the preshared key",
    before: ["public_key=$P1 preshared_key=$PSK"],
    set: "public_key=$P1 preshared_key=$ZERO",
    state: "| P1",
    applied: "preshared-key:0 peer-configured:0",
  },
  { name: "preshared key not hex", before: BASE, set: "public_key=$P1 preshared_key=abc", errno: -22 },
  { name: "endpoint", set: "public_key=$P1 endpoint=192.0.2.1:51820", state: "| P1 192.0.2.1:51820" },
  { name: "endpoint IPv6", set: "public_key=$P1 endpoint=[2001:DB8::1]:5", state: "| P1 [2001:db8::1]:5" },
  { name: "endpoint with a zone", set: "public_key=$P1 endpoint=[fe80::1%3]:5", state: "| P1 [fe80::1%3]:5" },
  { name: "endpoint with a named zone", set: "public_key=$P1 endpoint=[fe80::1%lo]:5", state: "| P1 [fe80::1%1]:5" },
  { name: "endpoint with an unknown zone", before: BASE, set: "public_key=$P1 endpoint=[fe80::1%nope]:5", errno: -22 },
  { name: "endpoint mapped", set: "public_key=$P1 endpoint=[::ffff:192.0.2.1]:5", state: "| P1 192.0.2.1:5" },
  {
    name: "endpoint again",
    before: BASE,
    set: "public_key=$P1 endpoint=192.0.2.1:51820",
    applied: "endpoint:0 peer-configured:0",
  },
  { name: "endpoint as host name", before: BASE, set: "public_key=$P1 endpoint=example.com:5", errno: -22 },
  { name: "endpoint without a port", before: BASE, set: "public_key=$P1 endpoint=192.0.2.1", errno: -22 },
  { name: "endpoint IPv6 without brackets", before: BASE, set: "public_key=$P1 endpoint=2001:db8::1:5", errno: -22 },
  { name: "endpoint port too large", before: BASE, set: "public_key=$P1 endpoint=192.0.2.1:65536", errno: -22 },
  { name: "endpoint empty", before: BASE, set: "public_key=$P1 endpoint=", errno: -22 },
  { name: "keepalive", set: "public_key=$P1 persistent_keepalive_interval=65535", state: "| P1 keep=65535" },
  {
    name: "keepalive off",
    before: ["public_key=$P1 persistent_keepalive_interval=5"],
    set: "public_key=$P1 persistent_keepalive_interval=0",
    state: "| P1",
  },
  {
    name: "same keepalive",
    before: BASE,
    set: "public_key=$P1 persistent_keepalive_interval=25",
    applied: "peer-configured:0",
  },
  { name: "keepalive too large", before: BASE, set: "public_key=$P1 persistent_keepalive_interval=65536", errno: -22 },
  { name: "keepalive by word", before: BASE, set: "public_key=$P1 persistent_keepalive_interval=off", errno: -22 },
  { name: "protocol version 1", set: "public_key=$P1 protocol_version=1", state: "| P1" },
  { name: "protocol version 2", before: BASE, set: "public_key=$P1 protocol_version=2", errno: -22 },
  { name: "protocol version in the device section", before: BASE, set: "protocol_version=1", errno: -22 },

  // Allowed IPs.
  { name: "host bits are cleared", set: "public_key=$P1 allowed_ip=10.1.2.3/8", state: "| P1 10.0.0.0/8" },
  { name: "host bits within a byte", set: "public_key=$P1 allowed_ip=10.255.255.255/13", state: "| P1 10.248.0.0/13" },
  { name: "host bits IPv6", set: "public_key=$P1 allowed_ip=2001:db8:ffff::1/33", state: "| P1 2001:db8:8000::/33" },
  { name: "everything", set: "public_key=$P1 allowed_ip=1.2.3.4/0 allowed_ip=::1/0", state: "| P1 0.0.0.0/0 ::/0" },
  {
    name: "single hosts",
    set: "public_key=$P1 allowed_ip=1.2.3.4/32 allowed_ip=::1/128",
    state: "| P1 1.2.3.4/32 ::1/128",
  },
  {
    name: "allowed IP moves",
    before: BASE,
    set: "public_key=$P2 allowed_ip=10.9.9.9/8",
    state: `${BASE_DEVICE} | P1 psk=PSK 192.0.2.1:51820 keep=25 2001:db8::/32 ${BASE_P2} 10.0.0.0/8`,
    applied: "allowed-ip:1 peer-configured:1",
  },
  { name: "same allowed IP", before: BASE, set: "public_key=$P1 allowed_ip=10.0.0.0/8", applied: "peer-configured:0" },
  {
    name: "replace allowed IPs",
    before: ["public_key=$P1 allowed_ip=10.0.0.0/8 allowed_ip=10.1.0.0/16"],
    set: "public_key=$P1 replace_allowed_ips=true allowed_ip=10.1.0.0/16 allowed_ip=10.2.0.0/16",
    state: "| P1 10.1.0.0/16 10.2.0.0/16",
    applied: "clear-allowed-ips:0 allowed-ip:0 allowed-ip:0 peer-configured:0",
  },
  {
    name: "replace allowed IPs by none",
    before: ["public_key=$P1 allowed_ip=10.0.0.0/8"],
    set: "public_key=$P1 replace_allowed_ips=true",
    state: "| P1",
  },
  {
    name: "replace allowed IPs after allowed IPs clears those too",
    set: "public_key=$P1 allowed_ip=10.0.0.0/8 replace_allowed_ips=true allowed_ip=10.1.0.0/16",
    state: "| P1 10.1.0.0/16",
  },
  { name: "replace allowed IPs, another word", before: BASE, set: "public_key=$P1 replace_allowed_ips=1", errno: -22 },
  {
    name: "- removes",
    before: ["public_key=$P1 allowed_ip=10.0.0.0/8 allowed_ip=10.1.0.0/16"],
    set: "public_key=$P1 allowed_ip=-10.3.4.5/8",
    state: "| P1 10.1.0.0/16",
    applied: "remove-allowed-ip:0 peer-configured:0",
  },
  {
    name: "- of another peer's",
    before: BASE,
    set: "public_key=$P2 allowed_ip=-10.0.0.0/8",
    applied: "peer-configured:1",
  },
  { name: "- of nobody's", before: BASE, set: "public_key=$P2 allowed_ip=-10.77.0.0/16", applied: "peer-configured:1" },
  { name: "- alone", before: BASE, set: "public_key=$P1 allowed_ip=-", errno: -22 },
  { name: "+ is not of the UAPI", before: BASE, set: "public_key=$P1 allowed_ip=+10.0.0.0/8", errno: -22 },
  { name: "allowed IP without a mask", before: BASE, set: "public_key=$P1 allowed_ip=10.0.0.0", errno: -22 },
  { name: "allowed IP with an empty mask", before: BASE, set: "public_key=$P1 allowed_ip=10.0.0.0/", errno: -22 },
  { name: "allowed IP mask too long", before: BASE, set: "public_key=$P1 allowed_ip=10.0.0.0/33", errno: -22 },
  { name: "allowed IP mask too long IPv6", before: BASE, set: "public_key=$P1 allowed_ip=::/129", errno: -22 },
  { name: "allowed IP mask by zero", before: BASE, set: "public_key=$P1 allowed_ip=10.0.0.0/08", errno: -22 },
  { name: "allowed IP short", before: BASE, set: "public_key=$P1 allowed_ip=10.0/8", errno: -22 },
  { name: "allowed IP list", before: BASE, set: "public_key=$P1 allowed_ip=10.0.0.0/8,10.1.0.0/16", errno: -22 },
  { name: "allowed IP with a zone", before: BASE, set: "public_key=$P1 allowed_ip=fe80::%1/64", errno: -22 },
  { name: "allowed IP empty", before: BASE, set: "public_key=$P1 allowed_ip=", errno: -22 },
  {
    name: "mapped is not IPv4",
    set: "public_key=$P1 allowed_ip=::ffff:1.2.3.4/128 public_key=$P2 allowed_ip=1.2.3.4/32",
    state: "| P1 ::ffff:1.2.3.4/128 | P2 1.2.3.4/32",
  },

  // Slots and whole requests.
  {
    name: "lowest free slot first",
    before: [
      "public_key=$P1 public_key=$P2 public_key=$P3",
      "public_key=$P2 remove=true",
      "public_key=$P1 remove=true",
    ],
    set: "public_key=$P4 public_key=$P5",
    state: "| P3 | P4 | P5",
    applied: "add-peer:0 peer-configured:0 add-peer:1 peer-configured:1",
  },
  {
    name: "a bad line counts before a missing slot",
    before: BASE,
    set: "public_key=$P3 public_key=$P4 public_key=$P5 x",
    errno: -71,
  },
  {
    name: "no slot left for the last peer",
    before: BASE,
    set: "public_key=$P3 public_key=$P4 public_key=$P5",
    errno: -28,
  },
  {
    name: "no slot left, unknown peer removed",
    before: ["public_key=$P1 public_key=$P2 public_key=$P3 public_key=$P4"],
    set: "public_key=$P5 remove=true",
  },
  {
    name: "one peer in two blocks",
    set: "public_key=$P1 allowed_ip=10.0.0.0/8 public_key=$P2 public_key=$P1 persistent_keepalive_interval=3",
    state: "| P1 keep=3 10.0.0.0/8 | P2",
  },
  {
    name: "moves between blocks of one request",
    set:
      "public_key=$P1 allowed_ip=10.0.0.0/8 public_key=$P2 allowed_ip=10.0.0.0/8 public_key=$P3 allowed_ip=10.0.0.0/8",
    state: "| P1 | P2 | P3 10.0.0.0/8",
  },
  {
    name: "a failed request restores peers, order, keys, allowed IPs and slots",
    before: BASE,
    set: "listen_port=99 private_key=$B replace_peers=true public_key=$P3 allowed_ip=10.0.0.0/8 public_key=$P2 " +
      "preshared_key=$PSK2 allowed_ip=2001:db8::/32",
    errno: -98,
  },
  {
    name: "a failed request restores a moved allowed IP",
    before: BASE,
    set:
      "listen_port=99 public_key=$P2 allowed_ip=10.0.0.0/8 allowed_ip=-10.2.0.0/16 public_key=$P1 preshared_key=$ZERO " +
      "persistent_keepalive_interval=0 replace_allowed_ips=true",
    errno: -98,
  },
];

/** A server on a configuration on a target with four peer slots and port 99 taken. */
function start(): { target: MemoryTarget; listener: MemoryListener; server: UapiServer } {
  const target = new MemoryTarget(4);
  target.takenPorts.add(99);
  const listener = new MemoryListener();
  const log = { error: (message: string) => assert.fail(message) };
  const interfaceIndex = (name: string): number | null => name === "lo" ? 1 : null;
  const configuration = new Configuration({ suite: realSuite, target, log });
  const server = new UapiServer(listener, configuration, { interfaceIndex });
  return { target, listener, server };
}

Deno.test("a set request has the effect and the errno of the table", async (t) => {
  assert.ok(CASES.length >= 60);
  assert.equal(new Set(CASES.map(({ name }) => name)).size, CASES.length);
  for (const { name, before = [], set, errno = 0, state, applied } of CASES) {
    await t.step(name, async () => {
      const { target, listener, server } = start();
      const client = listener.connect();
      for (const request of before) assert.equal(await ask(client, `set=1\n${lines(request)}\n`), "errno=0\n\n");
      const former = describe(await get());
      const done = target.applied.length;
      assert.equal(await ask(client, `set=1\n${lines(set)}\n`), `errno=${errno}\n\n`);
      const device = await get();
      assert.equal(describe(device), state ?? former);
      assert.deepEqual(sorted(describeTarget(target, device)), sorted(describe(device)));
      if (errno !== 0) assert.equal(target.applied.length, done);
      if (applied !== undefined) assertApplied(target, done, applied);
      client.close();
      await server.close();

      async function get(): Promise<DeviceStatus> {
        const reply = parseGetReply(new TextEncoder().encode(await ask(client, "get=1\n\n")));
        assert.ok(reply !== null);
        return reply;
      }
    });
  }
});

const smallKey = fc.integer({ min: 1, max: 6 }).map(key);
const anyStatement: fc.Arbitrary<SetStatement> = fc.oneof(
  fc.constantFrom(privateA, privateB, key(0)).map((value) => ({ key: "private_key", value: value.slice() }) as const),
  fc.constantFrom(0, 1, 2, 99).map((value) => ({ key: "listen_port", value }) as const),
  fc.nat(2).map((value) => ({ key: "fwmark", value }) as const),
  fc.constant({ key: "replace_peers" } as const),
);
const anyPeerStatement: fc.Arbitrary<SetStatement> = fc.oneof(
  { arbitrary: smallKey.map((value) => ({ key: "public_key", value }) as const), weight: 3 },
  fc.constant({ key: "public_key", value: realSuite.publicKey(privateA) } as const),
  fc.constantFrom({ key: "remove" } as const, { key: "update_only" } as const, { key: "replace_allowed_ips" } as const),
  fc.constantFrom(0, 0x77, 0x78).map((byte) => ({ key: "preshared_key", value: key(byte) }) as const),
  fc.nat(2).map((value) => ({ key: "persistent_keepalive_interval", value }) as const),
  {
    arbitrary: fc.tuple(fc.nat(3), fc.boolean()).map(([net, remove]) =>
      ({ key: "allowed_ip", address: Uint8Array.of(10, net, 0, 0), cidr: 16, remove: remove && net === 0 }) as const
    ),
    weight: 4,
  },
);
const anyRequest = fc.tuple(fc.array(anyStatement, { maxLength: 4 }), fc.array(anyPeerStatement, { maxLength: 12 }))
  .map(
    ([device, peers]): SetStatement[] =>
      peers.length === 0 ? device : [...device, { key: "public_key", value: key(1) }, ...peers],
  );

Deno.test("Configuration and its target stay the same over any requests, refused ones without effect", async () => {
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(anyRequest, { minLength: 1, maxLength: 12 }), async (requests) => {
      const target = new MemoryTarget(4);
      target.takenPorts.add(99);
      const log = { error: (message: string) => assert.fail(message) };
      const configuration = new Configuration({ suite: realSuite, target, log });
      let former = "";
      for (const statements of requests) {
        const errno = await configuration.set(statements.map(copy));
        const device = parseGetReply(await configuration.get());
        assert.ok(device !== null);
        assert.deepEqual(sorted(describeTarget(target, device)), sorted(describe(device)));
        if (errno !== 0) {
          refused++;
          assert.equal(describe(device), former);
        }
        former = describe(device);
      }
    }),
    { numRuns: 300 },
  );
  assert.ok(refused > 0);
});

function copy(statement: SetStatement): SetStatement {
  return "value" in statement && statement.value instanceof Uint8Array
    ? { ...statement, value: statement.value.slice() } as SetStatement
    : statement;
}

Deno.test("Configuration.set() erases the keys of statements, whether they were applied or not", async () => {
  for (const port of [1, 99]) {
    const target = new MemoryTarget();
    target.takenPorts.add(99);
    const configuration = new Configuration({ suite: realSuite, target });
    const secret = key(9);
    const psk = key(8);
    const statements: SetStatement[] = [
      { key: "private_key", value: secret },
      { key: "listen_port", value: port },
      { key: "public_key", value: key(1) },
      { key: "preshared_key", value: psk },
    ];
    assert.equal(await configuration.set(statements), port === 99 ? 98 : 0);
    assert.deepEqual(secret, key(0));
    assert.deepEqual(psk, key(0));
    assert.equal(target.privateKey === null, port === 99);
  }
});

Deno.test("Configuration.set() applies requests one after the other, and get waits for its turn", async () => {
  const target = new MemoryTarget();
  let running = 0;
  target.delay = async () => {
    assert.equal(++running, 1);
    await new Promise((resolve) => setTimeout(resolve, 2));
    running--;
  };
  const configuration = new Configuration({ suite: realSuite, target });
  const order: string[] = [];
  await Promise.all([1, 2, 3].map(async (mark) => {
    assert.equal(await configuration.set([{ key: "fwmark", value: mark }]), 0);
    order.push(`set ${mark}`);
    const reply = new TextDecoder().decode(await configuration.get());
    order.push(`get ${/fwmark=(\d+)/.exec(reply)?.[1]}`);
  }));
  assert.deepEqual(order, ["set 1", "set 2", "set 3", "get 3", "get 3", "get 3"]);
});

Deno.test("Configuration.set() answers ENOANO and goes on when the target fails without a number", async () => {
  const target = new MemoryTarget();
  const errors: string[] = [];
  const configuration = new Configuration({ suite: realSuite, target, log: { error: (line) => errors.push(line) } });
  target.delay = () => Promise.reject(new Error("worker is gone"));
  assert.equal(await configuration.set([{ key: "fwmark", value: 1 }]), 55);
  assert.deepEqual(errors, ["Cannot apply a configuration: Error: worker is gone"]);
  target.delay = () => Promise.resolve();
  assert.equal(await configuration.set([{ key: "fwmark", value: 2 }]), 0);
  assert.equal(target.fwmark, 2);
});

/** Allowed IPs of a peer are in order of configuration in the reply; the target promises no order. */
function sorted(state: string): string[] {
  return state.split(" ").sort();
}

function assertApplied(target: MemoryTarget, from: number, expected: string): void {
  const operations = target.applied.slice(from).map((command) =>
    "peer" in command ? `${command.op}:${command.peer}` : command.op
  );
  const wanted = expected.split(" ").filter((word) => word !== "");
  const found = operations.map((operation, i) => wanted[i]?.includes(":") ? operation : operation.split(":")[0]);
  assert.deepEqual(found, wanted);
}
