/**
 * From lines to values: every line that `wg` refuses is refused, with file, line, key and reason. Several `[Interface]`
 * sections are one; of a key given twice the last counts, while lists grow.
 *
 * Spec: wg(8) "CONFIGURATION FILE FORMAT", wg-quick(8) "CONFIGURATION".
 */
import { type Config, emptyConfig, emptyPeer, type InterfaceConfig, type PeerConfig } from "./config.ts";
import { ConfigError, ValueError } from "./config_error.ts";
import { type ConfigLine, ConfigText, withoutSpace } from "./config_text.ts";
import {
  parseAllowedIps,
  parseEndpointText,
  parseFwmark,
  parseKeepalive,
  parseKeyText,
  parsePort,
  parsePrefixText,
  type ServicePort,
} from "./values.ts";

export interface ReadOptions {
  /** The name for errors. */
  readonly file: string;
  /** Whether wg-quick's keys are keys; to `wg` they are errors. */
  readonly quick: boolean;
  /** Without it ports are numbers. */
  readonly servicePort?: ServicePort;
}

/** All that was found, and all that is wrong with it. */
export interface ReadResult {
  readonly config: Config;
  /** Of lines, in the order of the file, then of peers without a key. */
  readonly errors: ConfigError[];
  /** The line of each peer's header, from 1. */
  readonly peerLines: number[];
}

const GREATEST_MTU = 65_535;
const NO_KEY = new Uint8Array(0);

/**
 * Reads a configuration.
 *
 * @throws {ConfigError} for the first line that is wrong
 */
export function readConfig(text: string, options: ReadOptions): Config {
  const { config, errors } = scanConfig(ConfigText.parse(text), options);
  if (errors.length > 0) throw errors[0];
  return config;
}

/** Reads what can be read and goes on behind each error. */
export function scanConfig(text: ConfigText, options: ReadOptions): ReadResult {
  const scan = new Scan(options);
  text.lines.forEach((line, index) => scan.line(line, index + 1));
  return scan.finish();
}

class Scan {
  readonly #options: ReadOptions;
  readonly #result: ReadResult = { config: emptyConfig(), errors: [], peerLines: [] };
  #section: "" | "interface" | "peer" = "";

  constructor(options: ReadOptions) {
    this.#options = options;
  }

  line(line: ConfigLine, number: number): void {
    try {
      this.#take(line, number);
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      this.#fault(number, line.spelling, error.message);
    }
  }

  finish(): ReadResult {
    const { config, peerLines } = this.#result;
    config.peers.forEach((peer, i) => {
      if (peer.publicKey === NO_KEY) this.#fault(peerLines[i], "", "A peer is missing a public key");
    });
    return this.#result;
  }

  #take(line: ConfigLine, number: number): void {
    const { config, peerLines } = this.#result;
    if (line.kind === "section") {
      if (line.key !== "interface" && line.key !== "peer") return this.#unrecognized(line, number);
      this.#section = line.key;
      if (line.key === "interface") return;
      config.peers.push(emptyPeer(NO_KEY));
      peerLines.push(number);
    } else if (line.kind === "annotation") {
      this.#annotation(line);
    } else if (line.kind === "entry") {
      if (!this.#entry(line)) this.#unrecognized(line, number);
    } else if (line.kind === "unknown") {
      this.#unrecognized(line, number);
    }
  }

