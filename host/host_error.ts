/** The host does not let us: the message names the cause and the remedy on one line. */
export class HostError extends Error {
  override name = "HostError";
}
