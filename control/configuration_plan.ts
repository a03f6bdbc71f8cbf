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
import { commandList } from "../tunnel/command_list.ts";
import type { DeviceCommand, PlaneCommand } from "../tunnel/commands.ts";
import type { PackedList } from "../tunnel/packed_list.ts";
import type { Model, PeerModel } from "./configuration_model.ts";
import { ENOSPC, type SetStatement } from "./uapi_request.ts";

/** What must be applied for the changed model to be true. It has copies of secret keys, to be cleared. */
export interface Plan {
  /** 0, or positive: then nothing may be applied. */
  readonly errno: number;
  readonly plane: PlaneCommand[];
  readonly device: PackedList<DeviceCommand>;
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
  for (const statement of statements) {
    if (!planner.apply(statement)) return { errno: ENOSPC, plane: [], device };
  }
  if (!planner.endBlock()) return { errno: ENOSPC, plane: [], device };
  return { errno: 0, plane: planner.planeCommands(listenPort), device };
}

class Planner {
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

  constructor(model: Model, suite: CryptoSuite) {
    this.#model = model;
    this.#suite = suite;
    this.#formerMark = model.fwmark;
  }

  /** False when there is no slot for a new peer. */
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
        if (this.#peer !== null) this.#peerLine(this.#peer, statement);
        return true;
    }
  }

  /** False when there is no slot for a new peer. */
  endBlock(): boolean {
    if (!this.#createWanted()) return false;
    if (this.#peer !== null) this.device.push({ op: "peer-configured", peer: this.#peer.slot });
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

  #removePeer(peer: PeerModel): void {
    this.#model.removePeer(peer);
    this.device.push({ op: "remove-peer", peer: peer.slot });
  }

  #peerLine(peer: PeerModel, statement: SetStatement): void {
    switch (statement.key) {
      case "preshared_key":
        this.#presharedKey(peer, statement.value);
        break;
      case "endpoint":
        this.device.push({ op: "endpoint", peer: peer.slot, record: statement.value });
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
