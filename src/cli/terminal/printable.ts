/** Makes text of servers safe to print. */

/** Control characters, and those that change the direction of text. A server could use them to control the terminal. */
const unprintable = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** The text with a `?` in place of each character that a terminal would obey instead of showing it. */
export function printable(text: string): string {
  return text.replaceAll(unprintable, "?");
}
