/** Puts generated text between two markers of a Markdown file, so that nobody types figures by hand. */

/**
 * The document with `body` in the place of what stood between the markers `<!-- NAME: begin … -->` and
 * `<!-- NAME: end -->`.
 *
 * @throws Error if they are not there
 */
export function replaceSection(document: string, name: string, body: string): string {
  const [begin] = document.match(new RegExp(`<!-- ${name}: begin[^>]*-->`)) ?? [""];
  const start = document.indexOf(begin) + begin.length;
  const end = document.indexOf(`<!-- ${name}: end -->`);
  if (begin === "" || end < start) throw new Error(`The document has no markers for the section "${name}"`);
  return `${document.slice(0, start)}\n\n${body.trim()}\n\n${document.slice(end)}`;
}
