/**
 * From the statements of a set request to commands for the data plane, line by line as wireguard-go applies them, on
 * a model that is committed once the commands took effect and rolled back otherwise.
 *
 * What the lines mean (where wireguard-go and the kernel differ, the kernel): the same private key again changes
 * nothing; a peer with our own public key is ignored, lines and all; a new private key removes the peer that has its
 * public key; the same port again does not bind again, but port 0 always chooses a new one; an allowed IP moves from
 * whoever had it.
 */
import { equalConstantTime, isZero } from "../crypto/bytes.ts";
import { clampPrivateKey } from "../crypto/keys.ts";
import type { CryptoSuite } from "../crypto/suite.ts";
import { parseEndpoint } from "../tunnel/address_text.ts";
import { commandList } from "../tunnel/command_list.ts";
import type { DeviceCommand, PlaneCommand } from "../tunnel/commands.ts";
import type { PackedList } from "../tunnel/packed_list.ts";
import type { Model, PeerModel } from "./configuration_model.ts";
import { MAX_DNS_LINES, MAX_NAMES } from "./uapi_extension.ts";
import { E2BIG, ENOSPC, type SetStatement } from "./uapi_request.ts";

/** What must be applied for the changed model to be true. It has copies of secret keys, to be cleared. */
export interface Plan {
  /** 0, or positive: then nothing may be applied. */
  readonly errno: number;
  readonly plane: PlaneCommand[];
  readonly device: PackedList<DeviceCommand>;
  /** Names of peers, or how they are looked up, are others now. */
  readonly changesNames: boolean;
}

/**
 * Changes the model as the statements say; the caller commits it or rolls it back.
 *
 * @param listenPort the port in use now, 0 if unknown
 */
export function planSet(
  statements: Iterable<SetStatement>,
  model: Model,
  suite: CryptoSuite,
  listenPort: number,
): Plan {
  const planner = new Planner(model, suite);
  const { device } = planner;
  const refused = (errno: number): Plan => ({ errno, plane: [], device, changesNames: false });
  for (const statement of statements) if (!planner.apply(statement)) return refused(planner.fault);
  if (!planner.endBlock()) return refused(planner.fault);
  return { errno: 0, plane: planner.planeCommands(listenPort), device, changesNames: planner.changesNames };
}

class Planner {
  /** Why something was refused. */
  fault = ENOSPC;
  changesNames = false;
  readonly device: PackedList<DeviceCommand> = commandList();
  readonly #model: Model;
  readonly #suite: CryptoSuite;
  readonly #formerMark: number;
  #port = -1;
  /** The peer of the current block; null if it has none (yet), or is ignored. */
  #peer: PeerModel | null = null;
  /** Public key of the current block while its peer is to be created by the first line that needs it. */
  #wanted: Uint8Array | null = null;
  /** The current block created its peer. */
  #created = false;
  /** What the current block's peer was called before. */
  #formerNames: readonly string[] = [];

  constructor(model: Model, suite: CryptoSuite) {
    this.#model = model;
    this.#suite = suite;
    this.#formerMark = model.fwmark;
  }

