/** Times and sizes as `wg` writes them; units are coloured. */
import { CYAN, RED, RESET } from "./wg_colors.ts";

const UNITS = [
  ["year", 365 * 24 * 60 * 60],
  ["day", 24 * 60 * 60],
  ["hour", 60 * 60],
  ["minute", 60],
  ["second", 1],
] as const;

const SIZES = [["KiB", 2 ** 10], ["MiB", 2 ** 20], ["GiB", 2 ** 30], ["TiB", 2 ** 40]] as const;

/** `1 hour, 2 seconds`; nothing for 0. */
export function formatDuration(seconds: number): string {
  const parts: string[] = [];
  let left = seconds;
  for (const [unit, length] of UNITS) {
    const count = Math.floor(left / length);
    left -= count * length;
    if (count > 0) parts.push(`${count} ${CYAN}${unit}${count === 1 ? "" : "s"}${RESET}`);
  }
  return parts.join(", ");
}

/** How long ago something was. @param then Unix seconds @param now Unix seconds */
export function formatAgo(then: number, now: number): string {
  if (now === then) return "Now";
  if (now > then) return `${formatDuration(now - then)} ago`;
  return `(${RED}System clock wound backward; connection problems may ensue.${RESET})`;
}

/** `5 B`, `1.50 KiB`. */
export function formatBytes(bytes: number): string {
  const fitting = SIZES.filter(([, size]) => bytes >= size).pop();
  const [number, unit] = fitting === undefined ? [`${bytes}`, "B"] : [hundredths(bytes, fitting[1]), fitting[0]];
  return `${number} ${CYAN}${unit}${RESET}`;
}

/** The quotient with two decimals; what lies in the middle goes to the even side, as in C, while toFixed rounds it up. */
function hundredths(bytes: number, size: number): string {
  const scaled = 100n * BigInt(bytes);
  const divisor = BigInt(size);
  const below = scaled / divisor;
  const rest = 2n * (scaled % divisor);
  const isUp = rest > divisor || (rest === divisor && below % 2n === 1n);
  const digits = `${isUp ? below + 1n : below}`;
  return `${digits.slice(0, -2)}.${digits.slice(-2)}`;
}
