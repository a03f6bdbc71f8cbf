/**
 * `wg-quick strip`: the file without wg-quick's keys, for `wg setconf` and `syncconf`. What wg-quick does by the way is
 * done too: white space around lines goes, and an empty line is added.
 */

const QUICK_KEYS: ReadonlySet<string> = new Set([
  "address",
  "mtu",
  "dns",
  "table",
  "preup",
  "predown",
  "postup",
  "postdown",
  "saveconfig",
]);

/** What `wg-quick strip` prints for this file. */
export function stripConfig(text: string): string {
  let isInterface = false;
  let kept = "";
  const lines = text.split("\n");
  if (lines[lines.length - 1] === "") lines.pop();
  for (const whole of lines) {
    // bash's `read` takes spaces and tabs away, but not a carriage return.
    const line = whole.replace(/^[ \t]+|[ \t]+$/g, "");
    const key = line.split("#")[0].split("=")[0].replace(/^[ \t\v\f\r]+|[ \t\v\f\r]+$/g, "").toLowerCase();
    if (key.startsWith("[")) isInterface = key === "[interface]";
    if (!isInterface || !QUICK_KEYS.has(key)) kept += `${line}\n`;
  }
  return `${kept}\n`;
}
