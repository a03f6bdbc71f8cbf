/**
 * culvert as a library: WireGuard as a device that any Deno program can drive, and everything the `culvert` program is
 * made of.
 *
 * - `Device` is the protocol, sans-I/O: packets, datagrams and the time go in and out, nothing else happens.
 * - `DataPlane` drives a device between a TUN interface and the network, in a worker of its own.
 * - `Configuration` and `UapiServer` make a data plane answer to `wg`; `getDevice` and `setDevice` talk to running
 *   interfaces, ours or others'.
 *
 * @example Keys, as `wg` writes them
 * ```ts
 * import assert from "node:assert/strict";
 * import { decodeKeyBase64, encodeBase64, generatePrivateKey, publicKey } from "./mod.ts";
 *
 * const privateKey = generatePrivateKey();
 * const text = encodeBase64(publicKey(privateKey));
 * assert.equal(decodeKeyBase64(text)?.length, 32);
 * ```
 *
 * @example A tunnel in memory: two devices, one packet
 * ```ts
 * import assert from "node:assert/strict";
 * import { Device, DeviceTables, ENGINE_BYTES, endpointRecord, generatePrivateKey, publicKey, realSuite } from "./mod.ts";
 *
 * const capacity = { peers: 1, keypairs: 4 };
 * const RECEIVE = 4096; // Offsets in a device's memory, whose start is the engine's and the device's own.
 * const SEND = 8192;
 *
 * class Node {
 *   readonly memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
 *   readonly bytes = new Uint8Array(this.memory.buffer);
 *   readonly tables = DeviceTables.create(capacity);
 *   readonly privateKey = generatePrivateKey();
 *   readonly datagrams: Uint8Array[] = [];
 *   readonly packets: Uint8Array[] = [];
 *   readonly device = new Device({
 *     suite: realSuite,
 *     memory: this.memory,
 *     aead: realSuite.packetAead(this.memory),
 *     scratch: ENGINE_BYTES,
 *     tables: this.tables,
 *     random: (out) => void crypto.getRandomValues(out as Uint8Array<ArrayBuffer>),
 *     wallClock: Date.now,
 *     network: {
 *       reserve: () => SEND,
 *       commit: (length) => void this.datagrams.push(this.bytes.slice(SEND, SEND + length)),
 *     },
 *     tunnel: { deliver: (at, length) => void this.packets.push(this.bytes.slice(at, at + length)) },
 *   });
 *
 *   connect(other: Node): void {
 *     const everything = new Uint8Array(4);
 *     this.device.up(0);
 *     this.device.apply({ op: "private-key", key: this.privateKey }, 0);
 *     this.device.apply({ op: "add-peer", peer: 0, publicKey: publicKey(other.privateKey) }, 0);
 *     this.device.apply({ op: "endpoint", peer: 0, record: endpointRecord(Uint8Array.of(192, 0, 2, 1), 51820) }, 0);
 *     this.device.apply({ op: "allowed-ip", peer: 0, address: everything, cidr: 0 }, 0);
 *     this.device.apply({ op: "peer-configured", peer: 0 }, 0);
 *   }
 *
 *   receive(datagram: Uint8Array, now: number): void {
 *     const sender = capacity.peers; // The first endpoint slot that belongs to no peer.
 *     this.tables.endpoints.set(endpointRecord(Uint8Array.of(192, 0, 2, 2), 51820), sender * 48);
 *     this.bytes.set(datagram, RECEIVE);
 *     this.device.receive(RECEIVE, datagram.length, sender, now);
 *     this.device.processHandshakes(1, now);
 *   }
 * }
 *
 * const [alice, bob] = [new Node(), new Node()];
 * alice.connect(bob);
 * bob.connect(alice);
 *
 * const packet = new Uint8Array(20); // An IPv4 header, 10.0.0.1 → 10.0.0.2, and no payload.
 * packet.set([0x45, 0, 0, 20]);
 * packet.set([10, 0, 0, 1, 10, 0, 0, 2], 12);
 * alice.bytes.set(packet, RECEIVE);
 * alice.device.send(RECEIVE, packet.length, 0);
 *
 * // The initiation goes out, the response comes back, and then the packet that waited for them.
 * while (alice.datagrams.length + bob.datagrams.length > 0) {
 *   for (const datagram of alice.datagrams.splice(0)) bob.receive(datagram, 1);
 *   for (const datagram of bob.datagrams.splice(0)) alice.receive(datagram, 1);
 * }
 * assert.deepEqual(bob.packets, [packet]);
 * ```
 *
 * @example An interface of this host that answers to `wg` (needs root and --allow-ffi)
 * ```ts
 * import { Configuration, createInterface, DataPlane, realSuite, UapiServer, UapiSocket } from "./mod.ts";
 *
 * async function serve(name: string): Promise<void> {
 *   const log = { error: console.error, info: console.info, debug: () => {} };
 *   const { fd, hasVnetHeader } = createInterface(name);
 *   const target = await DataPlane.start({ tunFd: fd, hasVnetHeader, interfaceName: name, carrier: "auto", log });
 *   const configuration = new Configuration({ suite: realSuite, target, log });
 *   new UapiServer(await UapiSocket.bind(name), configuration, { log });
 * }
 * ```
 *
 * @module
 */

