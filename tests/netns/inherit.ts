/**
 * Starts a program as a supervisor would that hands it open descriptors or takes something away from it:
 * `[--tun NAME] [--uapi PATH] [--no-ipv6] -- PROGRAM ARGUMENT…`, run inside a namespace.
 *
 * --tun opens the TUN device NAME and passes it as WG_TUN_FD; --uapi listens on a unix socket and passes it as
 * WG_UAPI_FD; --no-ipv6 makes socket(AF_INET6) fail with EAFNOSUPPORT in the program, as on a kernel without IPv6.
 * Exits with the program's exit code.
 */

const O_RDWR = 2;
const TUNSETIFF = 0x400454ca;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;
const AF_UNIX = 1;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const EAFNOSUPPORT = 97;

const libc = Deno.dlopen("libc.so.6", {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  ioctl: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  syscall: { parameters: ["usize", "usize", "usize", "buffer"], result: "i32" },
});

const separator = Deno.args.indexOf("--");
const options = Deno.args.slice(0, separator);
const [program, ...args] = Deno.args.slice(separator + 1);

const env: Record<string, string> = {};
const tun = valueOf("--tun");
if (tun !== null) env.WG_TUN_FD = `${openTun(tun)}`;
const uapi = valueOf("--uapi");
if (uapi !== null) env.WG_UAPI_FD = `${listenOn(uapi)}`;
if (options.includes("--no-ipv6")) forbidIpv6();

const status = await new Deno.Command(program, { args, env, stdin: "null" }).spawn().status;
Deno.exit(status.code);

function valueOf(option: string): string | null {
  const at = options.indexOf(option);
  return at < 0 ? null : options[at + 1];
}

/** Descriptors opened here are not close-on-exec, so that the program inherits them. */
function openTun(name: string): number {
  const fd = check("open /dev/net/tun", libc.symbols.open(text("/dev/net/tun"), O_RDWR));
  const request = new Uint8Array(40);
  request.set(text(name));
  new DataView(request.buffer).setUint16(16, IFF_TUN | IFF_NO_PI, true);
  check("TUNSETIFF", libc.symbols.ioctl(fd, BigInt(TUNSETIFF), request));
  return fd;
}

function listenOn(path: string): number {
  const fd = check("socket", libc.symbols.socket(AF_UNIX, SOCK_STREAM, 0));
  const address = new Uint8Array(110);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(text(path), 2);
  check("bind", libc.symbols.bind(fd, address, address.length));
  check("listen", libc.symbols.listen(fd, 16));
  return fd;
}

/** A seccomp filter of all threads, inherited by children: socket(AF_INET6, …) returns EAFNOSUPPORT. */
function forbidIpv6(): void {
  const [seccomp, socket] = Deno.build.arch === "x86_64" ? [317n, 41] : [277n, 198];
  const LOAD = 0x20, JUMP_IF_EQUAL = 0x15, RETURN = 0x06;
  const ALLOW = 0x7fff0000, ERRNO = 0x00050000;
  // struct seccomp_data: system call number at 0, first argument at 16.
  const filter: [number, number, number, number][] = [
    [LOAD, 0, 0, 0],
    [JUMP_IF_EQUAL, 0, 3, socket],
    [LOAD, 0, 0, 16],
    [JUMP_IF_EQUAL, 0, 1, AF_INET6],
    [RETURN, 0, 0, ERRNO | EAFNOSUPPORT],
    [RETURN, 0, 0, ALLOW],
  ];
  const instructions = new DataView(new ArrayBuffer(filter.length * 8));
  for (const [i, [code, whenTrue, whenFalse, value]] of filter.entries()) {
    instructions.setUint16(i * 8, code, true);
    instructions.setUint8(i * 8 + 2, whenTrue);
    instructions.setUint8(i * 8 + 3, whenFalse);
    instructions.setUint32(i * 8 + 4, value, true);
  }
  const SECCOMP_SET_MODE_FILTER = 1n, SECCOMP_FILTER_FLAG_TSYNC = 1n;
  const description = new DataView(new ArrayBuffer(16));
  description.setUint16(0, filter.length, true);
  description.setBigUint64(8, Deno.UnsafePointer.value(Deno.UnsafePointer.of(instructions)), true);
  check(
    "seccomp",
    libc.symbols.syscall(
      seccomp,
      SECCOMP_SET_MODE_FILTER,
      SECCOMP_FILTER_FLAG_TSYNC,
      new Uint8Array(description.buffer),
    ),
  );
}

function check(call: string, result: number): number {
  if (result < 0) throw new Error(`${call} failed`);
  return result;
}

function text(value: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${value}\0`) as Uint8Array<ArrayBuffer>;
}
