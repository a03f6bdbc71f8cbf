/** What a peer's endpoints are called, as our own interfaces keep it. */
import { domainToASCII } from "node:url";
import { formatEndpointText } from "../config/config_writer.ts";
import type { EndpointText } from "../config/values.ts";
import { parseAddress, parseHostPort } from "../tunnel/address_text.ts";

/**
 * The names that an interface is to be told beside a peer's numeric endpoint, in order; null if that says it all.
 *
 * @param endpoints the peer's, by name or address
 */
export function endpointNames(endpoints: readonly EndpointText[]): string[] | null {
  if (endpoints.length === 0 || (endpoints.length === 1 && isNumeric(endpoints[0].host))) return null;
  return [...new Set(endpoints.flatMap(endpointName))];
}

/** Empty for what no name server would know. */
function endpointName({ host, port }: EndpointText): string[] {
  const ascii = isNumeric(host) ? host : domainToASCII(host);
  const text = formatEndpointText({ host: ascii, port });
  return parseHostPort(text) === null ? [] : [text];
}

function isNumeric(host: string): boolean {
  return parseAddress(host.replace(/%.*$/, "")) !== null;
}
