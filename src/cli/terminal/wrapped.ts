/** Breaks text into lines that fit the terminal. */

/**
 * The lines of `text`, each at most `width` characters wide. The first line begins with `first`, the others with `rest`. A word
 * that is longer than a line keeps a line of its own.
 */
export function wrapped(text: string, width: number, first = "", rest = " ".repeat(first.length)): string[] {
  const lines: string[] = [];
  let line = first;
  let hasWord = false;
  for (const word of text.split(/\s+/).filter((one) => one !== "")) {
    if (hasWord && line.length + 1 + word.length > width) {
      lines.push(line);
      line = rest;
      hasWord = false;
    }
    line += hasWord ? ` ${word}` : word;
    hasWord = true;
  }
  return [...lines, line];
}
