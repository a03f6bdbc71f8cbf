/**
 * Tells when packets of this host may go another way than before: a link, an address or a route has come or gone. What
 * happens to our own interface does not count, nor what is only said again.
 */
import { createEventfd, signalEventfd } from "../ffi/eventfd.ts";
import { close } from "../ffi/file.ts";
import { IFF_LOWER_UP, IFF_RUNNING, IFF_UP, listLinks } from "../ffi/link.ts";
import type { NetlinkListener } from "../ffi/netlink.ts";
import { listenNetwork, type NetworkEvent, readNetworkEvents } from "../ffi/network_events.ts";
import { POLLIN, PollSet } from "../ffi/poll.ts";
import { linkIndex } from "./host_link.ts";
import { withNetlink } from "./routing.ts";

/** Changes come in groups, an address before its routes: they are told of together, this many milliseconds later. */
const SETTLING = 300;
/** A host that changes all the time is told of five times at once and then every ten seconds. */
const BURST = 5;
const REFILL = 10_000;

export class NetworkWatch {
  readonly #own: number;
  readonly #onChange: () => void;
  readonly #listener: NetlinkListener;
  readonly #end = createEventfd();
  readonly #set = new PollSet(2);
  readonly #running: Promise<void>;
  /** States that were told last: of links by index, of addresses by index and address. */
  readonly #states = new Map<string, number>();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #allowance = BURST;
  #refilledAt = performance.now();
  #isClosed = false;

  /** Watches from now on. @param interfaceName our own @throws {SyscallError} */
  constructor(interfaceName: string, onChange: () => void) {
    this.#own = linkIndex(interfaceName);
    this.#onChange = onChange;
    try {
      this.#listener = listenNetwork();
    } catch (error) {
      close(this.#end);
      throw error;
    }
    // Listening began before, so that no change falls in between.
    for (const { index, flags } of withNetlink(listLinks)) {
      this.#states.set(`link ${index}`, flags & (IFF_UP | IFF_RUNNING | IFF_LOWER_UP));
    }
    this.#set.add(this.#listener.fd, POLLIN);
    this.#set.add(this.#end, POLLIN);
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    signalEventfd(this.#end);
    await this.#running;
    this.#listener.close();
    close(this.#end);
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      await this.#set.waitAsync(Infinity);
      if (this.#isClosed) return;
      // All are looked at, for all of their states are to be known.
      const news = readNetworkEvents(this.#listener).filter((event) => this.#isNews(event));
      if (news.length > 0) this.#schedule();
    }
  }

  #isNews(event: NetworkEvent): boolean {
    if (event.kind === "overrun") return true;
    if (event.index !== 0 && event.index === this.#own) return false;
    if (event.kind === "route") return true;
    const key = event.kind === "link" ? `link ${event.index}` : `address ${event.index} ${event.address}`;
    const former = this.#states.get(key) ?? -1;
    if (event.state === -1) this.#states.delete(key);
    else this.#states.set(key, event.state);
    return former !== event.state;
  }

  #schedule(): void {
    if (this.#timer !== null) return;
    const now = performance.now();
    const refilled = Math.floor((now - this.#refilledAt) / REFILL);
    this.#allowance = Math.min(BURST, this.#allowance + refilled);
    this.#refilledAt += refilled * REFILL;
    const wait = this.#allowance > 0 ? SETTLING : Math.max(SETTLING, this.#refilledAt + REFILL - now);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#allowance = Math.max(0, this.#allowance - 1);
      this.#onChange();
    }, wait);
  }
}