  /** False when there is no room for a new peer, or for something of a peer. */
  apply(statement: SetStatement): boolean {
    switch (statement.key) {
      case "private_key":
        this.#privateKey(statement.value);
        return true;
      case "listen_port":
        this.#port = statement.value;
        return true;
      case "fwmark":
        this.#model.setFwmark(statement.value);
        return true;
      case "culvert_replace_dns":
        this.changesNames = true;
        this.#model.setDns([]);
        return true;
      case "culvert_dns":
        return this.#dnsLine(statement.value);
      case "replace_peers":
        for (const peer of [...this.#model.peers()]) this.#removePeer(peer);
        return true;
      case "public_key":
        return this.#beginBlock(statement.value);
      case "remove":
        if (this.#peer !== null) this.#removePeer(this.#peer);
        this.#ignoreBlock();
        return true;
      case "update_only":
        if (this.#created && this.#peer !== null) this.#removePeer(this.#peer);
        if (this.#created || this.#wanted !== null) this.#ignoreBlock();
        return true;
      default:
        if (!this.#createWanted()) return false;
        if (this.#peer === null) return true;
        if (statement.key === "culvert_endpoint") return this.#addName(this.#peer, statement.value);
        this.#peerLine(this.#peer, statement);
        return true;
    }
  }

  /** False when there is no slot for a new peer. */
  endBlock(): boolean {
    if (!this.#createWanted()) return false;
    if (this.#peer !== null) {
      this.#namePeer(this.#peer);
      this.device.push({ op: "peer-configured", peer: this.#peer.slot });
    }
    this.#peer = null;
    return true;
  }

  /** Of several lines with a port or mark, the last one counts. */
  planeCommands(listenPort: number): PlaneCommand[] {
    const commands: PlaneCommand[] = [];
    if (this.#port === 0 || (this.#port > 0 && this.#port !== listenPort)) {
      commands.push({ op: "listen-port", port: this.#port });
    }
    const mark = this.#model.fwmark;
    if (mark !== this.#formerMark) commands.push({ op: "fwmark", mark });
    return commands;
  }

  #privateKey(value: Uint8Array): void {
    const current = this.#model.privateKey;
    if (isZero(value)) {
      if (current === null) return;
      this.#model.setPrivateKey(null, null);
      this.device.push({ op: "private-key", key: null });
      return;
    }
    const key = value.slice();
    clampPrivateKey(key);
    if (current !== null && equalConstantTime(current, key)) {
      key.fill(0);
      return;
    }
    const publicKey = this.#suite.publicKey(key);
    const ourselves = this.#model.findPeer(publicKey);
    if (ourselves !== undefined) this.#removePeer(ourselves);
    this.#model.setPrivateKey(key, publicKey);
    this.device.push({ op: "private-key", key });
  }

  #beginBlock(publicKey: Uint8Array): boolean {
    if (!this.endBlock()) return false;
    this.#ignoreBlock();
    const own = this.#model.publicKey;
    if (own !== null && equalConstantTime(own, publicKey)) return true;
    this.#peer = this.#model.findPeer(publicKey) ?? null;
    this.#formerNames = this.#peer?.names ?? [];
    if (this.#peer === null) this.#wanted = publicKey;
    return true;
  }

  #ignoreBlock(): void {
    this.#peer = null;
    this.#wanted = null;
    this.#created = false;
  }

  #createWanted(): boolean {
    if (this.#wanted === null) return true;
    this.#peer = this.#model.addPeer(this.#wanted);
    if (this.#peer === null) return false;
    this.device.push({ op: "add-peer", peer: this.#peer.slot, publicKey: this.#wanted });
    this.#wanted = null;
    this.#created = true;
    return true;
  }

  #dnsLine(line: string): boolean {
    const { dns } = this.#model;
    this.fault = E2BIG;
    this.changesNames = true;
    if (dns.length === MAX_DNS_LINES) return false;
    this.#model.setDns([...dns, line]);
    return true;
  }

  #clearNames(peer: PeerModel): void {
    if (peer.names.length > 0) this.#model.setNames(peer, []);
  }

  #addName(peer: PeerModel, name: string): boolean {
    if (peer.names.includes(name)) return true;
    this.fault = E2BIG;
    if (peer.names.length === MAX_NAMES) return false;
    this.#model.setNames(peer, [...peer.names, name]);
    return true;
  }

  /** The device is told of names that are addresses at once; what is looked up follows later. */
  #namePeer({ slot, names }: PeerModel): void {
    const former = this.#formerNames;
    if (names !== former && names.length + former.length > 0) this.changesNames = true;
    if (names.length === former.length && names.every((name, i) => name === former[i])) return;
    if (names.length === 0) return this.device.push({ op: "forget-candidates", peer: slot });
    this.device.push({ op: "begin-candidates", peer: slot });
    for (const name of names) {
      const record = parseEndpoint(name);
      if (record !== null) this.device.push({ op: "candidate", peer: slot, record });
    }
    this.device.push({ op: "end-candidates", peer: slot, isSilent: false });
  }

  #removePeer(peer: PeerModel): void {
    if (peer.names.length > 0) this.changesNames = true;
    this.#model.removePeer(peer);
    this.device.push({ op: "remove-peer", peer: peer.slot });
  }

  #peerLine(peer: PeerModel, statement: SetStatement): void {
    switch (statement.key) {
      case "preshared_key":
        this.#presharedKey(peer, statement.value);
        break;
      case "endpoint":
        this.#clearNames(peer);
        this.device.push({ op: "endpoint", peer: peer.slot, record: statement.value });
        break;
      case "culvert_replace_endpoints":
        this.#clearNames(peer);
        break;
      case "persistent_keepalive_interval":
        if (peer.keepalive === statement.value) break;
        this.#model.setKeepalive(peer, statement.value);
        this.device.push({ op: "keepalive", peer: peer.slot, seconds: statement.value });
        break;
      case "replace_allowed_ips":
        if (!this.#model.hasAllowedIps(peer)) break;
        this.#model.clearAllowedIps(peer);
        this.device.push({ op: "clear-allowed-ips", peer: peer.slot });
        break;
      case "allowed_ip": {
        const { address, cidr, remove } = statement;
        const model = this.#model;
        const changed = remove ? model.removeAllowedIp(peer, address, cidr) : model.addAllowedIp(peer, address, cidr);
        const op = remove ? "remove-allowed-ip" : "allowed-ip";
        if (changed) this.device.push({ op, peer: peer.slot, address, cidr });
        break;
      }
    }
  }

  #presharedKey(peer: PeerModel, value: Uint8Array): void {
    const key = isZero(value) ? null : value.slice();
    const current = peer.presharedKey;
    if (key === null && current === null) return;
    if (key !== null && current !== null && equalConstantTime(key, current)) {
      key.fill(0);
      return;
    }
    this.#model.setPresharedKey(peer, key);
    this.device.push({ op: "preshared-key", peer: peer.slot, key });
  }
}