// The protocol.
export { Device, DEVICE_SCRATCH_BYTES, type DeviceOptions, type DeviceStats } from "./tunnel/device.ts";
export type { DeviceCommand, PlaneCommand } from "./tunnel/commands.ts";
export { ENDPOINT_BYTES, endpointRecord } from "./tunnel/endpoint.ts";
export { DEFAULT_MTU } from "./tunnel/limits.ts";
export type { DatagramSink, PacketSink } from "./tunnel/ports.ts";
export { REASON_NAMES } from "./tunnel/reasons.ts";
export { type Capacity, DEFAULT_CAPACITY, DeviceTables, SCRATCH_ENDPOINTS } from "./tunnel/tables.ts";
export {
  formatAddress,
  formatEndpoint,
  parseAddress,
  parseEndpoint,
  parseHostPort,
  parsePrefix,
} from "./tunnel/address_text.ts";

// Cryptography and keys.
export { type Aead, ENGINE_BYTES } from "./crypto/aead.ts";
export type { CryptoSuite } from "./crypto/suite.ts";
export { decodeHex, decodeKeyBase64, encodeBase64, encodeHex } from "./crypto/encoding.ts";
export { realSuite } from "./crypto/real_suite.ts";
export { publicKey } from "./crypto/x25519.ts";
export { generatePresharedKey, generatePrivateKey } from "./host/keys.ts";

// The data plane.
export { DataPlane, type DataPlaneOptions, defaultThreads } from "./plane/data_plane.ts";
export { ENGINE_NAMES, MAX_THREADS } from "./plane/choices.ts";
export { RestartLimit } from "./plane/restart_limit.ts";
export { type PlaneRecovery, SupervisedPlane } from "./plane/supervised_plane.ts";
export { v8Flags, wantedV8Flags } from "./plane/v8_flags.ts";

// Control.
export {
  Configuration,
  type ConfigurationOptions,
  type ConfigurationTarget,
  type TargetRecovery,
} from "./control/configuration.ts";
export { releaseFreeMemory } from "./control/free_memory.ts";
export { EndpointKeeper, type EndpointKeeperOptions } from "./control/endpoint_keeper.ts";
export { announcePath } from "./control/path_change.ts";
export type { LookupResult } from "./control/watched_host.ts";
export { interfaceIndex } from "./control/interface_index.ts";
export { SocketFile, type SocketWatch } from "./control/socket_file.ts";
export { getDevice, listInterfaces, setDevice, UapiError } from "./control/uapi_client.ts";
export { DescriptorListener } from "./control/uapi_descriptor.ts";
export type { SetStatement } from "./control/uapi_request.ts";
export {
  type UapiConnection,
  type UapiHandler,
  type UapiListener,
  UapiServer,
  type UapiServerOptions,
} from "./control/uapi_server.ts";
export { UapiSocket, uapiSocketPath } from "./control/uapi_socket.ts";
export { type DeviceStatus, type PeerStatus, wipeStatus } from "./control/uapi_status.ts";

// The host.
export { bootMilliseconds } from "./host/clock.ts";
export { HostError } from "./host/host_error.ts";
export {
  adoptInterface,
  createInterface,
  releaseInterface,
  setUpLink,
  type TunnelInterface,
} from "./host/link_setup.ts";
export { NetworkWatch } from "./host/network_watch.ts";
export { SourceCheck } from "./host/source_check.ts";
export { type LookupOptions, Resolver, type ResolverOptions } from "./host/resolver.ts";
export {
  type BackgroundOptions,
  continueInBackground,
  hardenProcess,
  reportReady,
  restartWithV8Flags,
} from "./host/process.ts";
