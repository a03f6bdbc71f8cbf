/** The program's log: LogTape to stderr, one line an event. Packets never come here. */
import { configureSync, getLogger, type LogRecord } from "@logtape/logtape";
import type { LogLevel } from "./environment.ts";
import { printError } from "./output.ts";

/** What the other layers are handed: three levels and a finished sentence. */
export interface Log {
  /** The operator must act. */
  error(message: string): void;
  /** A change that was asked for. */
  info(message: string): void;
  /** Everything else, and all that a stranger can cause. */
  debug(message: string): void;
}

/**
 * Starts logging.
 *
 * @param level "error" tells errors only, "debug" everything
 */
export function startLog(level: LogLevel): Log {
  configureSync({
    reset: true,
    sinks: { stderr: writeRecord },
    loggers: [
      { category: "culvert", lowestLevel: level === "silent" ? null : level, sinks: ["stderr"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["stderr"] },
    ],
  });
  const logger = getLogger("culvert");
  return {
    // The message is a property, so that braces in it are not taken for placeholders.
    error: (message) => logger.error("{message}", { message }),
    info: (message) => logger.info("{message}", { message }),
    debug: (message) => logger.debug("{message}", { message }),
  };
}

/** A log whose sentences begin with the name of an interface. */
export function prefixLog(log: Log, interfaceName: string): Log {
  return {
    error: (message) => log.error(`${interfaceName}: ${message}`),
    info: (message) => log.info(`${interfaceName}: ${message}`),
    debug: (message) => log.debug(`${interfaceName}: ${message}`),
  };
}

function writeRecord(record: LogRecord): void {
  const time = new Date(record.timestamp).toISOString();
  const message = record.properties.message ?? record.message.join("");
  printError(`${time} ${record.level} ${message}\n`);
}
