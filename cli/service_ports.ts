/** UDP ports by service name, from `/etc/services`. */

let known: Map<string, number> | null = null;

/** The port of a service or of its alias, null if there is none; names are case-sensitive, as for getaddrinfo. */
export function servicePort(name: string): number | null {
  known ??= parseServices(readServices());
  return known.get(name) ?? null;
}

/** Reads lines of `name port/protocol alias…  # comment`; of a name given twice the first counts. */
export function parseServices(text: string): Map<string, number> {
  const ports = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [name, place, ...aliases] = line.split("#")[0].trim().split(/\s+/);
    const port = /^(\d{1,5})\/udp$/.exec(place ?? "")?.[1];
    if (port === undefined) continue;
    for (const each of [name, ...aliases]) if (!ports.has(each)) ports.set(each, Number(port));
  }
  return ports;
}

/** A host without the file has no service names. */
function readServices(): string {
  try {
    return Deno.readTextFileSync("/etc/services");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