  /** To `wg` it is a comment, which cannot be wrong. */
  #annotation({ key, value }: ConfigLine): void {
    const { config } = this.#result;
    if (this.#section !== "peer") return void config.interface.annotations.push({ key, value });
    const peer = config.peers[config.peers.length - 1];
    peer.annotations.push({ key, value });
    if (key !== "endpoint") return;
    try {
      peer.furtherEndpoints.push(parseEndpointText(withoutSpace(value), this.#options.servicePort));
    } catch (error) {
      if (this.#options.quick || !(error instanceof ValueError)) throw error;
    }
  }

  /** @returns false if the line is no key of its section */
  #entry({ key, value }: ConfigLine): boolean {
    const { config } = this.#result;
    const compact = withoutSpace(value);
    const { servicePort } = this.#options;
    if (this.#section === "peer") {
      return compact !== "" && peerEntry(config.peers[config.peers.length - 1], key, compact, servicePort);
    }
    if (this.#section !== "interface") return false;
    if (this.#options.quick && quickEntry(config.interface, key, value)) return true;
    return compact !== "" && interfaceEntry(config.interface, key, compact, servicePort);
  }

  /** The value may be a secret behind a mistyped key, so only what stands before it is told. */
  #unrecognized({ kind, spelling }: ConfigLine, number: number): void {
    // Text that is no word may be a key that was pasted without its name.
    const isWord = /^[A-Za-z][A-Za-z0-9_-]{0,23}$/.test(spelling);
    if (kind === "unknown" || !isWord) return this.#fault(number, "", "Line unrecognized");
    this.#fault(number, spelling, `Line unrecognized: \`${kind === "section" ? `[${spelling}]` : `${spelling}=`}'`);
  }

  #fault(line: number, key: string, reason: string): void {
    this.#result.errors.push(new ConfigError(this.#options.file, line, key, reason));
  }
}

function interfaceEntry(config: InterfaceConfig, key: string, value: string, servicePort?: ServicePort): boolean {
  switch (key) {
    case "privatekey":
      config.privateKey = parseKeyText(value);
      return true;
    case "listenport":
      config.listenPort = parsePort(value, servicePort);
      return true;
    case "fwmark":
      config.fwmark = parseFwmark(value);
      return true;
    default:
      return false;
  }
}

function peerEntry(peer: PeerConfig, key: string, value: string, servicePort?: ServicePort): boolean {
  switch (key) {
    case "publickey":
      peer.publicKey = parseKeyText(value);
      return true;
    case "presharedkey":
      peer.presharedKey = parseKeyText(value);
      return true;
    case "endpoint":
      peer.endpoint = parseEndpointText(value, servicePort);
      return true;
    case "allowedips": {
      const { entries, replace } = parseAllowedIps(value);
      for (const entry of entries) peer.allowedIps.push(entry);
      peer.replaceAllowedIps = replace;
      return true;
    }
    case "persistentkeepalive":
      peer.keepalive = parseKeepalive(value);
      return true;
    default:
      return false;
  }
}

/** wg-quick's keys; an empty value says nothing. */
function quickEntry(config: InterfaceConfig, key: string, value: string): boolean {
  switch (key) {
    case "address":
      for (const item of listItems(value)) config.addresses.push(parsePrefixText(item, "Address"));
      return true;
    case "dns":
      for (const item of listItems(value)) (isServer(item) ? config.dnsServers : config.dnsSearch).push(item);
      return true;
    case "mtu":
      config.mtu = value === "" ? null : parseMtu(value);
      return true;
    case "table":
      config.table = value === "" ? "auto" : parseTable(value);
      return true;
    case "saveconfig":
      config.saveConfig = parseBoolean(value);
      return true;
    default:
      return hookEntry(config, key, value);
  }
}

function hookEntry(config: InterfaceConfig, key: string, value: string): boolean {
  const hooks = { preup: config.preUp, postup: config.postUp, predown: config.preDown, postdown: config.postDown };
  if (!Object.hasOwn(hooks, key)) return false;
  if (value !== "") hooks[key as keyof typeof hooks].push(value);
  return true;
}

function listItems(value: string): string[] {
  return value.split(/[ \t\v\f\r,]+/).filter((item) => item !== "");
}

/** As wg-quick tells servers from search domains. */
function isServer(item: string): boolean {
  return /^[0-9.]+$/.test(item) || item.includes(":");
}

function parseMtu(value: string): number {
  const mtu = /^\d+$/.test(value) ? Number(value) : 0;
  if (mtu >= 1 && mtu <= GREATEST_MTU) return mtu;
  throw new ValueError(`MTU is not 1-65535: \`${value}'`);
}

function parseTable(value: string): string {
  const lower = value.toLowerCase();
  if (lower === "auto" || lower === "off") return lower;
  if (/^[A-Za-z0-9_.-]+$/.test(value)) return value;
  throw new ValueError(`Table is neither auto, off nor a routing table: \`${value}'`);
}

function parseBoolean(value: string): boolean {
  const lower = value.toLowerCase();
  if (lower === "true") return true;
  if (lower === "false") return false;
  throw new ValueError(`\`${value}' is neither true nor false`);
}
