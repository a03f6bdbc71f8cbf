/** Colours as `wg` chooses them. */

export const RESET = "\x1b[0m";
export const BOLD = "\x1b[1m";
export const RED = "\x1b[31m";
export const GREEN = "\x1b[32m";
export const YELLOW = "\x1b[33m";
export const CYAN = "\x1b[36m";

/**
 * Whether to colour: WG_COLOR_MODE `always` or `never`; else on a terminal, unless NO_COLOR forbids it.
 *
 * @param get `Deno.env.get`, or a test's table
 */
export function wantsColors(get: (name: string) => string | undefined, isTerminal: boolean): boolean {
  const mode = get("WG_COLOR_MODE");
  if (mode === "always") return true;
  if (mode === "never") return false;
  return isTerminal && (get("NO_COLOR") ?? "") === "";
}

/** The text without colours. */
export function withoutColors(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/\x1b\[\d+m/g, "");
}
