/** The environment variables a userspace WireGuard answers to, read once. */
import { UsageError } from "./errors.ts";

export type LogLevel = "debug" | "error" | "silent";

/** Set for the child that goes on in the background; nobody else sets it. */
export const DETACHED = "CULVERT_DETACHED";

export interface Environment {
  /** `WG_PROCESS_FOREGROUND=1`, the same as `-f`. */
  readonly foreground: boolean;
  /** `LOG_LEVEL`: `verbose` and `debug` tell everything, `silent` nothing, anything else errors. */
  readonly logLevel: LogLevel;
  /** Someone wants to read the log: stderr stays open in the background. */
  readonly keepsLog: boolean;
  /** `WG_TUN_FD`: descriptor of an open TUN. */
  readonly tunFd: number | null;
  /** `WG_UAPI_FD`: descriptor of a listening control socket. */
  readonly uapiFd: number | null;
  /** This process is the background half of a start. */
  readonly detached: boolean;
  /** Started by a program that passes nothing but an interface name. */
  readonly calledByProgram: boolean;
}

/**
 * Reads the environment.
 *
 * @param get `Deno.env.get`, or a test's table
 * @throws {UsageError} for a descriptor that is not a number
 */
export function readEnvironment(get: (name: string) => string | undefined): Environment {
  const logLevel = get("LOG_LEVEL") ?? "";
  const tunFd = descriptor("WG_TUN_FD", get("WG_TUN_FD"));
  const uapiFd = descriptor("WG_UAPI_FD", get("WG_UAPI_FD"));
  return {
    foreground: get("WG_PROCESS_FOREGROUND") === "1",
    logLevel: parseLogLevel(logLevel),
    keepsLog: logLevel !== "" && logLevel !== "silent",
    tunFd,
    uapiFd,
    detached: get(DETACHED) === "1",
    calledByProgram: tunFd !== null || get("WG_QUICK_USERSPACE_IMPLEMENTATION") !== undefined,
  };
}

function parseLogLevel(text: string): LogLevel {
  switch (text) {
    case "verbose":
    case "debug":
      return "debug";
    case "silent":
      return "silent";
    default:
      return "error";
  }
}

function descriptor(name: string, text: string | undefined): number | null {
  if (text === undefined || text === "") return null;
  if (/^[0-9]{1,9}$/.test(text)) return Number(text);
  throw new UsageError(`${name} must be the number of an open descriptor`);
}
