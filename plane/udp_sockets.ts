/** Where the batch carrier's sockets come from. */
import { closeUdpPair, enableGro, openUdpPair, setMark, type UdpPair } from "../ffi/udp.ts";

export const CLOSED: UdpPair = { fd4: -1, fd6: -1, port: 0 };

/** Takes sockets into use, in place of those before. */
export type UseSockets = (sockets: UdpPair) => void;

/** Calls as in UdpPort; `use` is called before the sockets used so far are closed. */
export interface UdpSockets {
  open(port: number, mark: number, use: UseSockets): void;
  setMark(mark: number): void;
  close(use: UseSockets): void;
}

/** One socket per family. */
export class OwnSockets implements UdpSockets {
  readonly #usesGro: boolean;
  #sockets = CLOSED;
  #mark = 0;

  /** @param usesGro let the kernel join datagrams */
  constructor(usesGro: boolean) {
    this.#usesGro = usesGro;
  }

  open(port: number, mark: number, use: UseSockets): void {
    const sockets = openUdpPair(port, { mark });
    if (this.#usesGro) enableGroOf(sockets);
    this.#replace(sockets, use);
    this.#mark = mark;
  }

  setMark(mark: number): void {
    markAll([this.#sockets], this.#mark, mark);
    this.#mark = mark;
  }

  close(use: UseSockets): void {
    this.#replace(CLOSED, use);
  }

  #replace(sockets: UdpPair, use: UseSockets): void {
    use(sockets);
    closeUdpPair(this.#sockets);
    this.#sockets = sockets;
  }
}

export function enableGroOf({ fd4, fd6 }: UdpPair): void {
  for (const fd of [fd4, fd6]) if (fd >= 0) enableGro(fd);
}

/** Marks all sockets or, when one cannot be marked, none. @throws {SyscallError} */
export function markAll(pairs: readonly UdpPair[], old: number, mark: number): void {
  const descriptors = pairs.flatMap(({ fd4, fd6 }) => [fd4, fd6]).filter((fd) => fd >= 0);
  for (const [i, fd] of descriptors.entries()) {
    try {
      setMark(fd, mark);
    } catch (error) {
      for (const marked of descriptors.slice(0, i)) setMark(marked, old);
      throw error;
    }
  }
}
