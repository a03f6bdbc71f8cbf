/**
 * Is the TUN interface up, what is its MTU, does it still exist; also after someone moved it to another network
 * namespace, which is where wg-quick users put it.
 *
 * Up, down and gone come from the TUN descriptor alone, which tells the truth from any namespace: poll reports POLLOUT
 * only while the interface is up, and POLLERR once it is deleted. Going down wakes nobody, so it is sampled; netlink
 * events make it prompt. The MTU comes from netlink, from the namespace that the interface is in if we may enter it,
 * else the last one known stays.
 */
import { SyscallError } from "../ffi/errno.ts";
import { close } from "../ffi/file.ts";
import { getLink, listenLinks, readLinkEvents } from "../ffi/link.ts";
import { inNamespace } from "../ffi/namespace.ts";
import { type NetlinkListener, openNetlink } from "../ffi/netlink.ts";
import { POLLERR, POLLHUP, POLLNVAL, POLLOUT, PollSet } from "../ffi/poll.ts";
import { tunName, tunNetworkNamespace } from "../ffi/tun.ts";

/** How often the owner should call `sample`, in milliseconds. */
export const LINK_SAMPLE_INTERVAL = 1_000;

const GONE = POLLERR | POLLHUP | POLLNVAL;
const NO_LINK = -1;

export class LinkWatch {
  isUp = false;
  isGone = false;
  mtu: number;

  readonly #tunDescriptor: number;
  readonly #info: (text: string) => void;
  readonly #tun = new PollSet(1);
  readonly #slot: number;
  #listener: NetlinkListener | null = null;
  #index = NO_LINK;

  /**
   * @param mtu assumed until the interface's own is known
   * @param info told when the MTU cannot be watched
   */
  constructor(tunDescriptor: number, mtu: number, info: (text: string) => void) {
    this.#tunDescriptor = tunDescriptor;
    this.mtu = mtu;
    this.#info = info;
    this.#slot = this.#tun.add(tunDescriptor, POLLOUT);
    this.#follow(true);
    this.sample();
  }

  /** To be polled for input, then `readEvents`; -1 while there is nothing to poll. It changes when the interface moves. */
  get descriptor(): number {
    return this.#listener?.fd ?? -1;
  }

  /** Asks the descriptor. */
  sample(): void {
    if (this.isGone) return;
    this.#tun.wait(0);
    const found = this.#tun.revents(this.#slot);
    const wasUp = this.isUp;
    this.isGone = (found & GONE) !== 0;
    this.isUp = !this.isGone && (found & POLLOUT) !== 0;
    // A move takes the interface down; when it comes up, perhaps it is where we can see it.
    if (this.isUp && !wasUp && this.#listener === null) this.#follow(false);
  }

  /** Takes what netlink has to say. */
  readEvents(): void {
    if (this.#listener === null) return;
    let isLost = false;
    for (const event of readLinkEvents(this.#listener)) {
      if (event.kind === "overrun") isLost = true;
      else if (event.link.index !== this.#index) continue;
      else if (event.kind === "gone") isLost = true;
      else if (event.link.mtu > 0) this.mtu = event.link.mtu;
    }
    this.sample();
    if (isLost && !this.isGone) this.#follow(false);
  }

  close(): void {
    this.#listener?.close();
    this.#listener = null;
    this.#index = NO_LINK;
  }

  /**
   * Listens where the interface is now.
   *
   * @param mayBeHere it has not moved since it was opened: our own namespace will do if no other can be entered
   */
  #follow(mayBeHere: boolean): void {
    this.close();
    try {
      this.#listenThere();
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      if (mayBeHere) this.#listenHere();
      else this.#cannotWatch(error);
    }
  }

  #listenThere(): void {
    const namespace = tunNetworkNamespace(this.#tunDescriptor);
    try {
      inNamespace(namespace, () => this.#listen());
    } finally {
      close(namespace);
    }
  }

  #listenHere(): void {
    try {
      this.#listen();
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      this.#cannotWatch(error);
    }
  }

  #cannotWatch({ message }: SyscallError): void {
    this.#info(`Cannot watch the interface by netlink, MTU stays ${this.mtu}: ${message}`);
  }

  /** In the calling thread's namespace. */
  #listen(): void {
    const listener = listenLinks();
    try {
      // Asked after listening began, so that no change falls in between.
      const netlink = openNetlink();
      try {
        const link = getLink(netlink, tunName(this.#tunDescriptor));
        if (link === null) return listener.close();
        this.#index = link.index;
        if (link.mtu > 0) this.mtu = link.mtu;
      } finally {
        netlink.close();
      }
    } catch (error) {
      listener.close();
      throw error;
    }
    this.#listener = listener;
  }
}
