/**
 * The secrets of a handshake as lines that Wireshark reads (preference "WireGuard key log file").
 *
 * These lines open the traffic of the session they belong to: they exist only while the operator asks for them.
 * Spec: Wireshark, epan/dissectors/packet-wireguard.c.
 */
import { encodeBase64 } from "../crypto/encoding.ts";
import type { HandshakeSecrets } from "../tunnel/device.ts";

/** Four lines, without line ends. */
export function keyLogLines(secrets: HandshakeSecrets): string[] {
  return [
    `LOCAL_STATIC_PRIVATE_KEY = ${encodeBase64(secrets.staticPrivate)}`,
    `REMOTE_STATIC_PUBLIC_KEY = ${encodeBase64(secrets.remoteStatic)}`,
    `LOCAL_EPHEMERAL_PRIVATE_KEY = ${encodeBase64(secrets.ephemeralPrivate)}`,
    `PRESHARED_KEY = ${encodeBase64(secrets.presharedKey)}`,
  ];
}
