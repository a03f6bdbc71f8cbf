import assert from "node:assert/strict";
import { bootMilliseconds } from "./clock.ts";
import { createEventfd, drainEventfd, signalEventfd } from "./eventfd.ts";
import { close, pipe, write } from "./file.ts";
import { POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, PollSet } from "./poll.ts";
import { runScript } from "./testing.ts";
import { armBootTimer, createBootTimer, drainBootTimer } from "./timerfd.ts";

async function withDescriptor(fd: number, f: (fd: number) => void | Promise<void>): Promise<void> {
  try {
    await f(fd);
  } finally {
    close(fd);
  }
}

Deno.test("PollSet.wait() reports readiness per slot", () => {
  const { readFd, writeFd } = pipe();
  const poll = new PollSet();
  const reading = poll.add(readFd, POLLIN);
  const writing = poll.add(writeFd, POLLOUT);
  assert.equal(poll.wait(0), 1);
  assert.equal(poll.revents(reading), 0);
  assert.equal(poll.revents(writing), POLLOUT);
  write(writeFd, Uint8Array.of(1));
  assert.equal(poll.wait(Infinity), 2);
  assert.equal(poll.revents(reading), POLLIN);
  poll.setEvents(writing, 0);
  assert.equal(poll.wait(0), 1);
  assert.equal(poll.revents(writing), 0);
  close(readFd);
  poll.remove(reading);
  poll.wait(0);
  assert.equal(poll.revents(writing), POLLERR);
  close(writeFd);
  poll.wait(0);
  assert.equal(poll.revents(writing), POLLNVAL);
});

Deno.test("PollSet.wait() reports the end of a pipe", () => {
  const { readFd, writeFd } = pipe();
  const poll = new PollSet();
  const slot = poll.add(readFd, POLLIN);
  close(writeFd);
  assert.equal(poll.wait(0), 1);
  assert.equal(poll.revents(slot), POLLHUP);
  close(readFd);
});

Deno.test("PollSet.wait() ends after the time given, never before", () => {
  const poll = new PollSet();
  for (const timeout of [0, -5, 0.2, 20.5]) {
    const start = bootMilliseconds();
    assert.equal(poll.wait(timeout), 0);
    const spent = bootMilliseconds() - start;
    assert.ok(spent >= timeout && spent < timeout + 200, `${timeout}: ${spent}`);
  }
});

Deno.test("PollSet gives removed slots out again and refuses more than it holds", async () => {
  await withDescriptor(createEventfd(), (fd) => {
    const poll = new PollSet(2);
    const first = poll.add(fd, POLLIN);
    assert.notEqual(poll.add(fd, POLLIN), first);
    assert.throws(() => poll.add(fd, POLLIN), RangeError);
    poll.remove(first);
    assert.equal(poll.wait(0), 0);
    assert.equal(poll.add(fd, POLLOUT), first);
    assert.equal(poll.wait(0), 1);
  });
});

Deno.test("PollSet.setDescriptor() replaces, and a negative one is silent", async () => {
  await withDescriptor(createEventfd(), (fd) => {
    const poll = new PollSet();
    const slot = poll.add(-1, POLLOUT);
    assert.equal(poll.wait(0), 0);
    poll.setDescriptor(slot, fd);
    assert.equal(poll.wait(0), 1);
  });
});

Deno.test("PollSet.wait() returns 0 when a signal interrupts it, without old revents", async () => {
  // In a process of its own, whose main thread is the one that signals arrive at.
  const { output } = await runScript(`
    import { createEventfd, drainEventfd, signalEventfd } from "FFI/eventfd.ts";
    import { POLLIN, PollSet } from "FFI/poll.ts";
    Deno.addSignalListener("SIGUSR2", () => {});
    const poll = new PollSet();
    const fd = createEventfd();
    const slot = poll.add(fd, POLLIN);
    signalEventfd(fd);
    console.log(poll.wait(0), poll.revents(slot));
    drainEventfd(fd);
    new Deno.Command("sh", { args: ["-c", "sleep 0.2; kill -USR2 " + Deno.pid] }).spawn().unref();
    const start = performance.now();
    console.log(poll.wait(5_000), poll.revents(slot), performance.now() - start < 4_000);`);
  assert.equal(output, "1 1\n0 0 true\n");
});

Deno.test("PollSet.waitAsync() leaves the event loop running and can be woken", async () => {
  await withDescriptor(createEventfd(), async (fd) => {
    const poll = new PollSet();
    const slot = poll.add(fd, POLLIN);
    let ticks = 0;
    const waiting = poll.waitAsync(Infinity);
    for (; ticks < 3; ticks++) await new Promise((resolve) => setTimeout(resolve, 1));
    signalEventfd(fd);
    assert.equal(await waiting, 1);
    assert.equal(poll.revents(slot), POLLIN);
    assert.equal(drainEventfd(fd), true);
    assert.equal(await poll.waitAsync(1), 0);
  });
});

Deno.test("signalEventfd() and drainEventfd() keep step", async () => {
  await withDescriptor(createEventfd(), (fd) => {
    assert.equal(drainEventfd(fd), false);
    for (let i = 0; i < 10_000; i++) {
      signalEventfd(fd);
      signalEventfd(fd);
      assert.equal(drainEventfd(fd), true);
      assert.equal(drainEventfd(fd), false);
    }
  });
  assert.throws(() => signalEventfd(-1), /EBADF/);
  assert.throws(() => drainEventfd(-1), /EBADF/);
});

Deno.test("armBootTimer() expires at the time of the boot clock", async () => {
  await withDescriptor(createBootTimer(), (fd) => {
    const poll = new PollSet();
    poll.add(fd, POLLIN);
    const at = bootMilliseconds() + 30.25;
    armBootTimer(fd, at);
    assert.equal(poll.wait(1_000), 1);
    const now = bootMilliseconds();
    assert.ok(now >= at - 0.001 && now < at + 200, `${now - at}`);
    assert.equal(drainBootTimer(fd), true);
    assert.equal(drainBootTimer(fd), false);
    assert.equal(poll.wait(0), 0);
  });
});

Deno.test("armBootTimer() with a past time expires at once, with Infinity never", async () => {
  await withDescriptor(createBootTimer(), (fd) => {
    const poll = new PollSet();
    poll.add(fd, POLLIN);
    for (const past of [-1, 0, 1, bootMilliseconds() - 1_000]) {
      armBootTimer(fd, past);
      assert.equal(poll.wait(1_000), 1);
      assert.equal(drainBootTimer(fd), true);
    }
    armBootTimer(fd, bootMilliseconds() + 5);
    armBootTimer(fd, Infinity);
    assert.equal(poll.wait(20), 0);
    armBootTimer(fd, 2 ** 33 * 1000);
    assert.equal(poll.wait(0), 0);
  });
});
