/** Invocations of `wg`'s verbs, good and bad, with the files they read. */

export interface Invocation {
  /** The words behind the program's name; names of FILES and of SUBSTITUTED stand for paths. */
  readonly words: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The name of a file that is stdin. */
  readonly stdin?: string;
}

/** What of an outcome may differ. */
export type Aspect = "exit code" | "stdout" | "interface" | "complaint";

export interface Improvement {
  readonly reason: string;
  /** All that differs. */
  readonly differs: readonly Aspect[];
}

/** The same bytes 32 times over, as a key. */
export function key(byte: number): string {
  return btoa(String.fromCharCode(...new Uint8Array(32).fill(byte)));
}

export const NAME = "wgt0";
/** Peers. */
const [A, B, C, D] = [1, 2, 3, 4].map(key);
const PRIVATE = key(0x40);
const SECRET = key(0x77);
/** Not canonical: the last character has spare bits set. */
const LOOSE = `${A.slice(0, 42)}${String.fromCharCode(A.charCodeAt(42) + 1)}=`;

const BASE = `[Interface]\nPrivateKey = ${PRIVATE}\nListenPort = 5100\nFwMark = 0x10\n
[Peer]\nPublicKey = ${A}\nPresharedKey = ${SECRET}\nAllowedIPs = 10.1.0.0/16, fd00:1::/64\nEndpoint = 192.0.2.1:51820
PersistentKeepalive = 25\n\n[Peer]\nPublicKey = ${B}\nAllowedIPs = 10.2.0.0/16\nEndpoint = [2001:db8::2]:51820\n`;

function peer(lines: string): string {
  return `[Peer]\nPublicKey = ${C}\n${lines}\n`;
}

