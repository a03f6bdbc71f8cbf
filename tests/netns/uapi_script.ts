/**
 * What the equality test asks of an interface: invocations of `wg` and raw requests, good and bad, in order.
 *
 * In arguments `IF` stands for the interface and `FILE:name` for the path of a file of FILES.
 */

/** Three peers and ourselves: fixed, so that two interfaces can be compared. Test keys, no secrets. */
export const OWN_KEY = "UAo4ZGKZhsFpZ3QvrnKqmbGhk0f8TXXpw5Dkbzsb4Vc=";
const OTHER_KEY = "SHlnqrd8TmJlQc1Fm3tbUj4ZNPRC+zrfQ3I8Jka5mEY=";
export const A = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
export const B = "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=";
export const C = "gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA=";
const A_HEX = hex(A);
const B_HEX = hex(B);
const C_HEX = hex(C);
const PSK = "/UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak=";

export interface Step {
  readonly does: string;
  /** Arguments of `wg`. */
  readonly wg?: readonly string[];
  /** A request sent to the control socket as it is. */
  readonly raw?: string;
  /** The request is refused or incomplete; the configuration `base` is loaded after it. */
  readonly bad?: true;
}

export const FILES: Readonly<Record<string, string>> = {
  own: `${OWN_KEY}\n`,
  other: `${OTHER_KEY}\n`,
  psk: `${PSK}\n`,
  empty: "",
  short: "UAo4ZGKZhsFpZ3Q=\n",
  base: `[Interface]
PrivateKey = ${OWN_KEY}
ListenPort = 12345
[Peer]
PublicKey = ${A}
AllowedIPs = 10.1.0.0/16, fd00:1::/64
Endpoint = 10.9.9.1:1001
`,
  full: `[Interface]
PrivateKey = ${OTHER_KEY}
ListenPort = 12346
FwMark = 0xca6c
[Peer]
PublicKey = ${A}
PresharedKey = ${PSK}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = [fd00:9::1]:1001
PersistentKeepalive = 25
[Peer]
# a peer without anything
PublicKey = ${B}
[Peer]
PublicKey = ${C}
AllowedIPs = 10.3.4.5/24, 10.3.4.6
`,
  add: `[Peer]
PublicKey = ${B}
AllowedIPs = 10.2.0.0/16
Endpoint = 10.9.9.2:1002
[Peer]
PublicKey = ${A}
AllowedIPs = 10.1.1.0/24
`,
  sync: `[Interface]
PrivateKey = ${OWN_KEY}
ListenPort = 12345
[Peer]
PublicKey = ${C}
AllowedIPs = 10.3.0.0/16
PersistentKeepalive = 10
[Peer]
PublicKey = ${A}
AllowedIPs = 10.1.0.0/16
`,
  portless: `[Interface]
PrivateKey = ${OWN_KEY}
`,
  peerless: `[Interface]
PrivateKey = ${OWN_KEY}
ListenPort = 12345
`,
  bad_section: "[Nonsense]\nKey = 1\n",
  bad_key: `[Interface]\nPrivateKey = ${OWN_KEY}\nAddress = 10.0.0.1/24\n`,
  bad_mask: `[Peer]\nPublicKey = ${A}\nAllowedIPs = 10.0.0.0/33\n`,
  bad_peer: "[Peer]\nAllowedIPs = 10.0.0.0/8\n",
};

const FIELDS = [
  "public-key",
  "private-key",
  "listen-port",
  "fwmark",
  "peers",
  "preshared-keys",
  "endpoints",
  "allowed-ips",
  "latest-handshakes",
  "transfer",
  "persistent-keepalive",
];

/** Every way to look at an interface. */
function looks(state: string): Step[] {
  const ways = [
    ["show", "IF"],
    ["show", "IF", "dump"],
    ["showconf", "IF"],
    ...FIELDS.map((field) => ["show", "IF", field]),
  ];
  return ways.map((wg) => ({ does: `${wg.join(" ")} ${state}`, wg }));
}

function wg(does: string, ...args: string[]): Step {
  return { does, wg: args };
}

function raw(does: string, ...lines: string[]): Step {
  return { does, raw: lines.map((line) => `${line}\n`).join("") };
}

function bad(does: string, ...lines: string[]): Step {
  return { ...raw(does, ...lines), bad: true };
}

