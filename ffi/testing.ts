/**
 * For tests of whatever uses ffi: registering those that need root so that a missing right is seen, a namespace of
 * their own, and a process of their own. Importing this opens libc, which the leak sanitizer would otherwise lay at
 * the door of the first test.
 */
import { close } from "./file.ts";
import { getLink, setLinkUp } from "./link.ts";
import { createNamespace, inNamespace } from "./namespace.ts";
import { type Netlink, openNetlink } from "./netlink.ts";
import { NetlinkMessage, NLM_F_CREATE, NLM_F_EXCL } from "./netlink_message.ts";
import { PollSet } from "./poll.ts";
import { geteuid } from "./process.ts";
import { AF_INET, AF_INET6 } from "./socket.ts";

/** Why tests that change the network cannot run here, "" if they can. */
const obstacle = findObstacle();

/** A test that is ignored, with the reason in its name, where namespaces or TUN devices are out of reach. */
export function rootTest(name: string, fn: () => void | Promise<void>): void {
  if (obstacle === "") Deno.test(name, fn);
  else Deno.test({ name: `${name} [ignored: ${obstacle}]`, ignore: true, fn });
}

/** Runs `f` in a new network namespace that vanishes afterwards with all that is in it. */
export function inTestNamespace<T>(f: (namespace: number) => T): T {
  const namespace = createNamespace();
  try {
    return inNamespace(namespace, () => f(namespace));
  } finally {
    close(namespace);
  }
}

/** Brings up the loopback interface of the calling thread's namespace and gives it further addresses. */
export function setUpLoopback(...addresses: readonly Uint8Array[]): void {
  const RTM_NEWADDR = 20;
  const IFA_F_NODAD = 0x02;
  const IFA_LOCAL = 2;
  const netlink = openNetlink();
  try {
    const { index } = getLink(netlink, "lo")!;
    setLinkUp(netlink, index);
    for (const address of addresses) {
      const family = address.length === 4 ? AF_INET : AF_INET6;
      const message = new NetlinkMessage(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL)
        .u8(family).u8(8 * address.length).u8(IFA_F_NODAD).u8(0).u32(index).attribute(IFA_LOCAL, address);
      netlink.request("add address", message.finish());
      waitForLocalRoute(netlink, address);
    }
  } finally {
    netlink.close();
  }
}

/** How many descriptors the process has open; to be compared before and after. */
export function countDescriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

/** Runs TypeScript in a process of its own, as its main thread. `FFI/` in it stands for this folder. */
export async function runScript(source: string): Promise<{ code: number; output: string }> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-lock", "--no-check", "--quiet", "--ext=ts", "-"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  const child = command.spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(source.replaceAll("FFI/", import.meta.resolve("./"))));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** The kernel makes an IPv6 address reachable some time after it has acknowledged it. */
function waitForLocalRoute(netlink: Netlink, address: Uint8Array): void {
  const RTM_GETROUTE = 26;
  const RTA_DST = 1;
  const RTMSG_TYPE = 7;
  const RTN_LOCAL = 2;
  const bits = 8 * address.length;
  const family = address.length === 4 ? AF_INET : AF_INET6;
  const pause = new PollSet(1);
  for (let tries = 0; tries < 1_000; tries++) {
    const message = new NetlinkMessage(RTM_GETROUTE).u8(family).u8(bits).u8(0).u8(0).u32(0).u32(0);
    const [route] = netlink.request("get route", message.attribute(RTA_DST, address).finish());
    if (route.body[RTMSG_TYPE] === RTN_LOCAL) return;
    pause.wait(2);
  }
  throw new Error("The address on the loopback interface does not become local");
}

function findObstacle(): string {
  if (Deno.build.os !== "linux") return "needs Linux";
  if (geteuid() !== 0) return "needs root";
  try {
    close(createNamespace());
    Deno.statSync("/dev/net/tun");
    return "";
  } catch (error) {
    return `needs network namespaces and TUN devices: ${(error as Error).message}`;
  }
}
