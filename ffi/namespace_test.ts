import assert from "node:assert/strict";
import { EINVAL, SyscallError } from "./errno.ts";
import { close, open, readTextFile } from "./file.ts";
import { getLink, listLinks, setLinkUp } from "./link.ts";
import { createNamespace, currentNamespace, inNamespace, openNamespace } from "./namespace.ts";
import { openNetlink } from "./netlink.ts";
import { countDescriptors, rootTest } from "./testing.ts";

/** Which namespace the calling thread is in. */
function namespaceName(): string {
  return Deno.readLinkSync("/proc/thread-self/ns/net");
}

/** The `which` namespace of a descriptor. */
function describe(fd: number): string {
  return Deno.readLinkSync(`/proc/self/fd/${fd}`);
}

function linkNames(): string[] {
  const netlink = openNetlink();
  try {
    return listLinks(netlink).map(({ name }) => name);
  } finally {
    netlink.close();
  }
}

Deno.test("currentNamespace() is the calling thread's", () => {
  const fd = currentNamespace();
  try {
    assert.equal(describe(fd), namespaceName());
  } finally {
    close(fd);
  }
});

rootTest("createNamespace() makes an empty one and leaves the thread where it was", () => {
  const home = namespaceName();
  const fd = createNamespace();
  try {
    assert.equal(namespaceName(), home);
    assert.notEqual(describe(fd), home);
    // Kernels with tunnel modules built in add devices of their own.
    assert.ok(inNamespace(fd, linkNames).includes("lo"));
  } finally {
    close(fd);
  }
});

rootTest("inNamespace() runs there, returns the result and comes back", () => {
  const home = namespaceName();
  const fd = createNamespace();
  try {
    assert.equal(inNamespace(fd, namespaceName), describe(fd));
    assert.equal(namespaceName(), home);
  } finally {
    close(fd);
  }
});

rootTest("inNamespace() comes back from an error, and leaves no descriptor behind", () => {
  const home = namespaceName();
  const fd = createNamespace();
  const before = countDescriptors();
  try {
    assert.throws(() =>
      inNamespace(fd, () => {
        throw new RangeError("on purpose");
      }), RangeError);
    assert.equal(namespaceName(), home);
    assert.equal(countDescriptors(), before);
  } finally {
    close(fd);
  }
});

rootTest("inNamespace() refuses what is no namespace and does not run the function", () => {
  const fd = open("/dev/null", 0);
  let wasRun = false;
  try {
    assert.throws(
      () => inNamespace(fd, () => wasRun = true),
      (error) => error instanceof SyscallError && error.errno === EINVAL,
    );
    assert.equal(wasRun, false);
  } finally {
    close(fd);
  }
});

rootTest("inNamespace() refuses an asynchronous function, at home again", () => {
  const home = namespaceName();
  const fd = createNamespace();
  try {
    assert.throws(() => inNamespace(fd, () => Promise.resolve()), TypeError);
    assert.equal(namespaceName(), home);
  } finally {
    close(fd);
  }
});

rootTest("inNamespace() nests", () => {
  const home = namespaceName();
  const [outer, inner] = [createNamespace(), createNamespace()];
  try {
    inNamespace(outer, () => {
      assert.equal(inNamespace(inner, namespaceName), describe(inner));
      assert.equal(namespaceName(), describe(outer));
    });
    assert.equal(namespaceName(), home);
  } finally {
    close(outer);
    close(inner);
  }
});

rootTest("a netlink socket stays in the namespace it was opened in", () => {
  const fd = createNamespace();
  try {
    const netlink = inNamespace(fd, () => openNetlink());
    try {
      const loopback = getLink(netlink, "lo")!;
      assert.equal(loopback.flags & 1, 0, "its loopback is down, unlike ours");
      setLinkUp(netlink, loopback.index);
      assert.equal(getLink(netlink, "lo")!.flags & 1, 1);
    } finally {
      netlink.close();
    }
  } finally {
    close(fd);
  }
});

rootTest("openNamespace() opens another process's", () => {
  const fd = openNamespace(`/proc/${Deno.pid}/ns/net`);
  try {
    assert.equal(describe(fd), namespaceName());
    assert.ok(readTextFile("/proc/net/dev").includes("lo"));
  } finally {
    close(fd);
  }
});
