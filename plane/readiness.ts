/**
 * What the worker waits for: the TUN device, the sockets, netlink, the wake-up from the main thread, and the clock.
 *
 * The clock is a poll timeout and a timer on CLOCK_BOOTTIME, because a timeout stands still during a suspend. The timer
 * is only set when it would fire too late: firing early is harmless, and setting it is a system call.
 */
import { close } from "../ffi/file.ts";
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, PollSet } from "../ffi/poll.ts";
import { armBootTimer, createBootTimer, drainBootTimer } from "../ffi/timerfd.ts";

const FAULT = POLLERR | POLLHUP | POLLNVAL;
const INPUT = POLLIN | FAULT;

export class Readiness {
  readonly #set = new PollSet(6);
  readonly #timer: number;
  readonly #timerSlot: number;
  readonly #tunSlot: number;
  readonly #controlSlot: number;
  readonly #linkSlot: number;
  readonly #slot4: number;
  readonly #slot6: number;
  readonly #tunDescriptor: number;
  #armedAt = Infinity;

  constructor(tunDescriptor: number, controlDescriptor: number) {
    this.#tunDescriptor = tunDescriptor;
    this.#timer = createBootTimer();
    this.#timerSlot = this.#set.add(this.#timer, POLLIN);
    this.#tunSlot = this.#set.add(tunDescriptor, POLLIN);
    this.#controlSlot = this.#set.add(controlDescriptor, POLLIN);
    // A slot without a descriptor is free for the next `add`, so these three are emptied only when all are taken;
    // `watchLink` and `watchNetwork` fill them.
    this.#linkSlot = this.#set.add(this.#timer, POLLIN);
    this.#slot4 = this.#set.add(this.#timer, POLLIN);
    this.#slot6 = this.#set.add(this.#timer, POLLIN);
    for (const slot of [this.#linkSlot, this.#slot4, this.#slot6]) this.#set.setDescriptor(slot, -1);
  }

  /** @param descriptor netlink's, -1 for none @param isUp while down, coming up is waited for */
  watchLink(descriptor: number, isUp: boolean): void {
    this.#set.setDescriptor(this.#linkSlot, descriptor);
    this.#set.setDescriptor(this.#tunSlot, this.#tunDescriptor);
    this.#set.setEvents(this.#tunSlot, isUp ? POLLIN : POLLIN | POLLOUT);
  }

  watchNetwork(descriptor4: number, descriptor6: number): void {
    this.#set.setDescriptor(this.#slot4, descriptor4);
    this.#set.setDescriptor(this.#slot6, descriptor6);
  }

  /** Stops waiting for the TUN device until the next `watchLink`: it only fails. */
  ignoreTunnel(): void {
    this.#set.setDescriptor(this.#tunSlot, -1);
  }

  /** Blocks until something is ready or `wake` is reached. */
  wait(wake: number, now: number): void {
    if (wake > now) this.arm(wake, now);
    this.#set.wait(wake - now);
    this.#drainTimer();
  }

  /** The same without blocking the thread; `arm` can bring its end forward. */
  async waitAsync(wake: number, now: number): Promise<void> {
    if (wake > now) this.arm(wake, now);
    await this.#set.waitAsync(wake - now);
    this.#drainTimer();
  }

  /** Makes sure that the timer fires at `wake` or before. */
  arm(wake: number, now: number): void {
    const willFireInTime = this.#armedAt > now && this.#armedAt <= wake;
    if (willFireInTime) return;
    armBootTimer(this.#timer, wake);
    this.#armedAt = wake;
  }

  /** The TUN device has a packet, or came up, or is gone. */
  get hasTunnel(): boolean {
    return this.#set.revents(this.#tunSlot) !== 0;
  }

  /** More than a packet: look at the link. */
  get hasTunnelNews(): boolean {
    return (this.#set.revents(this.#tunSlot) & (FAULT | POLLOUT)) !== 0;
  }

  get hasControl(): boolean {
    return this.#set.revents(this.#controlSlot) !== 0;
  }

  get hasLinkNews(): boolean {
    return this.#set.revents(this.#linkSlot) !== 0;
  }

  get hasNetwork4(): boolean {
    return (this.#set.revents(this.#slot4) & INPUT) !== 0;
  }

  get hasNetwork6(): boolean {
    return (this.#set.revents(this.#slot6) & INPUT) !== 0;
  }

  close(): void {
    close(this.#timer);
  }

  #drainTimer(): void {
    if (this.#set.revents(this.#timerSlot) === 0) return;
    drainBootTimer(this.#timer);
    this.#armedAt = Infinity;
  }
}