export const FILES: Readonly<Record<string, string>> = {
  "base": BASE,
  "empty": "",
  "private.key": `${PRIVATE}\n`,
  "no-newline.key": PRIVATE,
  "spaces.key": `${SECRET} \t\r\n\n`,
  "short.key": "short\n",
  "trailing.key": `${PRIVATE}\nx\n`,
  "loose.key": `${LOOSE}\n`,
  "leading.key": ` ${PRIVATE}\n`,
  "crlf": BASE.replaceAll("\n", "\r\n"),
  "bom": `\ufeff${BASE}`,
  "lower": BASE.replace(/^\[?\w+/gm, (word) => word.toLowerCase()),
  "upper": BASE.replace(/^\[?\w+/gm, (word) => word.toUpperCase()),
  "spaced":
    `[ Inter face ]\n Listen Port\t= 51 23 # a comment\n[Peer]# another\nPublicKey=${C}\nAllowed IPs = 10.3.0.0 / 16 ,
# whole line\n`.replace("/ 16 ,", "/ 16"),
  "two-interfaces": `[Interface]\nListenPort = 5200\n${peer("AllowedIPs = 10.3.0.0/16")}[Interface]\nFwMark = 7\n`,
  "no-peers": `[Interface]\nListenPort = 5300\nPrivateKey = ${PRIVATE}\n`,
  "only-peer": peer("AllowedIPs = 10.3.0.0/16\nEndpoint = 192.0.2.3:3"),
  "peer-of-base": `[Peer]\nPublicKey = ${A}\nAllowedIPs = 10.9.0.0/16\n`,
  "bare-peer": peer(""),
  "sync": `[Interface]\nPrivateKey = ${PRIVATE}\nListenPort = 5100\n[Peer]\nPublicKey = ${A}\nAllowedIPs = 10.1.0.0/24
[Peer]\nPublicKey = ${C}\nAllowedIPs = 10.3.0.0/16\nPersistentKeepalive = 7\n`,
  "sync-removes": `[Interface]\nListenPort = 5100\n${peer("")}`,
  "accumulates": peer("AllowedIPs = 10.3.0.0/16\nAllowedIPs = 10.4.0.0/16, 10.5.0.0/16\nAllowedIPs = fd00:3::/48"),
  "last-counts": peer(
    "Endpoint = 192.0.2.9:9\nEndpoint = 192.0.2.3:3\nPersistentKeepalive = 3\nPersistentKeepalive = off",
  ),
  "host-bits": peer("AllowedIPs = 10.3.4.5/16, fd00:3::1/48"),
  "no-masks": peer("AllowedIPs = 10.3.4.5, fd00:3::1"),
  "names": peer("Endpoint = vpn.test:domain"),
  "name-6": peer("Endpoint = vpn6.test:51820"),
  "service-port": "[Interface]\nListenPort = ntp\n",
  "mark-off": "[Interface]\nListenPort = 5400\nFwMark = off\n",
  "mark-decimal": "[Interface]\nListenPort = 5400\nFwMark = 4294967295\n",
  "same-peer-twice":
    `[Peer]\nPublicKey = ${C}\nAllowedIPs = 10.3.0.0/16\n[Peer]\nPublicKey = ${C}\nAllowedIPs = 10.4.0.0/16\n`,
  "stolen": `[Peer]\nPublicKey = ${C}\nAllowedIPs = 10.3.0.0/16\n[Peer]\nPublicKey = ${D}\nAllowedIPs = 10.3.0.0/16\n`,
  "no-end": "[Interface]\nListenPort = 5500",
  "zero-key": `[Interface]\nListenPort = 5500\nPrivateKey = ${key(0)}\n`,
  // Bad ones.
  "no-section": "ListenPort = 5\n",
  "unknown-section": "[Interfaces]\n",
  "unknown-key": "[Interface]\nMTU = 1420\n",
  "wrong-section": "[Peer]\nListenPort = 5\n",
  "empty-value": peer("AllowedIPs ="),
  "no-equals": "[Interface]\nListenPort\n",
  "no-public-key": "[Peer]\nAllowedIPs = 10.3.0.0/16\n",
  "loose": `[Peer]\nPublicKey = ${LOOSE}\n`,
  "long-key": `[Peer]\nPublicKey = ${A}=\n`,
  "url-key": `[Peer]\nPublicKey = ${key(0xff).replaceAll("/", "_")}\n`,
  "trailing-comma": peer("AllowedIPs = 10.3.0.0/16,"),
  "mask-33": peer("AllowedIPs = 10.3.0.0/33"),
  "mask-129": peer("AllowedIPs = ::/129"),
  "mask-empty": peer("AllowedIPs = 10.3.0.0/"),
  "short-address": peer("AllowedIPs = 10.3/16"),
  "octal-address": peer("AllowedIPs = 010.3.0.0/16"),
  "keepalive-65536": peer("PersistentKeepalive = 65536"),
  "keepalive-word": peer("PersistentKeepalive = often"),
  "endpoint-no-port": peer("Endpoint = 192.0.2.1"),
  "endpoint-no-brace": peer("Endpoint = [::1"),
  "endpoint-no-service": peer("Endpoint = 192.0.2.1:nosuch"),
  "mark-upper": "[Interface]\nFwMark = 0XFF\n",
  "mark-big": "[Interface]\nFwMark = 4294967296\n",
  "mark-negative": "[Interface]\nFwMark = -1\n",
  "port-word": "[Interface]\nListenPort = nosuch\n",
  "port-big": "[Interface]\nListenPort = 70000\n",
  "bad-last": `${BASE}Nonsense = 1\n`,
  "added": peer("AllowedIPs = +10.3.0.0/16"),
  "directory": "",
};

/** `FILES` that are read through a pipe: `<(cat …)`. */
export const SUBSTITUTED: Readonly<Record<string, string>> = {
  "<base": "base",
  "<sync": "sync",
  "<bad-last": "bad-last",
  "<private.key": "private.key",
  "<empty": "empty",
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
  "dump",
];

const SET_BASE = `setconf ${NAME} base`;

export const SCRIPT: readonly Invocation[] = [
  // Before anything is configured.
  ...lines(`
    show
    show ${NAME}
    show all
    show ${NAME} dump
    show ${NAME} public-key
    show ${NAME} private-key
    show ${NAME} peers
    show interfaces
    showconf ${NAME}
    ${SET_BASE}
    show
    show all
    show ${NAME}
    showconf ${NAME}
  `),
  ...FIELDS.flatMap((field) => lines(`show ${NAME} ${field}\nshow all ${field}`)),
  { words: ["show", NAME], env: { WG_HIDE_KEYS: "never" } },
  { words: ["show", NAME], env: { WG_HIDE_KEYS: "always" } },
  { words: ["show"], env: { WG_COLOR_MODE: "always" } },
  { words: ["show"], env: { WG_COLOR_MODE: "never" } },
  { words: ["show"], env: { WG_COLOR_MODE: "auto" } },
  { words: ["show", NAME, "dump"], env: { WG_COLOR_MODE: "always", WG_HIDE_KEYS: "never" } },
  ...lines(`
    show ${NAME} bogus
    show all bogus
    show ${NAME} dump more
    show all dump more
    show interfaces more
    show nosuch
    show nosuch dump
    show lo
    show a/b
    show ''
    show -h
    show --help
    show help
    showconf
    showconf nosuch
    showconf ${NAME} more
    set
    set ${NAME}
    set nosuch listen-port 5
    setconf ${NAME}
    setconf nosuch base
    addconf ${NAME} base more
    syncconf nosuch base
    syncconf ${NAME} nosuchfile
    setconf ${NAME} nosuchfile
  `),

  // set: the interface.
  ...lines(`
    set ${NAME} listen-port 5001
    set ${NAME} listen-port 007
    set ${NAME} listen-port +5002
    set ${NAME} listen-port ' 5003'
    set ${NAME} listen-port domain
    set ${NAME} listen-port ntp
    set ${NAME} listen-port http
    set ${NAME} listen-port nosuch
    set ${NAME} listen-port ''
    set ${NAME} listen-port 0x10
    set ${NAME} listen-port -1
    set ${NAME} listen-port 53/udp
    set ${NAME} listen-port 70000
    set ${NAME} listen-port 0
    set ${NAME} listen-port 5004 listen-port 5005
    set ${NAME} listen-port
    set ${NAME} fwmark 1234
    set ${NAME} fwmark 0xFf
    set ${NAME} fwmark 0XFF
    set ${NAME} fwmark 0x
    set ${NAME} fwmark 010
    set ${NAME} fwmark off
    set ${NAME} fwmark OFF
    set ${NAME} fwmark 4294967295
    set ${NAME} fwmark 4294967296
    set ${NAME} fwmark -1
    set ${NAME} fwmark ''
    set ${NAME} private-key private.key
    set ${NAME} private-key no-newline.key
    set ${NAME} private-key spaces.key
    set ${NAME} private-key /dev/null
    set ${NAME} private-key empty
    set ${NAME} private-key short.key
    set ${NAME} private-key trailing.key
    set ${NAME} private-key loose.key
    set ${NAME} private-key leading.key
    set ${NAME} private-key nosuchfile
    set ${NAME} private-key directory
    set ${NAME} private-key <private.key
    set ${NAME} private-key <empty
    set ${NAME} listen-port 5006 fwmark 9 private-key private.key
  `),
  { words: ["set", NAME, "private-key", "/dev/stdin"], stdin: "private.key" },
  { words: ["set", NAME, "private-key", "/dev/stdin"], stdin: "short.key" },
  { words: ["set", NAME, "private-key", "/dev/fd/0"], stdin: "private.key" },

  // set: peers.
  ...lines(`
    set ${NAME} peer ${C}
    set ${NAME} peer ${C} remove
    set ${NAME} peer ${D} remove
    set ${NAME} peer ${C} endpoint 192.0.2.3:3 persistent-keepalive 30 allowed-ips 10.3.0.0/16 preshared-key spaces.key
    show ${NAME}
    show ${NAME} preshared-keys
    set ${NAME} peer ${C} preshared-key /dev/null
    set ${NAME} peer ${C} preshared-key short.key
    set ${NAME} peer ${C} endpoint [2001:db8::3]:3
    set ${NAME} peer ${C} endpoint 2001:db8::4:5
    set ${NAME} peer ${C} endpoint [192.0.2.3]:6
    set ${NAME} peer ${C} endpoint 10.1:7
    set ${NAME} peer ${C} endpoint vpn.test:8
    set ${NAME} peer ${C} endpoint vpn6.test:8
    set ${NAME} peer ${C} endpoint [vpn.test]:9
    set ${NAME} peer ${C} endpoint 192.0.2.3:domain
    set ${NAME} peer ${C} endpoint [fe80::1%lo]:10
    set ${NAME} peer ${C} endpoint [fe80::1%nosuch]:10
    set ${NAME} peer ${C} endpoint [::ffff:192.0.2.3]:11
    set ${NAME} peer ${C} endpoint 192.0.2.3
    set ${NAME} peer ${C} endpoint 192.0.2.3:
    set ${NAME} peer ${C} endpoint :5
    set ${NAME} peer ${C} endpoint ''
    set ${NAME} peer ${C} endpoint [::1
    set ${NAME} peer ${C} endpoint [::1]
    set ${NAME} peer ${C} endpoint [::1]5
    set ${NAME} peer ${C} endpoint 192.0.2.3:70000
    set ${NAME} peer ${C} persistent-keepalive 65535
    set ${NAME} peer ${C} persistent-keepalive 65536
    set ${NAME} peer ${C} persistent-keepalive off
    set ${NAME} peer ${C} persistent-keepalive Off
    set ${NAME} peer ${C} persistent-keepalive 0
    set ${NAME} peer ${C} persistent-keepalive ''
    set ${NAME} peer ${C} persistent-keepalive 5s
    set ${NAME} peer ${C} allowed-ips 10.3.4.5
    set ${NAME} peer ${C} allowed-ips 10.3.4.5/16
    set ${NAME} peer ${C} allowed-ips 10.3.0.0/16,10.4.0.0/16,fd00:3::/48
    set ${NAME} peer ${C} allowed-ips ' 10.3.0.0 / 16 , 10.4.0.0/16 '
    set ${NAME} peer ${C} allowed-ips 10.3.0.0/16 allowed-ips 10.5.0.0/16
    set ${NAME} peer ${C} allowed-ips 10.1.0.0/16
    set ${NAME} peer ${C} allowed-ips ''
    set ${NAME} peer ${C} allowed-ips 0.0.0.0/0,::/0
    set ${NAME} peer ${C} allowed-ips 10.3.0.0/16,
    set ${NAME} peer ${C} allowed-ips 10.3.0.0/33
    set ${NAME} peer ${C} allowed-ips 10.3.0.0/
    set ${NAME} peer ${C} allowed-ips 10.3.0.0/-1
    set ${NAME} peer ${C} allowed-ips 10.3.0.0/016
    set ${NAME} peer ${C} allowed-ips 10.3.0.0/16/16
    set ${NAME} peer ${C} allowed-ips 010.3.0.0/16
    set ${NAME} peer ${C} allowed-ips ::ffff:10.3.0.0/120
    set ${NAME} peer ${C} allowed-ips fe80::1%lo
    set ${NAME} peer ${C} allowed-ips vpn.test
    set ${NAME} peer ${C} allowed-ips +10.7.0.0/16
    set ${NAME} peer ${A} allowed-ips +10.7.0.0/16,+10.8.0.0/16
    set ${NAME} peer ${C} endpoint 192.0.2.1:1 peer ${D} endpoint 192.0.2.2:2 peer ${A} remove
    set ${NAME} peer ${D} remove peer ${C} remove endpoint 192.0.2.1:1
    set ${NAME} peer short
    set ${NAME} peer ${LOOSE}
    set ${NAME} peer
    set ${NAME} peer ${C} listen-port 5
    set ${NAME} peer ${C} bogus 5
    set ${NAME} remove
    set ${NAME} endpoint 192.0.2.1:1
    set ${NAME} bogus
    set ${NAME} --help
    set ${NAME} -- listen-port 5
  `),
  ...[{ WG_ENDPOINT_RESOLUTION_RETRIES: "0" }, { WG_ENDPOINT_RESOLUTION_RETRIES: "1" }, {
    WG_ENDPOINT_RESOLUTION_RETRIES: "often",
  }].map((env) => ({ words: ["set", NAME, "peer", C, "endpoint", "unreachable.test:5"], env })),
  { words: ["set", NAME, "peer", C, "endpoint", "192.0.2.3:3"], env: { WG_ENDPOINT_RESOLUTION_RETRIES: "often" } },
  { words: ["set", NAME, "peer", C, "endpoint", "192.0.2.3:3"], env: { WG_ENDPOINT_RESOLUTION_RETRIES: "" } },
  { words: ["set", NAME, "peer", C, "endpoint", "192.0.2.3:4"], env: { WG_ENDPOINT_RESOLUTION_RETRIES: "infinity" } },

  // Files.
  ...Object.keys(FILES).filter((name) => !name.endsWith(".key") && name !== "endpoint-no-service").flatMap((name) => [
    ...lines(`${SET_BASE}\n${name.length % 2 === 0 ? "setconf" : "addconf"} ${NAME} ${name}`),
  ]),
  { words: ["addconf", NAME, "endpoint-no-service"], env: { WG_ENDPOINT_RESOLUTION_RETRIES: "0" } },
  ...lines(`
    ${SET_BASE}
    addconf ${NAME} only-peer
    addconf ${NAME} peer-of-base
    addconf ${NAME} bare-peer
    addconf ${NAME} mark-off
    ${SET_BASE}
    setconf ${NAME} only-peer
    ${SET_BASE}
    syncconf ${NAME} base
    syncconf ${NAME} sync
    ${SET_BASE}
    syncconf ${NAME} <sync
    show ${NAME}
    ${SET_BASE}
    syncconf ${NAME} sync-removes
    ${SET_BASE}
    syncconf ${NAME} no-peers
    syncconf ${NAME} base
    ${SET_BASE}
    syncconf ${NAME} bad-last
    syncconf ${NAME} empty
    ${SET_BASE}
    setconf ${NAME} <base
    addconf ${NAME} <bad-last
    setconf ${NAME} <empty
    setconf ${NAME} /dev/null
  `),
  { words: ["setconf", NAME, "/dev/stdin"], stdin: "base" },
  { words: ["syncconf", NAME, "/dev/stdin"], stdin: "sync" },
  { words: ["addconf", NAME, "/dev/fd/0"], stdin: "only-peer" },
  ...lines(`showconf ${NAME}\nshow ${NAME}\nshow interfaces`),
];

const PORT = improvement("ports above 65535 are refused, not cut to 16 bits", "exit code", "interface");
const NEWER_LISTS = improvement("+ and - change allowed IPs one by one, as in newer wg", "exit code", "interface");
const NEWER_SYNC = improvement("a PSK or keepalive no longer listed is cleared, as in newer wg", "interface");
const HELP = improvement("help is on stdout", "stdout");

/** Invocations whose outcome differs on purpose, by their words; docs/compatibility.md lists them too. */
export const IMPROVEMENTS: Readonly<Record<string, Improvement>> = {
  "show all endpoints": improvement("every line begins with the interface, as in newer wg", "stdout"),
  "show -h": HELP,
  "show --help": HELP,
  [`set ${NAME} listen-port 70000`]: PORT,
  [`set ${NAME} peer ${C} endpoint 192.0.2.3:70000`]: PORT,
  [`setconf ${NAME} port-big`]: PORT,
  [`set ${NAME} peer ${C} endpoint [::ffff:192.0.2.3]:11`]: improvement(
    "an IPv4 endpoint written as IPv6 is sent as IPv4, as it is reported later",
    "interface",
  ),
  [`set ${NAME} peer ${C} allowed-ips +10.7.0.0/16`]: NEWER_LISTS,
  [`set ${NAME} peer ${A} allowed-ips +10.7.0.0/16,+10.8.0.0/16`]: NEWER_LISTS,
  [`addconf ${NAME} added`]: NEWER_LISTS,
  [`addconf ${NAME} directory`]: improvement("a directory is refused, not read as an empty file", "exit code"),
  [`syncconf ${NAME} sync`]: NEWER_SYNC,
  [`syncconf ${NAME} <sync`]: NEWER_SYNC,
  [`syncconf ${NAME} /dev/stdin`]: NEWER_SYNC,
};

/** What differs besides on culvert's own interface. */
export const INTERFACE_IMPROVEMENTS: Readonly<Record<string, Improvement>> = {
  [`set ${NAME} peer ${C} endpoint [fe80::1%lo]:10`]: improvement("the zone of an endpoint is kept", "interface"),
};

function improvement(reason: string, ...differs: Aspect[]): Improvement {
  return { reason, differs };
}

/** One invocation a line; words in quotes may be empty or hold spaces. */
function lines(text: string): Invocation[] {
  return text.split("\n").map((line) => line.trim()).filter((line) => line !== "").map((line) => ({
    words: [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare),
  }));
}
