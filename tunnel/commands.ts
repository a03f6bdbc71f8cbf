/**
 * Changes to a device's configuration as plain data, so that they can cross a thread. Whoever owns the configuration
 * (the control side) chooses peer slots; commands apply in order, and a valid list cannot fail half-way.
 */

export type DeviceCommand =
  | { readonly op: "private-key"; readonly key: Uint8Array | null }
  | { readonly op: "add-peer"; readonly peer: number; readonly publicKey: Uint8Array }
  | { readonly op: "remove-peer"; readonly peer: number }
  | { readonly op: "preshared-key"; readonly peer: number; readonly key: Uint8Array | null }
  /** A 48-byte record of endpoint.ts. */
  | { readonly op: "endpoint"; readonly peer: number; readonly record: Uint8Array }
  | { readonly op: "keepalive"; readonly peer: number; readonly seconds: number }
  /** `address` has 4 or 16 bytes, host bits cleared. */
  | { readonly op: "allowed-ip"; readonly peer: number; readonly address: Uint8Array; readonly cidr: number }
  | { readonly op: "remove-allowed-ip"; readonly peer: number; readonly address: Uint8Array; readonly cidr: number }
  | { readonly op: "clear-allowed-ips"; readonly peer: number }
  /** End of a peer's block: start it, send the first keepalive, flush what is staged. */
  | { readonly op: "peer-configured"; readonly peer: number }
  /** The peer has names: a new list of candidates (candidates.ts) begins, empty until they are looked up. */
  | { readonly op: "begin-candidates"; readonly peer: number }
  /** A 48-byte record of endpoint.ts. */
  | { readonly op: "candidate"; readonly peer: number; readonly record: Uint8Array }
  /** The list is complete. If the peer has been silent, a handshake with all of them is to begin. */
  | { readonly op: "end-candidates"; readonly peer: number; readonly isSilent: boolean }
  /** The peer has no names any more. */
  | { readonly op: "forget-candidates"; readonly peer: number }
  /** The network around us has changed: a live session tells the peer where we are now, who has something to say calls. */
  | { readonly op: "path-changed"; readonly peer: number; readonly keepsSource: boolean };

/** What the data plane itself must do; applied, and able to fail, before any device command of the same request. */
export type PlaneCommand =
  /** 0 chooses a random port. The sockets are bound while the link is up; while it is down the number is kept. */
  | { readonly op: "listen-port"; readonly port: number }
  | { readonly op: "fwmark"; readonly mark: number };
