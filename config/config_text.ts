/**
 * A configuration file as its lines, so that whatever is not touched stays as it was: comments, order, spelling,
 * white space, line ends.
 *
 * ```
 * [Interface]               section
 * ListenPort = 51820 # why  entry: key, value, comment
 * PostUp = echo "#1"        entry: hooks keep their #
 * # @name = office          annotation: a comment to WireGuard, a key to us
 * # anything else           comment
 * ```
 *
 * As for `wg`, everything from `#` on is comment and all white space is void, also inside names and values.
 * Spec: wg(8) "CONFIGURATION FILE FORMAT", wg-quick(8) "CONFIGURATION".
 */

export type LineKind = "blank" | "comment" | "annotation" | "section" | "entry" | "unknown";

export interface ConfigLine {
  /** Without the line's end. */
  readonly text: string;
  /** `\n`, `\r\n`, or empty for a last line that has none. */
  readonly end: string;
  readonly kind: LineKind;
  /** Of an entry, an annotation or a section, in lower case and without white space; else empty. */
  readonly key: string;
  /** The key as the file spells it. */
  readonly spelling: string;
  /** Of an entry or annotation: without the white space and the comment around it. */
  readonly value: string;
  /** Where the value stands in `text`. */
  readonly valueStart: number;
}

/** The lines from a section's header up to the next header. */
export interface ConfigSection {
  /** "interface", "peer", or what else the brackets hold, in lower case. */
  readonly name: string;
  /** Index of the header. */
  readonly start: number;
  /** Index behind the last line. */
  readonly end: number;
}

/** What C's isspace takes for white space. */
const SPACE = /[ \t\n\v\f\r]+/g;
/** Their values are commands, in which `#` means something. */
const HOOKS: ReadonlySet<string> = new Set(["preup", "postup", "predown", "postdown"]);
const ANNOTATION = /^[ \t]*#[ \t]*@([A-Za-z][A-Za-z0-9_-]*)[ \t]*=[ \t]*/;

/** A file's lines; immutable. */
export class ConfigText {
  readonly lines: readonly ConfigLine[];

  constructor(lines: readonly ConfigLine[]) {
    this.lines = lines;
  }

  /** Cuts a text into lines; every text is accepted, and `toString` gives it back. */
  static parse(text: string): ConfigText {
    const parts = text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
    return new ConfigText(parts.map((part) => {
      const end = part.endsWith("\r\n") ? "\r\n" : part.endsWith("\n") ? "\n" : "";
      return configLine(part.slice(0, part.length - end.length), end);
    }));
  }

  /** In order; lines before the first header belong to none. */
  sections(): ConfigSection[] {
    const starts = this.lines.flatMap((line, index) => line.kind === "section" ? [index] : []);
    return starts.map((start, i) => ({
      name: this.lines[start].key,
      start,
      end: starts[i + 1] ?? this.lines.length,
    }));
  }

  toString(): string {
    return this.lines.map(({ text, end }) => text + end).join("");
  }
}

/** Reads one line. */
export function configLine(text: string, end: string): ConfigLine {
  const bare: ConfigLine = { text, end, kind: "blank", key: "", spelling: "", value: "", valueStart: text.length };
  const annotation = ANNOTATION.exec(text);
  if (annotation !== null) return valued(bare, "annotation", annotation[1], annotation[0].length, text.length);
  const hash = text.indexOf("#");
  const code = hash === -1 ? text : text.slice(0, hash);
  const compact = withoutSpace(code);
  if (compact === "") return { ...bare, kind: hash === -1 ? "blank" : "comment" };
  if (/^\[[^\]]*\]$/.test(compact)) {
    const spelling = compact.slice(1, -1);
    return { ...bare, kind: "section", key: spelling.toLowerCase(), spelling };
  }
  const equals = code.indexOf("=");
  if (equals === -1) return { ...bare, kind: "unknown", spelling: compact };
  const spelling = withoutSpace(code.slice(0, equals));
  const stop = HOOKS.has(spelling.toLowerCase()) ? text.length : code.length;
  return valued(bare, "entry", spelling, equals + 1, stop);
}

/** The text without any white space, as `wg` reads it. */
export function withoutSpace(text: string): string {
  return text.replace(SPACE, "");
}

/** Whether the value of this key, in lower case, is a command. */
export function isHook(key: string): boolean {
  return HOOKS.has(key);
}

function valued(bare: ConfigLine, kind: LineKind, spelling: string, from: number, to: number): ConfigLine {
  const raw = bare.text.slice(from, to);
  const leading = raw.length - raw.replace(/^[ \t\v\f\r]+/, "").length;
  const value = raw.slice(leading).replace(/[ \t\v\f\r]+$/, "");
  return { ...bare, kind, key: spelling.toLowerCase(), spelling, value, valueStart: from + leading };
}
