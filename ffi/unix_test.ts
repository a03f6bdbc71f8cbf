import assert from "node:assert/strict";
import {
  EADDRINUSE,
  EAGAIN,
  ECONNREFUSED,
  EINVAL,
  ENAMETOOLONG,
  ENOENT,
  ENOTSOCK,
  EPIPE,
  SyscallError,
} from "./errno.ts";
import { close, duplicate, pipe, setNonBlocking } from "./file.ts";
import { POLLIN, PollSet } from "./poll.ts";
import { umask } from "./process.ts";
import { AF_INET, createSocket, SOCK_STREAM } from "./socket.ts";
import { countDescriptors } from "./testing.ts";
import { acceptUnix, adoptUnixListener, connectUnix, isUnixServed, listenUnix, receiveUnix, sendUnix } from "./unix.ts";

function withPath(f: (path: string) => void): void {
  const folder = Deno.makeTempDirSync();
  try {
    f(`${folder}/x.sock`);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

function hasErrno(number: number): (error: unknown) => boolean {
  return (error) => error instanceof SyscallError && error.errno === number;
}

Deno.test("a unix connection carries bytes both ways and ends", () => {
  withPath((path) => {
    const before = countDescriptors();
    const listener = listenUnix(path);
    assert.equal(acceptUnix(listener), -EAGAIN);
    const client = connectUnix(path);
    const server = acceptUnix(listener);
    assert.ok(server >= 0);
    const into = new Uint8Array(100);
    assert.equal(receiveUnix(server, into), -EAGAIN);
    assert.equal(sendUnix(client, new TextEncoder().encode("get=1\n\n")), 7);
    assert.equal(receiveUnix(server, into), 7);
    assert.equal(new TextDecoder().decode(into.subarray(0, 7)), "get=1\n\n");
    assert.equal(sendUnix(server, Uint8Array.of(1, 2)), 2);
    assert.equal(receiveUnix(client, into), 2);
    close(client);
    assert.equal(receiveUnix(server, into), 0);
    assert.equal(sendUnix(server, Uint8Array.of(1)), -EPIPE);
    close(server);
    close(listener);
    assert.equal(countDescriptors(), before);
  });
});

Deno.test("sendUnix() takes what fits and then says -EAGAIN", () => {
  withPath((path) => {
    const listener = listenUnix(path);
    const client = connectUnix(path);
    const server = acceptUnix(listener);
    const chunk = new Uint8Array(1 << 20);
    let sent = 0;
    let result = sendUnix(client, chunk);
    for (; result > 0; result = sendUnix(client, chunk)) sent += result;
    assert.equal(result, -EAGAIN);
    let received = 0;
    for (let got = receiveUnix(server, chunk); got > 0; got = receiveUnix(server, chunk)) received += got;
    assert.equal(received, sent);
    for (const fd of [client, server, listener]) close(fd);
  });
});

Deno.test("a listener is readable while a connection waits", () => {
  withPath((path) => {
    const listener = listenUnix(path);
    const poll = new PollSet();
    poll.add(listener, POLLIN);
    assert.equal(poll.wait(0), 0);
    const client = connectUnix(path);
    assert.equal(poll.wait(0), 1);
    close(client);
    close(listener);
  });
});

Deno.test("listenUnix() obeys the umask and refuses a path that exists", () => {
  withPath((path) => {
    const mask = umask(0o077);
    const listener = listenUnix(path);
    umask(mask);
    assert.equal(Deno.lstatSync(path).mode! & 0o777, 0o700);
    const before = countDescriptors();
    assert.throws(() => listenUnix(path), hasErrno(EADDRINUSE));
    assert.equal(countDescriptors(), before);
    close(listener);
  });
});

Deno.test("isUnixServed() tells a living socket from a stale one", () => {
  withPath((path) => {
    assert.throws(() => isUnixServed(path), hasErrno(ENOENT));
    const listener = listenUnix(path, 1);
    assert.equal(isUnixServed(path), true);
    const waiting = connectUnix(path);
    assert.throws(() => connectUnix(path), hasErrno(EAGAIN), "the queue must be full");
    assert.equal(isUnixServed(path), true);
    close(waiting);
    close(listener);
    assert.throws(() => connectUnix(path), hasErrno(ECONNREFUSED));
    assert.equal(isUnixServed(path), false);
  });
});

Deno.test("adoptUnixListener() takes a listener and nothing else", () => {
  withPath((path) => {
    const listener = listenUnix(path);
    const inherited = duplicate(listener);
    setNonBlocking(inherited, false);
    adoptUnixListener(inherited);
    assert.equal(acceptUnix(inherited), -EAGAIN);
    const client = connectUnix(path);
    const { readFd, writeFd } = pipe();
    const internet = createSocket(AF_INET, SOCK_STREAM);
    assert.throws(() => adoptUnixListener(client), hasErrno(EINVAL));
    assert.throws(() => adoptUnixListener(internet), hasErrno(EINVAL));
    assert.throws(() => adoptUnixListener(readFd), hasErrno(ENOTSOCK));
    for (const fd of [listener, inherited, client, readFd, writeFd, internet]) close(fd);
  });
});

Deno.test("a path that does not fit is refused", () => {
  assert.throws(() => listenUnix(`/tmp/${"x".repeat(103)}`), hasErrno(ENAMETOOLONG));
  assert.throws(() => connectUnix(""), hasErrno(EINVAL));
  withPath((path) => {
    const longest = path.padEnd(107, "x");
    const listener = listenUnix(longest);
    assert.equal(isUnixServed(longest), true);
    close(listener);
  });
});
