import assert from "node:assert/strict";
import { EAGAIN, EBADF, ENOENT, EPIPE, SyscallError } from "./errno.ts";
import {
  close,
  dup2,
  duplicate,
  ioctl,
  isatty,
  isOpen,
  O_CREAT,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  open,
  pipe,
  read,
  readFile,
  readTextFile,
  setCloseOnExec,
  setNonBlocking,
  write,
  writeFile,
} from "./file.ts";
import { countDescriptors } from "./testing.ts";

function withFile(f: (path: string) => void): void {
  const path = Deno.makeTempFileSync();
  try {
    f(path);
  } finally {
    Deno.removeSync(path);
  }
}

function withPipe(f: (readFd: number, writeFd: number) => void): void {
  const { readFd, writeFd } = pipe();
  try {
    f(readFd, writeFd);
  } finally {
    for (const fd of [readFd, writeFd]) if (isOpen(fd)) close(fd);
  }
}

function hasErrno(number: number): (error: unknown) => boolean {
  return (error) => error instanceof SyscallError && error.errno === number;
}

Deno.test("open() names the path in its error", () => {
  assert.throws(() => open("/nowhere/at/all", O_RDONLY), (error) => {
    assert.ok(error instanceof SyscallError);
    assert.equal(error.errno, ENOENT);
    assert.match(error.message, /\/nowhere\/at\/all/);
    return true;
  });
});

Deno.test("open() creates with the mode given", () => {
  withFile((path) => {
    Deno.removeSync(path);
    close(open(path, O_WRONLY | O_CREAT | O_EXCL, 0o640));
    assert.equal(Deno.statSync(path).mode! & 0o777, 0o640 & ~Deno.umask());
  });
});

Deno.test("close() of a closed descriptor throws EBADF", () => {
  assert.throws(() => close(-1), hasErrno(EBADF));
});

Deno.test("readFile() reads a file of any length whole", () => {
  withFile((path) => {
    for (const length of [0, 1, 4095, 4096, 4097, 20_000]) {
      const content = Uint8Array.from({ length }, (_, i) => i * 7);
      Deno.writeFileSync(path, content);
      assert.deepEqual(readFile(path), content);
    }
  });
});

Deno.test("readTextFile() reads what has no length, such as /proc", () => {
  assert.match(readTextFile("/proc/self/status"), new RegExp(`^Pid:\\t${Deno.pid}$`, "m"));
});

Deno.test("readFile() leaves no descriptor behind when reading fails", () => {
  const before = countDescriptors();
  assert.throws(() => readFile("/proc/self"), SyscallError);
  assert.equal(countDescriptors(), before);
});

Deno.test("writeFile() writes an existing file and creates none", () => {
  withFile((path) => {
    writeFile(path, "1\n");
    assert.equal(Deno.readTextFileSync(path), "1\n");
    assert.throws(() => writeFile(`${path}.new`, "1"), hasErrno(ENOENT));
  });
});

Deno.test("read() and write() move bytes through a pipe", () => {
  withPipe((readFd, writeFd) => {
    assert.equal(write(writeFd, Uint8Array.of(1, 2, 3)), 3);
    const into = new Uint8Array(8);
    assert.equal(read(readFd, into), 3);
    assert.deepEqual(into.subarray(0, 3), Uint8Array.of(1, 2, 3));
    close(writeFd);
    assert.equal(read(readFd, into), 0);
  });
});

Deno.test("write() to a pipe without reader returns -EPIPE and does not kill", () => {
  withPipe((readFd, writeFd) => {
    close(readFd);
    assert.equal(write(writeFd, Uint8Array.of(1)), -EPIPE);
  });
});

Deno.test("setNonBlocking() makes an empty pipe say -EAGAIN", () => {
  withPipe((readFd) => {
    setNonBlocking(readFd);
    assert.equal(read(readFd, new Uint8Array(1)), -EAGAIN);
  });
});

Deno.test("setCloseOnExec() decides what children inherit", async () => {
  const { readFd, writeFd } = pipe();
  const file = open("/dev/null", O_RDONLY);
  try {
    setCloseOnExec(writeFd, false);
    const { stdout } = await new Deno.Command("ls", { args: ["/proc/self/fd"] }).output();
    const inherited = new TextDecoder().decode(stdout).trim().split("\n").map(Number);
    assert.ok(inherited.includes(writeFd));
    assert.ok(!inherited.includes(readFd));
    assert.ok(!inherited.includes(file));
  } finally {
    close(file);
    close(readFd);
    close(writeFd);
  }
});

Deno.test("duplicate() and dup2() make further descriptors of one file", () => {
  withPipe((readFd, writeFd) => {
    const copy = duplicate(writeFd, 200);
    assert.ok(copy >= 200);
    const other = duplicate(readFd);
    dup2(writeFd, other);
    close(writeFd);
    assert.equal(write(copy, Uint8Array.of(1)), 1);
    assert.equal(write(other, Uint8Array.of(2)), 1);
    close(copy);
    close(other);
    assert.equal(read(readFd, new Uint8Array(8)), 2);
  });
});

Deno.test("isatty() and isOpen() tell what a descriptor is", () => {
  withPipe((readFd) => {
    assert.equal(isatty(readFd), false);
    const terminal = open("/dev/ptmx", O_RDWR);
    assert.equal(isatty(terminal), true);
    close(terminal);
    assert.equal(isOpen(readFd), true);
    close(readFd);
    assert.equal(isOpen(readFd), false);
  });
});

Deno.test("ioctl() fills the structure given", () => {
  const FIONREAD = 0x541b;
  withPipe((readFd, writeFd) => {
    write(writeFd, new Uint8Array(77));
    const count = new Uint8Array(4);
    assert.equal(ioctl("FIONREAD", readFd, FIONREAD, count), 0);
    assert.equal(count[0], 77);
    assert.throws(() => ioctl("FIONREAD", -1, FIONREAD, count), hasErrno(EBADF));
  });
});
