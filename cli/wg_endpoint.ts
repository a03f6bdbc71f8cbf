/**
 * From the text of an endpoint to an address, by the system's resolver: hosts file, name servers, its order of answers.
 * As `wg` does, the first answer is taken, and what may pass is tried again.
 */
import { lookup } from "node:dns/promises";
import { formatEndpointText } from "../config/config_writer.ts";
import type { EndpointText } from "../config/values.ts";
import { interfaceIndex } from "../control/interface_index.ts";
import { parseEndpoint } from "../tunnel/address_text.ts";
import { printError } from "./output.ts";
import { WgError } from "./wg_errors.ts";

const DEFAULT_RETRIES = 15;
const MAX_RETRIES = 0x7fffffff;
const FIRST_PAUSE = 1_000;
const GREATEST_PAUSE = 20_000;
const PAUSE_GROWTH = 1.2;

/** How often a look-up is repeated. @param text of WG_ENDPOINT_RESOLUTION_RETRIES @throws {WgError} */
export function parseRetries(text: string | undefined): number {
  if (text === undefined) return DEFAULT_RETRIES;
  if (text === "infinity") return Infinity;
  const retries = /^\s*\+?\d*$/.test(text) ? Number(text) : NaN;
  if (retries <= MAX_RETRIES) return retries;
  throw new WgError(`Unable to parse WG_ENDPOINT_RESOLUTION_RETRIES: \`${text}'`);
}

/** What a look-up needs from outside. */
export interface EndpointLookup {
  /** The first address of a name, with a zone where it has one; rejects with a `code` as node:dns does. */
  resolve(host: string): Promise<string>;
  pause(milliseconds: number): Promise<void>;
  /** Tells of another try. */
  tell(message: string): void;
}

const SYSTEM: EndpointLookup = {
  resolve: async (host) => (await lookup(host, { verbatim: true })).address,
  pause: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
  tell: (message) => printError(`${message}\n`),
};

/**
 * The endpoint record of a host and port.
 *
 * @param retries of `parseRetries`
 * @throws {WgError} if there is no such host, or it was not found in time
 */
export async function resolveEndpoint(
  endpoint: EndpointText,
  retries: number,
  system: EndpointLookup = SYSTEM,
): Promise<Uint8Array> {
  const shown = formatEndpointText(endpoint);
  for (let pause = FIRST_PAUSE, left = retries;; pause = Math.min(GREATEST_PAUSE, PAUSE_GROWTH * pause), left--) {
    const record = numericEndpoint(endpoint);
    if (record !== null) return record;
    try {
      return numericEndpoint({ host: await system.resolve(endpoint.host), port: endpoint.port }) ?? unknown(shown);
    } catch (error) {
      const reason = lookupFailure(error);
      if (!reason.mayPass || left <= 0) throw new WgError(`${reason.text}: \`${shown}'`);
      system.tell(`${reason.text}: \`${shown}'. Trying again in ${(pause / 1000).toFixed(2)} seconds...`);
    }
    await system.pause(pause);
  }
}

/** Null if the host is a name. */
function numericEndpoint(endpoint: EndpointText): Uint8Array | null {
  return parseEndpoint(formatEndpointText(endpoint), interfaceIndex);
}

function unknown(shown: string): never {
  throw new WgError(`Name or service not known: \`${shown}'`);
}

function lookupFailure(error: unknown): { text: string; mayPass: boolean } {
  const code = error instanceof Error && "code" in error ? error.code : null;
  if (code === "ENOTFOUND") return { text: "Name or service not known", mayPass: false };
  if (code === "EAI_AGAIN") return { text: "Temporary failure in name resolution", mayPass: true };
  if (typeof code !== "string") throw error;
  return { text: `Look-up failed (${code})`, mayPass: true };
}