/** The interface is up and unconfigured when the script begins. */
export const SCRIPT: readonly Step[] = [
  ...looks("of a fresh interface"),
  wg("sets a private key and a port", "set", "IF", "private-key", "FILE:own", "listen-port", "12345"),
  wg("sets them again", "set", "IF", "private-key", "FILE:own", "listen-port", "12345"),
  wg("sets a mark", "set", "IF", "fwmark", "0x1234"),
  wg("sets a decimal mark", "set", "IF", "fwmark", "51820"),
  wg("adds an empty peer", "set", "IF", "peer", A),
  ...looks("with one empty peer"),
  wg(
    "gives it everything",
    "set",
    "IF",
    "peer",
    A,
    "preshared-key",
    "FILE:psk",
    "endpoint",
    "10.9.9.1:1001",
    "persistent-keepalive",
    "25",
    "allowed-ips",
    "10.1.0.0/16,fd00:1::/64",
  ),
  wg(
    "adds two peers at once",
    "set",
    "IF",
    "peer",
    B,
    "allowed-ips",
    "10.2.3.4/16",
    "peer",
    C,
    "endpoint",
    "[fd00:9::3]:1003",
    "allowed-ips",
    "10.3.0.1/32,fd00:3::1/128",
  ),
  ...looks("with three peers"),
  wg("moves an allowed IP to another peer", "set", "IF", "peer", B, "allowed-ips", "10.2.0.0/16,10.1.0.0/16"),
  wg("adds one within another's", "set", "IF", "peer", C, "allowed-ips", "10.1.2.0/24,0.0.0.0/0,::/0"),
  wg("clears allowed IPs", "set", "IF", "peer", C, "allowed-ips", ""),
  wg("repeats an allowed IP", "set", "IF", "peer", C, "allowed-ips", "10.3.0.0/16,10.3.0.0/16,10.3.9.9/16"),
  wg("turns the keepalive off", "set", "IF", "peer", A, "persistent-keepalive", "off"),
  wg("sets the greatest keepalive", "set", "IF", "peer", A, "persistent-keepalive", "65535"),
  wg("removes a preshared key", "set", "IF", "peer", A, "preshared-key", "FILE:empty"),
  wg("changes an endpoint", "set", "IF", "peer", A, "endpoint", "[fd00:9::1]:65535"),
  wg("sets a v4-mapped endpoint", "set", "IF", "peer", A, "endpoint", "[::ffff:10.9.9.7]:1007"),
  wg("removes a peer", "set", "IF", "peer", B, "remove"),
  wg("removes it again", "set", "IF", "peer", B, "remove"),
  wg("turns the mark off", "set", "IF", "fwmark", "off"),
  wg("sets the greatest mark", "set", "IF", "fwmark", "0xffffffff"),
  wg("removes the mark", "set", "IF", "fwmark", "0"),
  wg("adds itself as a peer", "set", "IF", "peer", "IF:public", "allowed-ips", "10.7.0.0/16"),
  wg("changes the private key", "set", "IF", "private-key", "FILE:other"),
  ...looks("after many changes"),
  wg("removes the private key", "set", "IF", "private-key", "FILE:empty"),
  ...looks("without a private key"),
  wg("asks for any port", "set", "IF", "listen-port", "0"),
  wg("takes a port that is taken", "set", "IF", "listen-port", "12399"),
  wg("loads a configuration", "setconf", "IF", "FILE:base"),
  wg("loads it again", "setconf", "IF", "FILE:base"),
  wg("loads a full one", "setconf", "IF", "FILE:full"),
  ...looks("after setconf"),
  wg("adds a configuration", "addconf", "IF", "FILE:add"),
  ...looks("after addconf"),
  wg("synchronises", "syncconf", "IF", "FILE:sync"),
  ...looks("after syncconf"),
  wg("synchronises without a change", "syncconf", "IF", "FILE:sync"),
  wg("synchronises without a port", "syncconf", "IF", "FILE:portless"),
  wg("synchronises without peers", "syncconf", "IF", "FILE:peerless"),
  wg("loads without a port", "setconf", "IF", "FILE:portless"),
  wg("loads an empty file", "setconf", "IF", "FILE:empty"),
  wg("adds an empty file", "addconf", "IF", "FILE:empty"),
  ...looks("after empty files"),
  wg("loads the base", "setconf", "IF", "FILE:base"),

  // What `wg` itself refuses must leave the interface alone.
  wg("refuses an unknown section", "setconf", "IF", "FILE:bad_section"),
  wg("refuses a key of wg-quick", "setconf", "IF", "FILE:bad_key"),
  wg("refuses a mask", "addconf", "IF", "FILE:bad_mask"),
  wg("refuses a peer without a key", "addconf", "IF", "FILE:bad_peer"),
  wg("refuses a short key", "set", "IF", "private-key", "FILE:short"),
  wg("refuses a missing file", "setconf", "IF", "/nonexistent"),
  wg("refuses an unknown word", "set", "IF", "colour", "blue"),
  wg("asks for a port beyond the last", "set", "IF", "listen-port", "65536"),
  wg("refuses a peer's key", "set", "IF", "peer", "AAAA"),
  wg("refuses an endpoint without a port", "set", "IF", "peer", A, "endpoint", "10.0.0.1"),
  wg("refuses an unknown field", "show", "IF", "colours"),
  wg("refuses an unknown verb", "paint", "IF"),
  wg("does not find another interface", "show", "nosuchinterface"),
  ...looks("after refusals"),

  // Raw requests: first good ones.
  raw("answers get", "get=1", ""),
  raw("answers two gets on one connection", "get=1", "", "get=1", ""),
  raw("answers an empty set", "set=1", ""),
  raw("answers set then get", "set=1", "listen_port=12347", "", "get=1", ""),
  raw("takes hex in capitals", "set=1", `public_key=${B_HEX.toUpperCase()}`, "allowed_ip=10.2.0.0/16", ""),
  raw(
    "does not update an unknown peer",
    "set=1",
    `public_key=${C_HEX}`,
    "update_only=true",
    "allowed_ip=10.4.0.0/16",
    "",
  ),
  raw("updates a known peer", "set=1", `public_key=${B_HEX}`, "update_only=true", "allowed_ip=10.4.0.0/16", ""),
  raw("removes an unknown peer", "set=1", `public_key=${C_HEX}`, "remove=true", ""),
  raw("takes lines after a removal", "set=1", `public_key=${B_HEX}`, "remove=true", "allowed_ip=10.5.0.0/16", ""),
  raw("takes protocol version 1", "set=1", `public_key=${A_HEX}`, "protocol_version=1", ""),
  raw(
    "takes one peer twice",
    "set=1",
    `public_key=${A_HEX}`,
    "allowed_ip=10.5.0.0/16",
    `public_key=${A_HEX}`,
    "allowed_ip=10.6.0.0/16",
    "",
  ),
  raw("replaces all peers", "set=1", "replace_peers=true", `public_key=${C_HEX}`, "allowed_ip=10.3.0.0/16", ""),
  raw("replaces allowed IPs", "set=1", `public_key=${C_HEX}`, "replace_allowed_ips=true", "allowed_ip=10.8.0.0/16", ""),
  raw("takes a zero preshared key", "set=1", `public_key=${C_HEX}`, `preshared_key=${"0".repeat(64)}`, ""),
  raw("takes a v4-mapped endpoint", "set=1", `public_key=${C_HEX}`, "endpoint=[::ffff:10.9.9.8]:1008", ""),
  ...looks("after raw requests"),

  // Then bad ones. Each begins with a good line, which must not stay in force on culvert.
  ...[
    "nonsense",
    "nonsense=1",
    "=1",
    "listen_port=",
    "listen_port=abc",
    "listen_port=65536",
    "listen_port=-1",
    "listen_port=12399",
    "fwmark=4294967296",
    "fwmark=-1",
    "fwmark=x",
    "private_key=00",
    `private_key=${"g".repeat(64)}`,
    `private_key=${"0".repeat(66)}`,
    "replace_peers=false",
    "public_key=00",
    "allowed_ip=10.0.0.0/8",
    "get=1",
    " listen_port=1",
  ].map((line) => bad(`refuses the device line ${line}`, "set=1", "fwmark=77", line, "")),
  ...[
    "listen_port=12346",
    "remove=false",
    "update_only=false",
    "preshared_key=00",
    "endpoint=localhost:1",
    "endpoint=10.0.0.1",
    "endpoint=10.0.0.1:65536",
    "endpoint=10.0.0.1:",
    "endpoint=fd00::1:80",
    "endpoint=",
    "persistent_keepalive_interval=65536",
    "persistent_keepalive_interval=-1",
    "persistent_keepalive_interval=off",
    "replace_allowed_ips=false",
    "allowed_ip=10.0.0.0",
    "allowed_ip=10.0.0.0/33",
    "allowed_ip=10.0.0.0/-1",
    "allowed_ip=fd00::/129",
    "allowed_ip=host/8",
    "allowed_ip=-10.8.0.0/16",
    "protocol_version=2",
    "protocol_version=x",
    "nonsense=1",
  ].map((line) =>
    bad(`refuses the peer line ${line}`, "set=1", `public_key=${C_HEX}`, "allowed_ip=10.44.0.0/16", line, "")
  ),
  bad("closes on an unknown operation", "paint=1", ""),
  bad("closes on CRLF", "get=1\r", "\r"),
  bad("closes on an empty line", ""),
  bad("refuses a get with a line", "get=1", "colour=blue", ""),
  { does: "ignores half a request", raw: "set=1\nfwmark=78\n", bad: true },
  { does: "ignores half a line", raw: "set=1\nfwmark=7", bad: true },
  ...looks("after bad requests"),
];

function hex(base64: string): string {
  return Array.from(atob(base64), (letter) => letter.charCodeAt(0).toString(16).padStart(2, "0")).join("");
}
